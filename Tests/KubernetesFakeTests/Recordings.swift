import Foundation
import KubernetesFake
import Testing

/// The recordings of a real cluster, in a folder beside the clone; tests that need them are skipped where they are missing.
enum Recordings {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "shared/reference/kubernetes")

    static let present = FileManager.default.fileExists(atPath: folder.path(percentEncoded: false))

    static func bytes(_ path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: folder.appending(path: path)))
    }

    static func text(_ path: String) throws -> String { String(decoding: try bytes(path), as: UTF8.self) }

    static func json(_ path: String) throws -> JSON { try JSON(parsing: try bytes(path)) }

    /// The scenarios whose Pods were watched.
    static var lives: Set<String> {
        get throws {
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.path(percentEncoded: false))
            return Set(
                names.filter {
                    let path = folder.appending(path: $0 + "/pods.watch.jsonl").path(percentEncoded: false)
                    return FileManager.default.fileExists(atPath: path)
                })
        }
    }

    /// The events of a watch file: type and object.
    static func watch(_ path: String) throws -> [WatchEvent] {
        try text(path).split(separator: "\n").map { try WatchEvent(line: Array($0.utf8)) }
    }
}

struct WatchEvent {
    var type: String
    var object: JSON

    init(line: [UInt8]) throws {
        let event = try JSON(parsing: line)
        type = event["type"].text ?? ""
        object = event["object"] ?? .null
    }
}

/// What a test compares of a Pod's or Job's state: phase, containers and conditions, no times and no ids.
enum Digest {
    static func pod(_ event: WatchEvent) -> String {
        let status = event.object["status"]
        var parts = [status["phase"].text ?? "-"]
        if let reason = status["reason"].text { parts.append("(\(reason))") }
        for container in status["initContainerStatuses"].items + status["containerStatuses"].items {
            var text = (container["name"].text ?? "") + "="
            if let waiting = container["state"]["waiting"] {
                text += waiting["reason"].text ?? "-"
            } else if container["state"]["running"] != nil {
                text += "run"
            } else {
                let end = container["state"]["terminated"]
                text += "\(end["exitCode"].int ?? -1)/\(end["reason"].text ?? "-")"
                if let message = end["message"].text { text += "[\(message.prefix(40))]" }
            }
            if container["ready"] == true { text += "+ready" }
            if container["started"] == true { text += "+started" }
            if let restarts = container["restartCount"].int, restarts > 0 { text += "#r\(restarts)" }
            parts.append(text)
        }
        for condition in status["conditions"].items.sorted(by: { ($0["type"].text ?? "") < ($1["type"].text ?? "") }) {
            parts.append(Self.condition(condition))
        }
        if event.object["metadata"]["deletionTimestamp"] != nil {
            parts.append("deleted:\(event.object["metadata"]["deletionGracePeriodSeconds"].int ?? -1)")
        }
        if event.type == "DELETED" { parts.append("DELETED") }
        return parts.joined(separator: " ")
    }

    private static func condition(_ condition: JSON) -> String {
        var text = (condition["status"] == "True" ? "+" : "-") + (condition["type"].text ?? "")
        if let reason = condition["reason"].text { text += "(\(reason))" }
        if condition["type"] == "Initialized", let message = condition["message"].text {
            text += message.drop { $0 != "[" }
        }
        return text
    }

    static func job(_ event: WatchEvent) -> String {
        let status = event.object["status"]
        var parts: [String] = []
        for field in ["active", "failed", "succeeded", "terminating"] {
            if let value = status[field].int { parts.append("\(field)=\(value)") }
        }
        for field in ["startTime", "completionTime"] where status[field] != nil { parts.append(field) }
        for field in ["failed", "succeeded"] where status["uncountedTerminatedPods"][field] != nil {
            parts.append("uncounted:\(field)")
        }
        if event.object["spec"]["suspend"] == true { parts.append("suspend") }
        if event.object["metadata"]["deletionTimestamp"] != nil {
            parts.append("deleted")
            parts += event.object["metadata"]["finalizers"].items.compactMap(\.text)
        }
        parts += status["conditions"].items.map(condition)
        if event.type == "DELETED" { parts.append("DELETED") }
        return parts.joined(separator: " ")
    }

    /// The states that differ from the one before.
    static func changes(_ events: [WatchEvent], _ digest: (WatchEvent) -> String) -> [String] {
        var result: [String] = []
        for event in events where event.type != "BOOKMARK" {
            let state = digest(event)
            if state != result.last { result.append(state) }
        }
        return result
    }
}
