import Foundation
import Postgres
import TES
import TaskCore
import TaskStore
import Testing

/// The contract of every store that a cluster's controller works with.
@Suite("Task store: submissions")
struct SubmissionTests {
    private func with(
        _ kind: StoreKind, _ body: (StoreHarness, any SubmissionStore) async throws -> Void
    ) async throws {
        try await StoreHarness.with(kind) { harness in
            try await body(harness, try #require(harness.store as? any SubmissionStore))
        }
    }

    private func record(_ harness: StoreHarness, _ state: TESState?) -> AttemptRecord {
        AttemptRecord(state: state, time: harness.time())
    }

    @Test(arguments: StoreKind.allCases)
    func waitingTasksAreSubmittedOldestFirst(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            var ids: [TaskID] = []
            for _ in 0..<4 { ids.append(try await harness.create()) }
            _ = try await store.cancel(ids[0], for: .everyone)
            #expect(try await store.waitingTasks(limit: 2) == [ids[1], ids[2]])
            #expect(try await store.submit(ids[0]) == nil)
            let submission = try #require(try await store.submit(ids[1]))
            #expect(submission.key == SubmissionKey(taskID: ids[1], number: 1))
            #expect(submission.principal == .everyone)
            #expect(try await store.waitingTasks(limit: 10) == [ids[2], ids[3]])
            #expect(try await store.submit(store.newID()) == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aSubmissionHoldsTheWholeTaskWithoutItsLogs(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            let alice = Principal(owner: "alice")
            let id = try await harness.create(CreateAndReadTests.fullTask, for: alice, warnings: ["one"])
            let submission = try #require(try await store.submit(id))
            #expect(submission.principal == alice && submission.task.id == id.description)
            #expect(submission.task.inputs == CreateAndReadTests.fullTask.inputs)
            #expect(submission.task.executors == CreateAndReadTests.fullTask.executors)
            #expect(submission.task.logs == nil)
            let attempt = try #require(try await store.claim(submission.key, pod: "pod-1", metadata: ["node": "n"]))
            #expect(attempt.principal == alice && attempt.state == .initializing)
            #expect(attempt.task.outputs == CreateAndReadTests.fullTask.outputs)
            #expect(attempt.task.tags == CreateAndReadTests.fullTask.tags)
            let log = try #require(try await store.task(id, view: .full, for: alice)?.logs?.first)
            #expect(log.metadata == ["host": "here", "backend": "kubernetes", "node": "n"])
            #expect(log.systemLogs == ["one"])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aSubmissionThatNobodyClaimedIsGivenAgain(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            let id = try await harness.create()
            for _ in 0..<3 { #expect(try await store.submit(id)?.key.number == 1) }
            try await store.close(SubmissionKey(taskID: id, number: 1))
            try await store.close(SubmissionKey(taskID: id, number: 1))
            #expect(try await store.claim(SubmissionKey(taskID: id, number: 1), pod: "p", metadata: [:]) == nil)
            #expect(try await store.submit(id)?.key.number == 2)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func whatIsClaimedIsNotClosedAsUnclaimed(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            let claimed = try #require(try await store.submit(harness.create())).key
            _ = try await store.claim(claimed, pod: "p", metadata: [:])
            #expect(try await store.closeUnclaimed(claimed) == false)
            #expect(try await store.openSubmissions(of: [claimed.taskID]).count == 1)
            let waiting = try #require(try await store.submit(harness.create())).key
            #expect(try await store.closeUnclaimed(waiting))
            #expect(try await store.openSubmissions(of: [waiting.taskID]).isEmpty)
            #expect(try await store.closeUnclaimed(waiting), "closing one twice is no error")
        }
    }

    @Test(arguments: StoreKind.allCases)
    func theSamePodGetsTheSameAttempt(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            let key = try #require(try await store.submit(harness.create())).key
            let first = try #require(try await store.claim(key, pod: "pod-1", metadata: [:]))
            let again = try #require(try await store.claim(key, pod: "pod-1", metadata: [:]))
            #expect(first.key == again.key && first.key.number == 1)
            try await store.record(record(harness, .running), for: first.key)
            #expect(try await store.claim(key, pod: "pod-1", metadata: [:])?.state == .running)
            _ = try await store.cancel(key.taskID, for: .everyone)
            #expect(try await store.claim(key, pod: "pod-1", metadata: [:])?.state == .canceling)
            try await store.record(record(harness, .complete), for: first.key)
            #expect(try await harness.state(key.taskID) == .canceled)
            #expect(try await store.claim(key, pod: "pod-1", metadata: [:]) == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aCancelledTaskIsNeverClaimed(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            let key = try #require(try await store.submit(harness.create())).key
            #expect(try await store.cancel(key.taskID, for: .everyone) == .canceled)
            #expect(try await store.claim(key, pod: "pod-1", metadata: [:]) == nil)
            #expect(try await store.endingSubmissions(limit: 5).map(\.key) == [key])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func anotherPodOfASubmissionIsAnotherAttempt(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            let key = try #require(try await store.submit(harness.create())).key
            var attempts: [AttemptKey] = []
            for pod in ["pod-1", "pod-2", "pod-3"] {
                attempts.append(try #require(try await store.claim(key, pod: pod, metadata: [:])).key)
            }
            #expect(attempts.map(\.number) == [1, 2, 3])
            await #expect(throws: TaskStoreError.notThisAttempt) {
                try await store.record(record(harness, .complete), for: attempts[0])
            }
            let logs = try #require(try await harness.full(key.taskID).logs)
            #expect(logs.count == 3 && logs[0].endTime != nil && logs[2].endTime == nil)
            #expect(logs[0].systemLogs == ["the attempt was lost: another Pod took the place of its Pod"])
            // That was the last try.
            #expect(try await store.claim(key, pod: "pod-4", metadata: [:]) == nil)
            #expect(try await harness.state(key.taskID) == .systemError)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aPodWhosePlaceAnotherHasTakenDoesNotTakeItBack(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            let key = try #require(try await store.submit(harness.create())).key
            _ = try #require(try await store.claim(key, pod: "pod-1", metadata: [:]))
            let second = try #require(try await store.claim(key, pod: "pod-2", metadata: [:]))
            #expect(try await store.claim(key, pod: "pod-1", metadata: [:]) == nil)
            // The newer one goes on.
            #expect(try await store.claim(key, pod: "pod-2", metadata: [:])?.key == second.key)
            #expect(try await store.record(record(harness, .running), for: second.key) == .running)
            #expect(try await harness.full(key.taskID).logs?.count == 2)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aTaskThatWasGivenBackIsSubmittedAgain(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            let first = try #require(try await store.submit(harness.create())).key
            let attempt = try #require(try await store.claim(first, pod: "pod-1", metadata: [:])).key
            #expect(try await store.waitingTasks(limit: 5).isEmpty)
            try await store.record(record(harness, .queued), for: attempt)
            #expect(try await store.claim(first, pod: "pod-1", metadata: [:]) == nil)
            #expect(try await store.waitingTasks(limit: 5) == [first.taskID])
            let second = try #require(try await store.submit(first.taskID)).key
            #expect(second.number == 2)
            #expect(try await store.claim(first, pod: "pod-9", metadata: [:]) == nil)
            #expect(try await store.claim(second, pod: "pod-2", metadata: [:])?.key.number == 2)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func openSubmissionsSayWhoHoldsTheTask(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            let first = try #require(try await store.submit(harness.create())).key
            let other = try #require(try await store.submit(harness.create())).key
            var rows = try await store.openSubmissions(after: nil, limit: 10)
            #expect(rows.map(\.key) == [first, other])
            #expect(rows.allSatisfy { $0.state == .queued && $0.claim == nil && $0.isCurrent })
            #expect(try await store.openSubmissions(after: first, limit: 10).map(\.key) == [other])
            #expect(try await store.openSubmissions(after: nil, limit: 1).map(\.key) == [first])
            let attempt = try #require(try await store.claim(first, pod: "pod-1", metadata: [:])).key
            rows = try await store.openSubmissions(of: [first.taskID])
            #expect(rows.map(\.claim) == [.init(pod: "pod-1", attempt: 1, holdsTask: true)])
            #expect(try await store.endingSubmissions(limit: 5).isEmpty)
            try await store.record(record(harness, .queued), for: attempt)
            _ = try await store.submit(first.taskID)
            rows = try await store.openSubmissions(of: [first.taskID])
            #expect(rows.map(\.isCurrent) == [false, true] && rows[0].claim?.holdsTask == false)
            _ = try await store.cancel(other.taskID, for: .everyone)
            #expect(try await store.endingSubmissions(limit: 5).map(\.key) == [other])
            try await store.close(other)
            #expect(try await store.endingSubmissions(limit: 5).isEmpty)
        }
    }

