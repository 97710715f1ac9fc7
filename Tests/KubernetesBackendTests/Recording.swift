import Foundation
import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore
import Testing

/// What a cluster told of one Job: changes in the order in which they came, the Events at the end, and what was asked for meanwhile.
///
/// Recordings of a real cluster lie beside the clone, on machines that have them. A few small ones lie in `Recordings`.
struct Recording {
    enum Step {
        case job(ReflectedChange<JobReading?>)
        case pod(ReflectedChange<PodReading?>)
        case volumeClaim(ReflectedChange<VolumeClaimReading?>)
        /// The Job was deleted by whoever recorded.
        case deletion
    }

    var name: String
    var start = TES.Timestamp(microseconds: 0)
    /// Seconds since the start.
    var steps: [(at: Double, step: Step)] = []
    var events: [Event] = []
    var executors: [TESExecutor] = []

    /// The submission that the objects are taken for.
    static let key = SubmissionKey(taskID: TaskID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0001), number: 1)

    static let here = URL(filePath: #filePath).deletingLastPathComponent()
    static let shared = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "shared/reference/kubernetes")
    static let own = here.appending(path: "Recordings")

    static func names(_ folder: URL) -> [String] {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return all.filter {
            FileManager.default.fileExists(atPath: folder.appending(path: "\($0)/pods.watch.jsonl").path)
        }.sorted()
    }

    init(_ folder: URL, _ name: String) throws {
        self.name = name
        let folder = folder.appending(path: name)
        func text(_ file: String) throws -> String {
            try String(contentsOf: folder.appending(path: file), encoding: .utf8)
        }
        // One recording of an older shim carries the label of the newer one.
        let request = try JSONSerialization.jsonObject(
            with: Data(contentsOf: folder.appending(path: "create.request.json")))
        let job = try #require((request as? [String: Any])?["job"] as? [String: Any])
        let oldName = try #require((job["metadata"] as? [String: Any])?["name"] as? String)
        func renamed(_ line: some StringProtocol) -> String {
            String(line).replacingOccurrences(of: oldName, with: Self.key.objectName)
        }

        executors = try Self.executors(job)
        var arrivals: [String: Double] = [:]
        for line in try text("timeline.txt").split(separator: "\n") {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            guard words.count > 3, let at = Double(words[0]) else { continue }
            if words[2] == "---" {
                // Its answer came after its first effects.
                if line.contains("DELETE job") { steps.append((at - 0.06, .deletion)) }
            } else if let version = words.first(where: { $0.hasPrefix("rv=") }) {
                arrivals["\(words[2]) \(version.dropFirst(3))"] = at
            }
        }
        func changes<Object: KubernetesObject, Reading>(
            _ file: String, _ kind: String, _ type: Object.Type, _ read: (Object) -> Reading?,
            _ step: (ReflectedChange<Reading?>) -> Step
        ) throws {
            guard let lines = try? text(file).split(separator: "\n") else { return }
            var last = 0.0
            for line in lines {
                let object = try #require(line.firstRange(of: #""object":"#)?.upperBound)
                let value = try Object(json: Array(renamed(line[object...].dropLast()).utf8))
                let version = value.metadata?.resourceVersion ?? ""
                // The API's own order holds within a kind.
                last = max(last, arrivals["\(kind) \(version)"] ?? last)
                if line.contains(#"{"type":"BOOKMARK""#) { continue }
                let reading = read(value)
                steps.append((last, step(line.contains(#"{"type":"DELETED""#) ? .deleted(reading) : .changed(reading))))
            }
        }
        try changes("jobs.watch.jsonl", "job", Job.self, { JobReading($0) }, { .job($0) })
        try changes("pods.watch.jsonl", "pod", Pod.self, { PodReading($0) }, { .pod($0) })
        try changes(
            "pvcs.watch.jsonl", "pvc", PersistentVolumeClaim.self, { VolumeClaimReading($0) }, { .volumeClaim($0) })
        // Stable: what arrived at the same time stays in order.
        steps = steps.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
        let list = try JSONSerialization.jsonObject(with: Data(contentsOf: folder.appending(path: "events.json")))
        for item in (list as? [String: Any])?["items"] as? [Any] ?? [] {
            let json = String(decoding: try JSONSerialization.data(withJSONObject: item), as: UTF8.self)
            events.append(try Event(json: Array(renamed(json).utf8)))
        }
        let created = steps.lazy.compactMap { step -> TES.Timestamp? in
            if case .job(.changed(let job?)) = step.step { job.createdAt } else { nil }
        }.first
        start = try #require(created)
        // The API's times are whole seconds; the client's own clock beside them is exact.
        let timeline = try text("timeline.txt")
        let first = try #require(timeline.split(separator: "\n").first).split(separator: " ")
        let exact = TES.Timestamp("\(start.text.prefix(11))\(first[1])Z")
        let since = try #require(exact)
        start = TES.Timestamp(microseconds: since.microseconds - Int64((Double(first[0]) ?? 0) * 1_000_000))
    }

    /// Start and end of an executor's container, once for each Pod that told them.
    func times(of position: Int) -> [[String]] {
        var found: [[String]] = []
        for case .pod(let change) in steps.map(\.step) {
            let pod: PodReading?? =
                switch change {
                case .changed(let pod), .deleted(let pod): pod
                case .replaced, .interrupted: nil
                }
            guard let pod, let end = pod?[.executor(position)]?.end, let start = end.startedAt else { continue }
            found.append([start.text, (end.finishedAt ?? start).text])
        }
        return found
    }

    private static func executors(_ job: [String: Any]) throws -> [TESExecutor] {
        let template = (job["spec"] as? [String: Any])?["template"] as? [String: Any]
        let containers = (template?["spec"] as? [String: Any])?["initContainers"] as? [[String: Any]] ?? []
        let plan = containers.first?["env"] as? [[String: Any]] ?? []
        let ignored = plan.compactMap { $0["value"] as? String }.joined(separator: "\n")
        return containers.filter { ($0["name"] as? String)?.hasPrefix("exec-") == true }.enumerated().map {
            position, container in
            TESExecutor(
                image: container["image"] as? String ?? "", command: ["true"],
                ignoreError: ignored.contains("exec \(position) ignore") ? true : nil)
        }
    }
}
