import TES
import TaskCore
import Testing

/// The contract of every task store: cancelling.
@Suite("Task store: cancel")
struct CancelTests {
    @Test(arguments: StoreKind.allCases)
    func aWaitingTaskIsCanceledAtOnce(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let id = try await harness.create()
            #expect(try await harness.store.cancel(id, for: .everyone) == .canceled)
            #expect(try await harness.state(id) == .canceled)
            #expect(try await harness.full(id).logs == nil)
            #expect(try await harness.claim(harness.worker()) == nil)
        }
    }

    @Test(arguments: StoreKind.allCases, [TESState.initializing, .running, .canceling])
    func aHeldTaskIsCancelingUntilItsAttemptEnds(_ kind: StoreKind, _ state: TESState) async throws {
        try await StoreHarness.with(kind) { harness in
            let key = try await harness.attempt(in: state)
            #expect(try await harness.store.cancel(key.taskID, for: .everyone) == .canceling)
            #expect(try await harness.store.cancel(key.taskID, for: .everyone) == .canceling)
            #expect(try await harness.store.stopped([key]) == [key.taskID])
            let running = AttemptRecord(state: .running, time: harness.time())
            #expect(try await harness.store.record(running, for: key) == .canceling)
        }
    }

    @Test(arguments: StoreKind.allCases, [TESState.complete, .executorError, .systemError, .canceled, .preempted])
    func anEndedTaskStaysAsItEnded(_ kind: StoreKind, _ state: TESState) async throws {
        try await StoreHarness.with(kind) { harness in
            let key = try await harness.attempt(in: state)
            #expect(try await harness.store.cancel(key.taskID, for: .everyone) == state)
            #expect(try await harness.state(key.taskID) == state)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func anUnknownTaskHasNoState(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let state = try await harness.store.cancel(harness.store.newID(), for: .everyone)
            #expect(state == nil)
        }
    }

    @Test(
        arguments: StoreKind.allCases,
        [TESState.complete, .executorError, .systemError, .canceled, .preempted, .queued])
    func cancelWinsOverWhateverIsWrittenLater(_ kind: StoreKind, _ end: TESState) async throws {
        try await StoreHarness.with(kind) { harness in
            let key = try await harness.attempt(in: .canceling)
            var record = AttemptRecord(state: end, time: harness.time())
            record.executors = [(0, TESExecutorLog(exitCode: 3))]
            #expect(try await harness.store.record(record, for: key) == .canceled)
            #expect(try await harness.state(key.taskID) == .canceled)
            let log = try await harness.log(key.taskID)
            #expect(log.endTime != nil && log.logs.map(\.exitCode) == [3])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func ofWritersAndCancelsThatRaceOneEndRemains(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let store = harness.store
            for _ in 0..<10 {
                let key = try await harness.attempt(in: .running)
                let time = harness.time()
                let reached = try await withThrowingTaskGroup(of: TESState?.self) { group in
                    for end in [TESState.complete, .executorError, .systemError, .complete] {
                        group.addTask { try await store.record(AttemptRecord(state: end, time: time), for: key) }
                    }
                    group.addTask { try await store.cancel(key.taskID, for: .everyone) }
                    return try await group.reduce(into: [TESState]()) { $0.append($1 ?? .unknown) }
                }
                let end = try #require(try await harness.state(key.taskID))
                #expect(end.isTerminal)
                // Whoever wrote saw that end, or the cancel that came before it.
                #expect(reached.allSatisfy { $0 == end || $0 == .canceling })
            }
        }
    }
}