    /// A controller keeps many that failed: neither a cancel nor a new end may come after them.
    @Test(arguments: StoreKind.allCases)
    func whatIsToEndComesBeforeWhatIsKept(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            func ended(_ state: TESState) async throws -> SubmissionKey {
                let key = try #require(try await store.submit(harness.create())).key
                let attempt = try #require(try await store.claim(key, pod: "pod-\(key.taskID)", metadata: [:])).key
                if state == .canceling {
                    _ = try await store.cancel(key.taskID, for: .everyone)
                } else {
                    try await store.record(record(harness, state), for: attempt)
                }
                try await Task.sleep(for: .milliseconds(2))
                return key
            }
            let canceling = try await ended(.canceling)
            let (old, new) = (try await ended(.systemError), try await ended(.complete))
            let canceled = try #require(try await store.submit(harness.create())).key
            _ = try await store.cancel(canceled.taskID, for: .everyone)
            let rows = try await store.endingSubmissions(limit: 10)
            #expect(rows.map(\.key) == [canceled, canceling, new, old])
            #expect(try await store.endingSubmissions(limit: 1).map(\.key) == [canceled])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aClaimAfterAnothersIsNone(_ kind: StoreKind) async throws {
        try await with(kind) { harness, store in
            let id = try await harness.create()
            let key = try #require(try await store.submit(id)).key
            #expect(try await store.claim(key, pod: "a", after: "b", metadata: [:]) == nil)
            let first = try #require(try await store.claim(key, pod: "a", after: nil, metadata: ["node": "n"]))
            #expect(first.key.number == 1 && first.state == .initializing)
            // The Pod's own as well as another's.
            #expect(try await store.claim(key, pod: "a", after: nil, metadata: [:]) == nil)
            #expect(try await store.claim(key, pod: "c", after: nil, metadata: [:]) == nil)
            #expect(try await store.claim(key, pod: "a", after: "a", metadata: [:])?.key == first.key)
            #expect(try await store.record(record(harness, .running), for: first.key) == .running)
            let second = try #require(try await store.claim(key, pod: "c", after: "a", metadata: [:]))
            #expect(second.key.number == 2)
            await #expect(throws: TaskStoreError.notThisAttempt) {
                try await store.record(record(harness, .running), for: first.key)
            }
        }
    }

    /// A right or a function that is missing is no fault of what was to be written.
    @Test func whatTheDatabaseRefusesIsToldFromWhatItCannotTake() async throws {
        try await with(.postgres) { harness, store in
            let id = try await harness.create()
            let key = try #require(try await store.submit(id)).key
            let attempt = try #require(try await store.claim(key, pod: "a", metadata: [:]))
            func refusal(_ record: AttemptRecord) async -> TaskStoreError? {
                do throws(TaskStoreError) { _ = try await store.record(record, for: attempt.key) } catch {
                    return error
                }
                return nil
            }
            let late = AttemptRecord(state: .running, time: Timestamp(microseconds: .max))
            guard case .corrupt = await refusal(late) else {
                Issue.record("it took a time after all")
                return
            }
            let pool = try #require(harness.pool)
            _ = try await pool.run("ALTER FUNCTION poiesis.record_v1 RENAME TO record_v0")
            guard case .refused = await refusal(record(harness, .running)) else {
                Issue.record("no refusal")
                return
            }
            _ = try await pool.run("ALTER FUNCTION poiesis.record_v0 RENAME TO record_v1")
            #expect(await refusal(record(harness, .running)) == nil)
        }
    }

    /// What recorder, controller, a client's cancel and an older attempt would write, at once: one end, and a cancel wins over what is not ended.
    ///
    /// `POIESIS_TEST_ROUNDS` says how often, 1,000 times if it does not.
    @Test func manyWritersLeaveOneEnd() async throws {
        let rounds = ProcessInfo.processInfo.environment["POIESIS_TEST_ROUNDS"].flatMap(Int.init) ?? 1000
        try await StoreHarness.withDatabase(connections: 8) { pool, store in
            var cancels = 0
            for round in 0..<rounds {
                let id = store.newID()
                let task = TESTask(executors: [TESExecutor(image: "i", command: ["true"])])
                try await store.create(NewTask(id: id, principal: .everyone, task: task))
                let key = try #require(try await store.submit(id)).key
                let old = try #require(try await store.claim(key, pod: "old", metadata: [:])).key
                let attempt = try #require(try await store.claim(key, pod: "pod", metadata: [:])).key
                let time = store.now()
                let cancelled = await withTaskGroup(of: TESState?.self) { group in
                    for state in [TESState.complete, .systemError, .executorError] {
                        group.addTask { try? await store.record(AttemptRecord(state: state, time: time), for: attempt) }
                    }
                    group.addTask {
                        await #expect(throws: TaskStoreError.notThisAttempt, "round \(round)") {
                            try await store.record(AttemptRecord(state: .complete, time: time), for: old)
                        }
                        return nil
                    }
                    // Sometimes a little later, so that each comes first now and then.
                    let delay = Int.random(in: 0...2)
                    group.addTask {
                        try? await Task.sleep(for: .microseconds(delay * 300))
                        return try? await store.cancel(id, for: .everyone)
                    }
                    var cancelled: TESState?
                    for await state in group where state == .canceling { cancelled = state }
                    return cancelled
                }
                let end = try #require(try await store.task(id, view: .minimal, for: .everyone)?.state)
                #expect(end.isTerminal, "round \(round)")
                if cancelled != nil {
                    cancels += 1
                    #expect(end == .canceled, "round \(round)")
                }
                let sql = """
                    SELECT count(*)::int FROM poiesis.task_events WHERE task_id = $1
                    AND state IN ('COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED')
                    """
                var row = try #require(try await pool.run(sql, [.text(id.description)]).rows.first)
                #expect(try row.int64() == 1, "round \(round)")
            }
            #expect(cancels > 0 && cancels < rounds, "\(cancels) cancels came first")
        }
    }
}
