import Foundation
import Logging
import TES
import TaskCore

/// Log lines on standard error: text for people, JSON for collectors.
struct LineLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    let label: String
    let isJSON: Bool

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }.mapValues { "\($0)" }
        let time = Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1e6)).text
        let line: String
        if isJSON {
            var writer = JSONWriter()
            writer.map(
                all.merging(["time": time, "level": "\(event.level)", "message": "\(event.message)"]) { _, own in own })
            line = writer.text
        } else {
            let fields = all.sorted { $0.key < $1.key }.map { " \($0.key)=\(printable($0.value))" }.joined()
            line = "\(time) \(event.level) \(printable("\(event.message)"))\(fields)"
        }
        // A line that cannot be written, as on a full disk, is lost; the work goes on.
        try? FileHandle.standardError.write(contentsOf: Data((line + "\n").utf8))
    }
}

extension Settings {
    /// Makes the logger that every part gets.
    func makeLogger() throws -> Logger {
        let levels = Logger.Level.allCases.map(\.rawValue)
        let level = Logger.Level(rawValue: try choice("log.level", levels) ?? "info") ?? .info
        let isJSON = try choice("log.format", ["text", "json"]) == "json"
        return Logger(label: "poiesis") { LineLogHandler(logLevel: level, label: $0, isJSON: isJSON) }
    }
}
