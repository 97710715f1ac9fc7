import KubernetesBackend
import KubernetesFake
import Synchronization
import Testing

/// Who leads, by the Lease on a fake cluster.
@Suite("Leadership")
struct LeadershipTests {
    /// The holders, one after the other, and how often each wrote.
    private func holders(_ harness: ControllerHarness) async -> [(name: String, writes: Int)] {
        var holders: [(name: String, writes: Int)] = []
        for lease in await harness.cluster.states(.leases) {
            let name = lease["spec"]["holderIdentity"].text ?? ""
            if holders.last?.name == name { holders[holders.count - 1].writes += 1 } else { holders.append((name, 1)) }
        }
        return holders
    }

    @Test func oneLeadsAndTheNextTakesOverAtOnce() async throws {
        try await ControllerHarness.with { harness in
            let leaders = Leaders()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await leaders.lead("b", harness) }
                try await harness.eventually("b leads") { leaders.names == ["b"] }
                try await withThrowingTaskGroup(of: Void.self) { second in
                    second.addTask { await leaders.lead("a", harness) }
                    try await harness.eventually("the Lease is renewed") {
                        await holders(harness).last?.writes ?? 0 > 2
                    }
                    try await harness.eventually("b leads still") { leaders.names == ["b"] }
                    group.cancelAll()
                    try await harness.eventually("a leads") { leaders.names == ["a"] }
                    second.cancelAll()
                }
            }
            // Given back, it need not run out.
            #expect(await holders(harness).map(\.name) == ["b", "", "a", ""])
            #expect(await harness.cluster.all(.leases).first?["spec"]["leaseTransitions"] == 1)
        }
    }

    /// A renewal was on its way when the leader was told to stop.
    @Test func theLeaseIsGivenBackThoughARenewalsAnswerIsMissing() async throws {
        try await ControllerHarness.with { harness in
            let leaders = Leaders()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await leaders.lead("a", harness) }
                try await harness.eventually("it leads") { leaders.names == ["a"] }
                harness.server.faults.add(Fault(.silenceAfterwards, methods: ["PUT"], path: "/leases"))
                try await harness.eventually("the Lease is renewed") { await holders(harness).last?.writes == 2 }
                group.cancelAll()
            }
            #expect(await holders(harness).map(\.name) == ["a", ""])
        }
    }

    @Test(arguments: ["it is refused", "no answer comes"])
    func aLeaderThatCannotRenewLeadsNoMore(_ why: String) async throws {
        try await ControllerHarness.with { harness in
            let leaders = Leaders()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await leaders.lead("a", harness) }
                try await harness.eventually("it leads") { leaders.names == ["a"] }
                let kind = why == "it is refused" ? Fault.Kind.status(503) : .silence
                harness.server.faults.add(Fault(kind, path: "/leases", times: nil))
                try await harness.eventually("it stops") { leaders.names.isEmpty }
                harness.server.faults.clear()
                try await harness.eventually("it leads again") { leaders.names == ["a"] }
                group.cancelAll()
            }
        }
    }

    /// For `/readyz`.
    @Test func aReplicaSaysWhyItCannotDoItsPart() async throws {
        try await ControllerHarness.with { harness in
            let (first, second) = (harness.controller("a"), harness.controller("b"))
            #expect(first.problem?.contains("who leads") == true)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await first.run() }
                try await harness.eventually("one leads") { first.leads && first.problem == nil }
                group.addTask { try await second.run() }
                try await harness.eventually("the other stands by") { second.problem == nil }
                #expect(!second.leads)
                harness.server.faults.add(Fault(.status(503), times: nil))
                try await harness.eventually("neither sees the cluster") {
                    !first.leads && first.problem != nil && second.problem?.contains("who leads") == true
                }
                harness.server.faults.clear()
                // Who leads next may not know yet what there is.
                harness.server.faults.add(Fault(.status(503), path: "/pods", times: nil))
                try await harness.eventually("the next leader has not listed all") {
                    [first, second].contains { $0.leads && $0.problem?.contains("not yet compared") == true }
                }
                harness.server.faults.clear()
                try await harness.eventually("both do their part") {
                    first.problem == nil && second.problem == nil && first.leads != second.leads
                }
                group.cancelAll()
            }
        }
    }
}

/// Who leads at the moment.
private final class Leaders: Sendable {
    /// Of the Lease, in seconds: a leader has a third less to notice that it leads no more.
    static let duration = 12
    private let state = Mutex<[String]>([])

    var names: [String] { state.withLock { $0 } }

    func lead(_ identity: String, _ harness: ControllerHarness) async {
        await harness.election(identity, harness.client(), duration: Self.duration).run {
            self.state.withLock { $0.append(identity) }
            try? await Task.sleep(for: .seconds(3600))
            self.state.withLock { $0.removeAll { $0 == identity } }
        }
    }
}
