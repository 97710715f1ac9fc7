import Foundation
import Orchestrator
import TES
import TaskCore
import TaskStore
import Testing

/// What an attempt does where engine, store or an executor misbehave.
@Suite("Attempts with faults")
struct FaultTests {
    private func with(
        _ faults: Faults, startsWorker: Bool = true, _ body: (BackendHarness) async throws -> Void
    ) async throws {
        try await BackendHarness.with(.memory, startsWorker: startsWorker, faults: faults, body)
    }

    @Test(.timeLimit(.minutes(5)))
    func aCancelIsRecordedOnlyOnceNothingRuns() async throws {
        let faults = Faults()
        try await with(faults) { harness in
            let id = try await harness.create(BackendHarness.script(BackendHarness.waiting))
            try await harness.waitUntilStarted(id)
            faults[\.isEngineAway] = true
            try await harness.cancel(id)
            try await Task.sleep(for: .seconds(1))
            #expect(try await harness.task(id).state == .canceling)
            #expect(try await harness.containers().count == 1)
            faults[\.isEngineAway] = false
            #expect(try await harness.end(id).state == .canceled)
            #expect(try await harness.containers().isEmpty)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aRecordThatTheStoreRefusesEndsTheAttempt() async throws {
        let faults = Faults()
        faults[\.refusesLogs] = true
        try await with(faults) { harness in
            let end = try await harness.run(BackendHarness.script("true"))
            #expect(end.state == .systemError && end.logs?.last?.logs.isEmpty == true)
            #expect(end.logs?.last?.systemLogs?.count == 1)
            #expect(faults.update { $0.records.count { !$0.executors.isEmpty } } == 1)
        }
    }

    @Test(.timeLimit(.minutes(5)), arguments: [(2, nil), (3, "toomanyrequests")] as [(Int, String?)])
    func aBusyRegistryIsAskedThreeTimes(_ busy: Int, _ reason: String?) async throws {
        let faults = Faults()
        faults.update { state in
            state.busyPulls = busy
            state.pullFailure = "there is no such image"
        }
        try await with(faults) { harness in
            var task = BackendHarness.script("true")
            task.executors[0].image = "registry.example/x:1"
            let end = try await harness.run(task)
            #expect(end.state == .systemError && faults[\.pulls] == 3)
            let line = try #require(end.logs?.last?.systemLogs?.last)
            #expect(line.contains(reason ?? "there is no such image"))
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func anEnginesFullDiskIsNamed() async throws {
        let faults = Faults()
        faults[\.pullFailure] = "write /var/lib/docker/x: no space left on device"
        try await with(faults) { harness in
            var task = BackendHarness.script("true")
            task.executors[0].image = "registry.example/x:1"
            let end = try await harness.run(task)
            #expect(end.state == .systemError)
            #expect(end.logs?.last?.systemLogs?.last?.hasPrefix("no space is left on this server's disk") == true)
        }
    }

    /// A link in the place of a mounted directory would lead the engine anywhere on the machine.
    @Test(.timeLimit(.minutes(5)), arguments: ["ln -s / /task-two", "echo x > /task-two", "true"])
    func aReplacedMountEndsTheAttempt(_ replacement: String) async throws {
        try await with(Faults()) { harness in
            let task = BackendHarness.script(
                "rmdir /task-two; \(replacement)", "touch /task-dir/ran", volumes: ["/task-dir", "/task-two"])
            let end = try await harness.run(task)
            #expect(end.state == .systemError && end.logs?.last?.logs.map(\.exitCode) == [0])
            let line = try #require(end.logs?.last?.systemLogs?.last)
            #expect(line.contains("executor 1") && line.contains("replaced the mounted directory or file /task-two"))
        }
    }

    /// The control folder of an executor is its program's to write to.
    @Test(.timeLimit(.minutes(5)))
    func aMadeUpResultOfARunningProgramDoesNotCount() async throws {
        try await with(Faults(), startsWorker: false) { harness in
            let id = try await harness.create(BackendHarness.script(BackendHarness.waiting + "; exit 4"))
            try await harness.withWorker { try await harness.waitUntilStarted(id) }
            let result = harness.folder + "/data/attempts/\(id)-1/control/exec-0/result"
            #expect(
                FileManager.default.createFile(
                    atPath: result, contents: Data(ExecutorResult(exitCode: 0, startTime: 1, endTime: 2).encoded)))
            let next = harness.restarted()
            try await next.withWorker {
                try await Task.sleep(for: .milliseconds(500))
                #expect(try await next.task(id).state == .running)
                try await next.letGo(id)
                let end = try await next.end(id)
                #expect(end.state == .executorError && end.logs?.last?.logs.map(\.exitCode) == [4])
            }
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func afterACancelNothingIsStarted() async throws {
        let faults = Faults()
        faults[\.cancelsBeforeRunning] = true
        try await with(faults) { harness in
            let end = try await harness.run(BackendHarness.script("touch \(harness.folder)/ran"))
            #expect(end.state == .canceled && end.logs?.last?.logs.isEmpty == true)
            #expect(!FileManager.default.fileExists(atPath: harness.folder + "/ran"))
        }
    }

    /// The store has given the task to this worker, who does not know.
    @Test(.timeLimit(.minutes(5)))
    func aClaimWhoseAnswerWasLostIsRunAllTheSame() async throws {
        let faults = Faults()
        faults[\.lostClaims] = 2
        try await with(faults) { harness in
            let first = try await harness.run(BackendHarness.script("true"))
            #expect(first.state == .complete && first.logs?.count == 1)
            var large = BackendHarness.script("true")
            large.resources = TESResources(cpuCores: 100_000)
            #expect(try await harness.run(large).state == .systemError)
            #expect(faults[\.lostClaims] == 0)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func anAttemptThatIsNoLongerOursIsRemoved() async throws {
        try await with(Faults()) { harness in
            let id = try await harness.create(BackendHarness.script(BackendHarness.waiting))
            try await harness.waitUntilStarted(id)
            let first = try #require(try await harness.store.openAttempts(of: harness.worker).first)
            var given = AttemptRecord(state: .queued, time: harness.store.now())
            given.cause = "host-lost"
            _ = try await harness.store.record(given, for: first.key)
            try await harness.waitUntilStarted(id, attempt: 2)
            try await eventually("the first attempt's folder is gone") {
                FileManager.default.fileExists(atPath: "\(harness.folder)/data/attempts/\(id)-1") ? nil : ()
            }
            try await harness.letGo(id, attempt: 2)
            #expect(try await harness.end(id).state == .complete)
        }
    }
}

@Suite("Heartbeats")
struct HeartbeatTests {
    @Test func othersAreJudgedOnlyAfterASteadyLease() {
        var beats = Heartbeats(lease: .seconds(60))
        let start = ContinuousClock.now
        func note(_ seconds: Int) -> Bool { beats.note(at: start + .seconds(seconds)) }
        #expect(stride(from: 0, to: 60, by: 10).allSatisfy { !note($0) })
        #expect(note(60) && note(85) && note(115))
        // A gap of more than half a lease: everybody's beats may have been kept from the store.
        #expect(!note(146) && !note(176) && !note(205) && note(206))
    }
}
