import Foundation
import HTTPClient
import KubernetesAPI
import KubernetesBackend
import Logging
import Synchronization
import TES
import TestServers
import Testing

/// The election on the Lease exchanges of a real cluster: it sends what was recorded, and draws the right end from each answer.
@Suite("Recorded Lease exchanges", .enabled(if: LeaseExchange.isThere, "the recordings of a real cluster are not here"))
struct LeaseExchangeTests {
    private static let lease = "/apis/coordination.k8s.io/v1/namespaces/poiesis/leases/poiesis-tctl"

    /// What one replica asked and whether it leads, while a script answers.
    private struct Replica: Sendable {
        let server: TestServer
        let leads: LeaderCount

        /// Requests that are no reading.
        var writes: [ServerRequest] { server.requests.filter { $0.method != "GET" } }
        var reads: Int { server.requests.count { $0.method == "GET" } }
    }

    /// How often a replica has begun to lead, and whether it does now.
    private final class LeaderCount: Sendable {
        private let state = Mutex<(begun: Int, now: Bool)>((0, false))
        var begun: Int { state.withLock { $0.begun } }
        var now: Bool { state.withLock { $0.now } }

        func lead() async {
            state.withLock { $0 = ($0.begun + 1, true) }
            while !Task.isCancelled { try? await Task.sleep(for: .seconds(600)) }
            state.withLock { $0.now = false }
        }
    }

    /// What the server has and says: each write takes the next answer, the last one again and again.
    private struct Script {
        /// The Lease that is read; nil is none.
        var object: LeaseExchange.Answer?
        var writes: [Write]
        /// Another replica renews it: each reading has a version of its own.
        var isRenewed = false
        private var readings = 0

        struct Write {
            var answer: LeaseExchange.Answer
            /// What is there after a refusal; what was answered is after a success.
            var after: LeaseExchange.Answer?
            var isRenewedAfter = false
        }

        init(object: LeaseExchange.Answer? = nil, writes: [Write]) {
            self.object = object
            self.writes = writes
        }

