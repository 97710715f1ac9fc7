import Foundation
import KubernetesFake

/// A recorded exchange, with what was there before it.
struct RecordedExchange {
    let name: String
    let request: [UInt8]
    let response: RawResponse

    init(_ name: String) throws {
        self.name = name
        request = try Recordings.bytes("protocol/\(name).request.http")
        response = RawResponse(try Recordings.bytes("protocol/\(name).response.http"))
    }

    private var body: JSON {
        let start = request.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound ?? request.count
        return (try? JSON(parsing: request[start...])) ?? .null
    }

    private static func answer(_ name: String) throws -> JSON { try RecordedExchange(name).response.json ?? .null }

    /// A server with a cluster like the recorded one before the exchange. No controller acts, but for watches' times.
    func prepare() async throws -> APIServer {
        let isLog = name.contains("log-")
        let date = response.header("date").flatMap { text in
            let formatter = DateFormatter()
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
            return formatter.date(from: text)?.timeIntervalSince1970
        }
        let timeline = Timeline(isLog ? .stepped : .scaled(60), start: (date ?? 0) + (isLog ? 0.6 : 0))
        let cluster = Cluster(timeline: timeline, runtime: RecordedLogs(), namespaces: [])
        let seeds = try seeds()
        let name = name
        await cluster.configure { cluster in
            cluster.policy.controllers = false
            cluster.policy.blocksEvictions = name == "error-429-eviction-blocked"
            cluster.insert(.namespaces, ["metadata": ["name": "poiesis"]])
            cluster.addNode("localhost")
            for seed in seeds { cluster.seed(seed) }
            if name.contains("403") || name.contains("401") || name.contains("access-review") {
                let rules: Set = ["get /pods", "list /pods", "watch /pods"]
                let account = Access.Account(name: "system:serviceaccount:poiesis:poiesis-trec", rules: rules)
                cluster.access = Access(accounts: name.contains("401") ? [:] : ["TOKEN": account])
            }
        }
        if name == "watch-bookmarks" || name == "watch-label-leaves-selector" { await replayChanges(on: cluster) }
        let server = try await APIServer.start(cluster)
        if name == "error-429-too-many-requests" { server.faults.add(Fault(.tooManyRequests(retryAfter: 1))) }
        return server
    }

    /// The changes that the recorded watch saw.
    private func replayChanges(on cluster: Cluster) async {
        let events = response.events.filter { $0.type != "BOOKMARK" }
        await cluster.configure { cluster in
            for event in events {
                let key = ObjectKey("poiesis", event.object["metadata"]["name"].text ?? "")
                switch event.type {
                case "DELETED" where event.object["metadata"]["labels"]["poiesis.io/page"] != nil:
                    // An object that leaves the selector is told in its last state that matched.
                    cluster.update(.jobs, key) { $0["metadata"]["labels"] = ["left": "yes"] }
                case "DELETED": cluster.remove(.jobs, key)
                default:
                    cluster.update(.jobs, key) { job in
                        job["metadata"]["labels"] = event.object["metadata"]["labels"]
                        job["metadata"]["annotations"] = event.object["metadata"]["annotations"]
                        job["status"]["note"] = .string(event.object["metadata"]["resourceVersion"].text ?? "")
                    }
                }
            }
        }
    }

    /// The objects that were there.
    private func seeds() throws -> [JSON] {
        switch name {
        case "error-409-already-exists", "error-409-conflict", "error-409-delete-precondition":
            return [try Self.answer("create-201")]
        case "update-200", "lease-renew", "lease-takeover":
            var before = body
            before["metadata"]["annotations"] = nil
            return [before]
        case "error-422-immutable": return [try Self.answer("update-200")]
        case "patch-strategic-merge":
            var job = try Self.answer(name)
            job["metadata"]["annotations"] = nil
            job["spec"]["template"]["metadata"]["labels"]["extra"] = nil
            return [job]
        case "patch-json-merge": return [try Self.answer("patch-strategic-merge")]
        case "patch-json-patch", "error-422-json-patch-test-failed": return [try Self.answer("patch-json-merge")]
        case "patch-apply-force": return [try Self.answer("patch-json-patch")]
        case "patch-unsuspend": return [try Self.answer("patch-apply-force")]
        case "error-415-patch-media-type", "error-409-merge-patch-resource-version", "error-422-patch-immutable",
            "error-422-apply-without-field-manager":
            return [try Self.answer("patch-strategic-merge")]
        case "lease-create-already-exists": return [try Self.answer("lease-create")]
        case "lease-takeover-conflict", "lease-release", "lease-renew-time-nanoseconds", "lease-renew-time-seconds",
            "lease-update-without-resource-version":
            return [try Self.answer("lease-takeover")]
        case "lease-update-wrong-uid":
            var lease = body
            lease["metadata"]["uid"] = "53c46faf-d5c3-4598-8561-21103d7f9c97"
            return [lease]
        case "delete-job-background", "delete-job-background-in-body":
            var job = try Self.answer("create-201")
            job["metadata"]["name"] = "del"
            job["metadata"]["uid"] = response.json?["details"]["uid"]
            return [job]
        case "delete-job-foreground-again", "delete-pod-again":
            var object = response.json ?? .null
            if name == "delete-pod-again" { object["metadata"]["deletionGracePeriodSeconds"] = 3 }
            return [object]
        case _ where name.hasPrefix("delete-") && response.json?["metadata"]["name"] != nil:
            var object = response.json ?? .null
            object["metadata"]["deletionTimestamp"] = nil
            object["metadata"]["deletionGracePeriodSeconds"] = nil
            let left = object["metadata"]["finalizers"].items.filter { $0 != "orphan" && $0 != "foregroundDeletion" }
            object["metadata"]["finalizers"] = left.isEmpty ? nil : .array(left)
            return [object]
        case "delete-collection":
            return response.json["items"].items.map { item in
                var item = item
                (item["kind"], item["apiVersion"]) = ("Job", "batch/v1")
                return item
            }
        case "watch-list-stream", "watch-without-resource-version":
            return response.events.filter { $0.type == "ADDED" }.map(\.object)
        case _ where name.hasPrefix("list-") && name != "list-in-missing-namespace" || name.hasPrefix("watch-"),
            "error-410-continue-expired", "error-410-list-exact":
            return try pages()
        case _ where name.contains("log-") && !name.contains("no-pod"): return [RecordedLogs.pod(name)]
        case "error-429-eviction-blocked": return [RecordedLogs.pod("evict")]
        default: return []
        }
    }

