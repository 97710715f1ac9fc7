import Foundation
import HTTPClient
import KubernetesAPI
import TestServers
import Testing

/// Every object of the recorded scenarios is read, and what was sent there is what the models write.
@Suite("Recorded objects", .enabled(if: RecordedExchange.isThere), .timeLimit(.minutes(5)))
struct RecordedObjectsTests {
    /// The files of all scenarios with this name, by scenario.
    private static func files(_ name: String) throws -> [(scenario: String, content: Data)] {
        let folders = try FileManager.default.contentsOfDirectory(atPath: RecordedExchange.folder.path).sorted()
        let files = folders.compactMap { folder -> (String, Data)? in
            FileManager.default.contents(atPath: RecordedExchange.folder.appending(path: "\(folder)/\(name)").path)
                .map { (folder, $0) }
        }
        try #require(!files.isEmpty)
        return files
    }

    @Test func requestsAreWrittenAsTheyWere() throws {
        for (scenario, content) in try Self.files("create.request.json") {
            let both = try #require(JSONSerialization.jsonObject(with: content) as? [String: Any])
            for (name, value) in both where value is [String: Any] {
                let bytes = Array(try JSONSerialization.data(withJSONObject: value))
                let written = name == "job" ? try Job(json: bytes).json : try PersistentVolumeClaim(json: bytes).json
                #expect(RecordedExchange.json(written) == RecordedExchange.json(bytes), "\(scenario): \(name)")
            }
        }
    }

    /// Replays a recorded watch: what each event says of its object.
    private func replay<Object: KubernetesObject>(
        _ type: Object.Type, _ content: Data, _ see: (Object) -> Void
    ) async throws -> Int {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(content.count)\r\n\r\n"
        var count = 0
        try await TestServer.with { _, connection in
            connection.write(Array(head.utf8) + content)
        } _: { server in
            let http = HTTPClient()
            defer { http.close() }
            let client = KubernetesClient(ClusterConfiguration(server: server.url("")), http: http)
            var watch = try await client.watch(type, options: WatchOptions())
            while let event = try await watch.next() {
                count += 1
                switch event {
                case .added(let object), .modified(let object), .deleted(let object):
                    #expect(object.metadata?.name?.isEmpty == false && object.kind == type.resource.kind)
                    see(object)
                case .bookmark: break
                case .error(let refusal): Issue.record("\(refusal)")
                }
            }
        }
        return count
    }

    @Test func everyWatchIsRead() async throws {
        var exits: [String: Set<String>] = [:]
        for (scenario, content) in try Self.files("pods.watch.jsonl") {
            let count = try await replay(Pod.self, content) { pod in
                for status in (pod.status?.initContainerStatuses ?? []) + (pod.status?.containerStatuses ?? []) {
                    guard let end = status.state?.terminated else { continue }
                    exits[scenario, default: []].insert("\(status.name) \(end.exitCode) \(end.reason ?? "")")
                }
            }
            #expect(count == content.count { $0 == 10 }, "\(scenario)")
        }
        #expect(exits["exec-0-exit-42"]?.contains("exec-0 42 Error") == true)
        #expect(exits["exec-0-oom-child-exit-0"]?.contains("exec-0 0 OOMKilled") == true)
        #expect(exits["evicted-emptydir"]?.contains { $0.hasSuffix("137 ContainerStatusUnknown") } == true)
        for (scenario, content) in try Self.files("jobs.watch.jsonl") {
            let count = try await replay(Job.self, content) { #expect($0.spec?.backoffLimit == 0) }
            #expect(count == content.count { $0 == 10 }, "\(scenario)")
        }
        for (scenario, content) in try Self.files("pvcs.watch.jsonl") {
            let count = try await replay(PersistentVolumeClaim.self, content) { #expect($0.status?.phase != nil) }
            #expect(count == content.count { $0 == 10 }, "\(scenario)")
        }
        for (scenario, content) in try Self.files("node.watch.jsonl") {
            let count = try await replay(Node.self, content) { #expect($0.status?.conditions?.isEmpty == false) }
            #expect(count == content.count { $0 == 10 }, "\(scenario)")
        }
    }

    @Test func everyEventIsRead() async throws {
        for (scenario, content) in try Self.files("events.json") {
            try await TestServer.with { _, connection in
                connection.answer(200, ["Content-Type: application/json"], Array(content))
            } _: { server in
                let http = HTTPClient()
                defer { http.close() }
                let client = KubernetesClient(ClusterConfiguration(server: server.url("")), http: http)
                let events = try await client.list(Event.self).items
                #expect(!events.isEmpty, "\(scenario)")
                for event in events {
                    #expect(event.reason?.isEmpty == false && event.involvedObject?.name?.isEmpty == false)
                    #expect(event.lastTimestamp != nil || event.eventTime != nil)
                }
            }
        }
    }
}