        mutating func answer(_ request: ServerRequest, missing: LeaseExchange.Answer) -> LeaseExchange.Answer {
            if request.method == "GET" {
                readings += 1
                guard var object else { return missing }
                object.status = 200
                if isRenewed { object = object.replacing(#""resourceVersion":""#, "\"resourceVersion\":\"\(readings)") }
                return object
            }
            let write = writes[0]
            if writes.count > 1 { writes.removeFirst() }
            object = write.answer.status < 300 ? write.answer : write.after
            isRenewed = write.isRenewedAfter
            return write.answer
        }
    }

    private static func taken(_ name: String) throws -> Script.Write {
        Script.Write(answer: try LeaseExchange(name).answer)
    }

    /// Runs a replica against a script. Leases last three seconds instead of fifteen.
    private func replica(_ identity: String, _ script: Script, _ body: (Replica) async throws -> Void) async throws {
        let script = Mutex(script)
        let missing = try LeaseExchange("lease-404").answer
        try await TestServer.with { request, connection in
            let answer = script.withLock { $0.answer(request, missing: missing) }
            connection.answer(answer.status, ["Content-Type: application/json"], answer.body)
        } _: { server in
            let http = HTTPClient()
            defer { http.close() }
            var place = ClusterConfiguration(server: server.url(""))
            place.namespace = "poiesis"
            var options = KubernetesClient.Options()
            options.retry = .none
            var election = LeaderElection.Options(name: "poiesis-tctl", identity: identity)
            election.duration = 3
            let elected = LeaderElection(
                KubernetesClient(place, http: http, options: options), options: election,
                now: { TES.Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000)) },
                logger: Logger(label: identity) { _ in SwiftLogNoOpLogHandler() })
            let replica = Replica(server: server, leads: LeaderCount())
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await elected.run { await replica.leads.lead() } }
                defer { group.cancelAll() }
                try await body(replica)
            }
        }
    }

    private func eventually(_ what: String, _ condition: () -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(120)
        while !condition() {
            try #require(ContinuousClock.now < end, "it never came: \(what)")
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// What is sent is what was recorded, but for the times, which are exact to the microsecond all the same.
    private func expectSame(_ sent: ServerRequest?, _ name: String, release: Bool = false) throws {
        let sent = try #require(sent)
        let recorded = try LeaseExchange(name)
        #expect(sent.method == recorded.method && sent.target == recorded.target, "\(name)")
        #expect(sent.header("content-type") == recorded.contentType, "\(name)")
        let (ours, theirs) = (try Lease(json: sent.body), try Lease(json: recorded.body))
        #expect(ours.spec?.holderIdentity == theirs.spec?.holderIdentity, "\(name)")
        if release { return }
        #expect(ours.metadata?.name == theirs.metadata?.name, "\(name)")
        #expect(ours.metadata?.uid == theirs.metadata?.uid, "\(name)")
        #expect(ours.metadata?.resourceVersion == theirs.metadata?.resourceVersion, "\(name)")
        #expect(ours.spec?.leaseTransitions == theirs.spec?.leaseTransitions, "\(name)")
        #expect(ours.spec?.leaseDurationSeconds == 3, "\(name)")
        for time in [ours.spec?.acquireTime, ours.spec?.renewTime] {
            let time = try #require(time)
            #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/) != nil, "\(name): \(time)")
        }
    }

    @Test func aLeaseIsMadeRenewedAndGivenBack() async throws {
        var server: TestServer?
        let writes = try ["lease-create", "lease-renew"].map { try Self.taken($0) }
        try await replica("tctl-a", Script(writes: writes)) { replica in
            server = replica.server
            try await eventually("it renews") { replica.writes.count >= 2 && replica.leads.begun > 0 }
            let asked = replica.server.requests
            #expect(asked.first?.method == "GET" && asked.first?.target == Self.lease)
            try expectSame(replica.writes[0], "lease-create")
            try expectSame(replica.writes[1], "lease-renew")
            let spec = try Lease(json: replica.writes[1].body).spec
            #expect(spec?.acquireTime == "2026-11-21T06:07:16.992185Z", "it keeps since when it leads")
        }
        // Whatever came between, the last one gives it back.
        let last = try #require(server?.requests.last)
        #expect(last.method == "PATCH")
        try expectSame(last, "lease-release", release: true)
        #expect(try Lease(json: last.body).metadata?.resourceVersion != nil, "only what it holds itself")
    }

    @Test func whoComesSecondLeadsNot() async throws {
        let refused = Script.Write(answer: try LeaseExchange("lease-create-already-exists").answer)
        try await replica("tctl-a", Script(writes: [refused, try Self.taken("lease-create")])) { replica in
            try await eventually("it tries again and leads") { replica.leads.begun > 0 }
            try expectSame(replica.writes.first, "lease-create-already-exists")
            #expect(replica.writes.count >= 2 && replica.reads >= 2)
        }
    }

    @Test func aLeaseThatRanOutIsTakenOver() async throws {
        let script = Script(
            object: try LeaseExchange("lease-renew").answer, writes: [try Self.taken("lease-takeover")])
        try await replica("tctl-b", script) { replica in
            try await eventually("it leads") { replica.leads.begun > 0 }
            try expectSame(replica.writes.first, "lease-takeover")
            // The holder's promise lasts three seconds: that is three periods.
            let before = replica.server.requests.prefix { $0.method == "GET" }.count
            #expect(before >= 2)
            let spec = try Lease(json: try #require(replica.writes.first).body).spec
            #expect(spec?.acquireTime == spec?.renewTime)
        }
    }

    @Test func ofTwoThatTakeItOverOneLeads() async throws {
        let others = try LeaseExchange("lease-takeover").answer.replacing("tctl-b", "tctl-c")
        let refused = Script.Write(
            answer: try LeaseExchange("lease-takeover-conflict").answer, after: others, isRenewedAfter: true)
        let script = Script(object: try LeaseExchange("lease-create").answer, writes: [refused])
        try await replica("tctl-b", script) { replica in
            try await eventually("it was refused") { !replica.writes.isEmpty }
            try expectSame(replica.writes.first, "lease-takeover-conflict")
            let reads = replica.reads
            try await eventually("it looks again") { replica.reads >= reads + 4 }
            #expect(replica.writes.count == 1 && replica.leads.begun == 0)
        }
    }

    /// Deleted under its holder, or another one of the same name: it leads again only with a Lease of its own.
    @Test(arguments: ["lease-update-after-delete", "lease-update-wrong-uid"])
    func aLeaseThatIsGoneIsNotRenewed(_ name: String) async throws {
        let made = try Self.taken("lease-create")
        let refused = Script.Write(answer: try LeaseExchange(name).answer)
        try await replica("tctl-a", Script(writes: [made, refused, made, try Self.taken("lease-renew")])) { replica in
            try await eventually("it makes another one") { replica.writes.count >= 3 }
            #expect(replica.writes.prefix(3).map(\.method) == ["POST", "PUT", "POST"])
            // With its uid and version: what was deleted is not made again by a PUT.
            let sent = try Lease(json: replica.writes[1].body)
            #expect(sent.metadata?.uid != nil && sent.metadata?.resourceVersion != nil)
        }
    }

    /// A server that takes none of its renewals, whatever it says of them: another one may lead soon, so this one stops.
    @Test(
        arguments: [
            "lease-update-without-resource-version", "lease-renew-time-seconds", "lease-renew-time-nanoseconds",
        ])
    func aRefusedRenewalEndsTheLead(_ name: String) async throws {
        let made = try Self.taken("lease-create")
        let refused = Script.Write(answer: try LeaseExchange(name).answer, after: made.answer)
        try await replica("tctl-a", Script(writes: [made, refused])) { replica in
            try await eventually("it leads") { replica.leads.begun == 1 }
            try await eventually("it leads no more") { !replica.leads.now }
            try await eventually("a renewal was refused") { replica.writes.count >= 2 }
        }
    }
}

/// One of the recorded exchanges with a Lease.
private struct LeaseExchange {
    /// What a server says.
    struct Answer: Sendable {
        var status: Int
        var body: [UInt8]

        func replacing(_ text: String, _ other: String) -> Answer {
            Answer(status: status, body: Array(String(decoding: body, as: UTF8.self).replacing(text, with: other).utf8))
        }
    }

    let method: String
    let target: String
    let contentType: String?
    let body: [UInt8]
    let answer: Answer

    private static let folder = Recording.shared.appending(path: "protocol")
    static var isThere: Bool { FileManager.default.fileExists(atPath: folder.path) }

    init(_ name: String) throws {
        func parts(_ kind: String) throws -> (lines: [String], body: [UInt8]) {
            let file = Self.folder.appending(path: "\(name).\(kind).http")
            let text = try String(contentsOf: file, encoding: .utf8)
            let end = try #require(text.firstRange(of: "\r\n\r\n"))
            // A Lease of three seconds, so that nobody waits for fifteen.
            let body = text[end.upperBound...].replacing(
                #""leaseDurationSeconds":15"#, with: #""leaseDurationSeconds":3"#)
            return (text[..<end.lowerBound].components(separatedBy: "\r\n"), Array(body.utf8))
        }
        let request = try parts("request")
        let words = request.lines[0].split(separator: " ").map(String.init)
        (method, target, body) = (words[0], words[1], request.body)
        contentType = request.lines.first { $0.hasPrefix("Content-Type: ") }.map { String($0.dropFirst(14)) }
        let response = try parts("response")
        let status = try #require(Int(response.lines[0].split(separator: " ")[1]))
        answer = Answer(status: status, body: response.body)
    }
}
