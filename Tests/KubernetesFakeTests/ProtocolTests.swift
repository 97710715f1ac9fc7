import Foundation
import KubernetesFake
import Testing

/// The fake is held to the recorded exchanges: each request is sent as it was, to a fake that has the objects that were there,
/// and the answer is compared in status, content type and everything of its body that is no id, version or time.
@Suite(.enabled(if: Recordings.present)) struct ProtocolTests {
    /// Exchanges that the fake does not play, each with why.
    static let outOfScope = [
        "error-409-apply-conflict": "the fake keeps no managed fields, so no field has an owner",
        "watch-server-stops": "the API server's own end; `APIServer.refuseConnections` is the switch for it",
    ]
    /// Exchanges of which status, content type and the Status' reason alone are compared: the rest is Kubernetes' inner text.
    static let reasonAlone: Set = [
        "error-422-immutable", "error-429-eviction-blocked", "error-400-bad-continue", "error-406-accept",
        "error-400-malformed-json", "error-400-wrong-kind", "error-400-wrong-type",
        "error-400-bad-selector", "error-410-continue-expired", "version", "discovery-batch-v1",
        "error-422-job-name-too-long", "error-422-invalid", "error-409-merge-patch-resource-version",
        "list-future-resource-version", "watch-410-too-old", "watch-410-too-old-events",
    ]

    static let names: [String] = {
        let folder = Recordings.folder.appending(path: "protocol").path(percentEncoded: false)
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return files.filter { $0.hasSuffix(".request.http") }.map { String($0.dropLast(13)) }.sorted()
    }()

    @Test func everyExchangeIsPlayedOrSaysWhyNot() {
        #expect(Self.names.count >= 110)
        for name in Self.outOfScope.keys { #expect(Self.names.contains(name)) }
        for name in Self.reasonAlone { #expect(Self.names.contains(name)) }
    }

    @Test(arguments: names.filter { outOfScope[$0] == nil })
    func anExchangeIsAnsweredAsRecorded(_ name: String) async throws {
        let exchange = try RecordedExchange(name)
        let server = try await exchange.prepare()
        let answer = try await RawHTTP.exchange(exchange.request, port: server.port)
        await server.stop()
        let recorded = exchange.response
        #expect(answer.status == recorded.status, "\(String(decoding: answer.body, as: UTF8.self))")
        #expect(answer.header("content-type") == recorded.header("content-type"))
        #expect(answer.header("retry-after") == recorded.header("retry-after"))
        #expect(answer.headers["warning"] == recorded.headers["warning"])
        #expect(answer.complete)
        if recorded.header("content-type")?.hasPrefix("application/json") != true {
            #expect(answer.body == recorded.body)
            return
        }
        if name.hasPrefix("watch") {
            // When a bookmark comes in between is chance; the last one is not.
            let told = { (events: [WatchEvent]) in
                events.filter { $0.type != "BOOKMARK" }.map(Self.line) + (events.last.map { [Self.line($0)] } ?? [])
            }
            #expect(told(answer.events) == told(recorded.events))
            return
        }
        let found = try #require(answer.json)
        let expected = try #require(recorded.json)
        if Self.reasonAlone.contains(name) {
            for field in ["kind", "reason", "code", "status", "apiVersion"] { #expect(found[field] == expected[field]) }
            let fields = { (status: JSON) in Set(status["details"]["causes"].items.map { $0["field"].text ?? "" }) }
            if name == "error-422-invalid" { #expect(fields(found) == fields(expected)) }
        } else {
            expectEqual(found, expected)
        }
    }

    private static func line(_ event: WatchEvent) -> String {
        let name = event.object["metadata"]["name"].text ?? ""
        let status = event.type == "ERROR" ? event.object["reason"].text ?? "" : ""
        let annotation = event.object["metadata"]["annotations"]["k8s.io/initial-events-end"].text ?? ""
        let shape =
            event.type == "BOOKMARK" ? String(decoding: (event.object["spec"] ?? .null).bytes, as: UTF8.self) : ""
        return [event.type, event.object["kind"].text ?? "", name, status, annotation, shape].joined(separator: " ")
    }

    private func expectEqual(_ found: JSON, _ expected: JSON) {
        let found = Self.lines(Self.comparable(found))
        let expected = Self.lines(Self.comparable(expected))
        let missing = expected.subtracting(found).sorted()
        let extra = found.subtracting(expected).sorted()
        #expect(missing == [], "missing")
        #expect(extra == [], "too much")
    }

    /// The leaves of a value, each with its path.
    private static func lines(_ value: JSON, _ path: String = "") -> Set<String> {
        switch value {
        case .object(let members) where !members.isEmpty:
            members.reduce(into: []) { $0.formUnion(lines($1.value, path + "." + $1.key)) }
        case .array(let items) where !items.isEmpty:
            items.enumerated().reduce(into: []) { $0.formUnion(lines($1.element, path + "[\($1.offset)]")) }
        default: [path + " = " + String(decoding: value.bytes, as: UTF8.self)]
        }
    }

    /// A value without ids, versions, times and managed fields.
    private static func comparable(_ value: JSON) -> JSON {
        switch value {
        case .array(let items): return .array(items.map(comparable))
        case .object(var members):
            for key in members.keys {
                switch key {
                case "managedFields", "uid", "resourceVersion", "creationTimestamp", "controller-uid",
                    "batch.kubernetes.io/controller-uid", "generation":
                    members[key] = nil
                case "deletionTimestamp", "lastTransitionTime", "lastProbeTime", "startTime", "continue":
                    members[key] = "…"
                default: members[key] = members[key].map(comparable)
                }
            }
            return .object(members)
        default: return value
        }
    }
}