    private func pages() throws -> [JSON] {
        try (1...3).flatMap { try Self.answer("list-chunk-\($0)")["items"].items }.map { item in
            var item = item
            (item["kind"], item["apiVersion"]) = ("Job", "batch/v1")
            return item
        } + (name.hasPrefix("watch-") ? [versionMark] : [])
    }

    /// Moves the cluster's version to the one that the recorded watches start from.
    private var versionMark: JSON {
        ["kind": "ConfigMap", "metadata": ["name": "mark", "namespace": "poiesis", "resourceVersion": "8413"]]
    }
}

/// A runtime whose containers have written what the recorded logs show.
struct RecordedLogs: ContainerRuntime {
    /// The Pod that the recorded requests name: `ack` has ended, `exec-2` wrote nothing, or nothing began yet.
    static func pod(_ exchange: String) -> JSON {
        let name =
            switch exchange {
            case "evict": "evict-c68fq"
            case "log-pod-not-scheduled": "unscheduled-84r6c"
            default: "logs-jh7ck"
            }
        let began = !exchange.contains("before-start") && exchange != "log-default-container"
        let names = ["exec-0", "exec-1", "exec-2", "ack"]
        func status(_ name: String) -> JSON {
            if !began {
                return ["name": .string(name), "state": ["waiting": ["reason": "PodInitializing"]], "lastState": [:]]
            }
            return [
                "name": .string(name), "state": ["running": [:]], "lastState": [:],
                "containerID": .string("containerd://" + name),
            ]
        }
        func spec(_ name: String) -> JSON { ["name": .string(name), "image": "busybox:1.35"] }
        var pod: JSON = [
            "kind": "Pod", "apiVersion": "v1",
            "metadata": ["name": .string(name), "namespace": "poiesis", "uid": "u", "resourceVersion": "8000"],
            "spec": [
                "containers": [spec("ack")], "initContainers": .array(names.dropLast().map(spec)),
                "nodeName": "localhost",
            ],
            "status": [
                "phase": "Pending", "containerStatuses": [status("ack")],
                "initContainerStatuses": .array(names.dropLast().map(status)),
            ],
        ]
        if exchange == "log-pod-not-scheduled" { pod["spec"]["nodeName"] = nil }
        return pod
    }

    func image(_ name: String) -> ImageState { .present }
    func start(_ container: ContainerStart, on timeline: Timeline, ended: @escaping @Sendable (ContainerEnd) -> Void) {}
    func signal(_ id: String, _ signal: ContainerSignal) {}
    func removePod(_ uid: String) {}

    func log(_ id: String, follow: Bool) -> AsyncStream<[LogLine]> {
        var lines: [LogLine] = []
        if id == "ack", let text = try? RawResponse(Recordings.bytes("protocol/log-timestamps.response.http")).body {
            for line in text.split(separator: 10) {
                let parts = line.split(separator: 32, maxSplits: 1)
                let stamp = String(decoding: parts[0], as: UTF8.self).split(separator: ".")
                let time = Int(Timeline.seconds(stamp[0] + "Z") ?? 0) * 1_000_000_000 + (Int(stamp[1].dropLast()) ?? 0)
                // The last line has no break at its end.
                let end: [UInt8] = parts[1].starts(with: "no newline".utf8) ? [] : [10]
                lines.append(LogLine(nanoseconds: time, bytes: Array(parts[1]) + end))
            }
        }
        if id == "exec-0", let text = try? RawResponse(Recordings.bytes("protocol/log-not-utf8.response.http")).body {
            lines = [LogLine(time: 0, bytes: text)]
        }
        return AsyncStream { continuation in
            continuation.yield(lines)
            continuation.finish()
        }
    }
}
