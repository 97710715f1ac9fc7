import TES
import TaskCore
import Testing

/// The contract of every task store: what workers hold, lose and are told.
@Suite("Task store: workers")
struct WorkerTests {
    @Test(arguments: StoreKind.allCases)
    func openAttemptsAreAWorkersOwnThatHaveNotEnded(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let (worker, other) = (harness.worker(), harness.worker("host-b"))
            let starting = try await harness.claimed(by: worker)
            let running = try await harness.claimed(by: worker)
            try await harness.store.record(AttemptRecord(state: .running, time: harness.time()), for: running)
            let canceling = try await harness.claimed(by: worker)
            _ = try await harness.store.cancel(canceling.taskID, for: .everyone)
            let ended = try await harness.claimed(by: worker)
            try await harness.store.record(AttemptRecord(state: .complete, time: harness.time()), for: ended)
            let requeued = try await harness.claimed(by: worker)
            try await harness.store.record(AttemptRecord(state: .queued, time: harness.time()), for: requeued)
            let others = try #require(try await harness.claim(other)).key

            let open = try await harness.store.openAttempts(of: worker)
            #expect(open.map(\.key) == [starting, running, canceling])
            #expect(open.map(\.state) == [.initializing, .running, .canceling])
            #expect(
                open.allSatisfy {
                    $0.task.executors.first?.command == ["true"] && $0.task.id == $0.key.taskID.description
                })
            #expect(try await harness.store.openAttempts(of: other).map(\.key) == [others])
            #expect(try await harness.store.openAttempts(of: harness.worker()).isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func stoppedAreThoseCancelledEndedOrNoLongerHeld(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            var keys: [TESState: AttemptKey] = [:]
            for state in [TESState.initializing, .running, .canceling, .canceled, .complete, .systemError] {
                keys[state] = try await harness.attempt(in: state)
            }
            let requeued = try await harness.attempt(in: .running)
            try await harness.store.record(AttemptRecord(state: .queued, time: harness.time()), for: requeued)
            let unknown = AttemptKey(taskID: harness.store.newID(), number: 1, token: "x")
            let all = Array(keys.values) + [requeued, unknown]
            let expected = all.map(\.taskID).filter {
                $0 != keys[.initializing]?.taskID && $0 != keys[.running]?.taskID
            }
            #expect(try await harness.store.stopped(all) == Set(expected))
            #expect(try await harness.store.stopped([]).isEmpty)

            let again = try #require(try await harness.claim(harness.worker())).key
            #expect(again.taskID == requeued.taskID)
            #expect(try await harness.store.stopped([requeued]) == [requeued.taskID])
            #expect(try await harness.store.stopped([again]).isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func tasksOfAWorkerThatIsGoneGoBackToTheQueue(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let (gone, alive) = (harness.worker("gone-host"), harness.worker("alive-host"))
            try await harness.store.heartbeat(gone)
            let starting = try await harness.claimed(by: gone)
            let running = try await harness.claimed(by: gone)
            try await harness.store.record(AttemptRecord(state: .running, time: harness.time()), for: running)
            let canceling = try await harness.claimed(by: gone)
            _ = try await harness.store.cancel(canceling.taskID, for: .everyone)
            let ended = try await harness.claimed(by: gone)
            try await harness.store.record(AttemptRecord(state: .complete, time: harness.time()), for: ended)
            let held = try await harness.claimed(by: alive)
            #expect(try await harness.store.takeBackLost(lease: .seconds(60)) == 0)

            try await harness.passAnHour()
            try await harness.store.heartbeat(alive)
            #expect(try await harness.store.takeBackLost(lease: .seconds(60)) == 3)
            #expect(try await harness.store.takeBackLost(lease: .seconds(60)) == 0)
            #expect(try await harness.state(starting.taskID) == .queued)
            #expect(try await harness.state(running.taskID) == .queued)
            #expect(try await harness.state(canceling.taskID) == .canceled)
            #expect(try await harness.state(ended.taskID) == .complete)
            #expect(try await harness.state(held.taskID) == .initializing)
            for key in [starting, running, canceling] {
                let log = try await harness.log(key.taskID)
                #expect(log.endTime != nil)
                #expect(
                    log.systemLogs?.last?.contains("the attempt was lost: its worker on gone-host was not heard of")
                        == true)
            }
            #expect(try await harness.store.openAttempts(of: gone).isEmpty)
            #expect(try await harness.store.stopped([starting, running]) == [starting.taskID, running.taskID])
            let again = try #require(try await harness.claim(alive))
            #expect(again.key.taskID == starting.taskID && again.key.number == 2)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aHeartbeatKeepsAWorkersTasks(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let worker = harness.worker()
            try await harness.store.heartbeat(worker)
            let key = try await harness.claimed(by: worker)
            try await harness.passAnHour()
            try await harness.store.heartbeat(worker)
            #expect(try await harness.store.takeBackLost(lease: .seconds(60)) == 0)
            #expect(try await harness.state(key.taskID) == .initializing)
        }
    }
}
