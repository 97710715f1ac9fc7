import Foundation
import KubernetesAPI
import KubernetesBackend
import KubernetesFake
import Synchronization
import TES
import TaskCore
import TaskStore
import Testing

/// A recorder, two controllers, a client's cancel, an older attempt's recorder and whoever deletes Pods, all at work on the same tasks at
/// random moments.
///
/// `POIESIS_TEST_SEED` repeats what was random; `POIESIS_TEST_ROUNDS` says how many tasks, 1,000 if it does not.
@Suite("Race of a task's Pod")
struct PodRaceTests {
    /// What happens to one task.
    private struct Round: CustomStringConvertible, Sendable {
        var codes: [Int32] = []
        var seconds = 0.0
        /// Seconds after its creation; nil is never.
        var cancelAt, deleteAt: Double?
        /// An older attempt claims first; its recorder writes this, so long after the newer one has claimed.
        var older: (state: TESState, after: Double)?

        var description: String {
            """
            codes \(codes) after \(seconds) s, cancel at \(cancelAt as Any), Pod deleted at \(deleteAt as Any), \
            older attempt \(older as Any)
            """
        }

        init(_ random: inout SplitMix) {
            codes = (0..<Int.random(in: 1...2, using: &random)).map { _ in Bool.random(using: &random) ? 0 : 7 }
            seconds = Double.random(in: 0...0.3, using: &random)
            if Int.random(in: 0..<2, using: &random) == 0 { cancelAt = Double.random(in: 0...2.5, using: &random) }
            if Int.random(in: 0..<4, using: &random) == 0 { deleteAt = Double.random(in: 0...2.5, using: &random) }
            if Int.random(in: 0..<2, using: &random) == 0 {
                let states: [TESState] = [.complete, .executorError, .systemError, .queued, .running, .canceled]
                let state = states[Int.random(in: 0..<states.count, using: &random)]
                older = (state, Double.random(in: 0...1, using: &random))
            }
        }
    }

    /// https://prng.di.unimi.it/splitmix64.c
    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    /// Lets an older attempt claim a task before its Pod's recorder does, where a round says so.
    private final class OlderFirst: RecorderStore {
        let store: PostgresTaskStore
        /// By task: the older attempt's key once it has one.
        let older = Mutex<[TaskID: AttemptKey?]>([:])

        init(_ store: PostgresTaskStore) { self.store = store }

        func now() -> TES.Timestamp { store.now() }

        func claim(
            _ key: SubmissionKey, pod: String, metadata: [String: String]
        ) async throws(TaskStoreError) -> Attempt? {
            let isFirst = older.withLock { older in
                guard case .some(nil) = older[key.taskID], key.number == 1 else { return false }
                return true
            }
            if isFirst, let attempt = try await store.claim(key, pod: "older-" + pod, metadata: metadata) {
                older.withLock { $0[key.taskID] = attempt.key }
            }
            return try await store.claim(key, pod: pod, metadata: metadata)
        }

        func record(_ record: AttemptRecord, for key: AttemptKey) async throws(TaskStoreError) -> TESState {
            try await store.record(record, for: key)
        }
    }

    @Test(.timeLimit(.minutes(60)))
    func whateverHappensATaskEndsOnceAndLeavesNothing() async throws {
        let seed =
            ProcessInfo.processInfo.environment["POIESIS_TEST_SEED"].flatMap(UInt64.init)
            ?? UInt64.random(in: 0 ... .max)
        let count = ProcessInfo.processInfo.environment["POIESIS_TEST_ROUNDS"].flatMap(Int.init) ?? 1000
        print("race of a task's Pod: POIESIS_TEST_SEED=\(seed)")
        var random = SplitMix(state: seed)
        let rounds = (0..<count).map { _ in Round(&random) }
        let tasks = Shared<[TaskID: Round]>([:])
        let canceled = Shared<Set<TaskID>>([])
        let notes = OlderBox()
        let program: @Sendable (SubmissionKey, Int) -> PlayedPods.Program = { key, position in
            let round = tasks.withLock { $0[key.taskID] }
            return PlayedPods.Program(code: round?.codes[position] ?? 0, seconds: round?.seconds ?? 0)
        }
        try await DatabaseHarness.with(recorderStore: notes.make, program: program) { harness in
            await harness.addSecret()
            let older = try #require(notes.store)
            // Both believe that they lead.
            let controllers = (0..<2).map { _ in
                harness.controller {
                    ($0.comparisonEvery, $0.orphanAge, $0.limits.podless, $0.limits.afterEnd) = (2, 5, 3, 2)
                }
            }
            try await harness.led(by: controllers) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (number, round) in rounds.enumerated() {
                        // As many as the machine likes at once.
                        if number >= 40 { try await group.next() }
                        group.addTask {
                            let id = harness.store.newID()
                            tasks.withLock { $0[id] = round }
                            if round.older != nil { older.older.withLock { $0[id] = .some(nil) } }
                            try await play(round, id, harness, older, canceled)
                        }
                    }
                    try await group.waitForAll()
                }
                try await harness.eventuallyNothingIsLeft()
            }
            for (id, round) in tasks.withLock({ $0 }) {
                let wasCanceled = canceled.withLock { $0.contains(id) }
                let task = try #require(try await harness.task(id))
                let state = try #require(task.state)
                let told: Comment = "seed \(seed), \(id): \(round): \(task.logs?.map { $0.systemLogs ?? [] } ?? [])"
                #expect(try await harness.ends(id) == 1, told)
                if wasCanceled {
                    #expect(state == .canceled, told)
                } else if round.deleteAt == nil {
                    #expect(state == (round.codes.contains(7) ? .executorError : .complete), told)
                } else {
                    #expect([.complete, .executorError].contains(state), told)
                }
            }
            let number = canceled.withLock { $0.count }
            #expect(number > 0 && number < count, "\(number) cancels came before the end")
        }
    }

    /// What the tasks of a test share.
    private final class Shared<Value: Sendable>: Sendable {
        private let content: Mutex<Value>
        init(_ value: Value) { content = Mutex(value) }
        func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
            content.withLock { value in body(&value) }
        }
    }

    private final class OlderBox: @unchecked Sendable {
        // Unchecked: the harness makes the store before the test's body, which alone reads it, begins.
        var store: OlderFirst?
        func make(_ real: PostgresTaskStore) -> any RecorderStore {
            let made = OlderFirst(real)
            store = made
            return made
        }
    }

    /// One task's life with all who disturb it; returns once it has ended.
    private func play(
        _ round: Round, _ id: TaskID, _ harness: DatabaseHarness, _ older: OlderFirst,
        _ canceled: Shared<Set<TaskID>>
    ) async throws {
        let executor = TESExecutor(image: "busybox:1.35", command: ["true"])
        let task = TESTask(executors: Array(repeating: executor, count: round.codes.count))
        try await harness.store.create(NewTask(id: id, principal: .everyone, task: task))
        let start = ContinuousClock.now
        var wasCanceled = false
        try await withThrowingTaskGroup(of: Bool.self) { group in
            if let at = round.cancelAt {
                group.addTask {
                    try await Task.sleep(until: start + .seconds(at))
                    let state = try await harness.store.cancel(id, for: .everyone)
                    let client = harness.client
                    await JobCancellation(client: client, store: harness.store, logger: DatabaseHarness.logger("api"))
                        .cancel(id)
                    return state == .canceling || state == .canceled
                }
            }
            if let at = round.deleteAt {
                group.addTask {
                    try await Task.sleep(until: start + .seconds(at))
                    let pods = try await harness.client.list(Pod.self).items.filter {
                        $0.metadata?.labels?[ObjectLabel.task] == id.description
                    }
                    for name in pods.compactMap(\.metadata?.name) {
                        _ = try? await harness.client.delete(Pod.self, name, propagation: .background)
                    }
                    return false
                }
            }
            if let (state, after) = round.older {
                group.addTask {
                    // A task that is cancelled early is never claimed.
                    var key: AttemptKey?
                    while key == nil {
                        key = older.older.withLock { $0[id] ?? nil }
                        if try await harness.state(id)?.isTerminal == true { break }
                        try await Task.sleep(for: .milliseconds(20))
                    }
                    guard let key else { return false }
                    try await Task.sleep(for: .seconds(after))
                    let record = AttemptRecord(state: state, time: harness.store.now())
                    do throws(TaskStoreError) {
                        let state = try await harness.store.record(record, for: key)
                        // Where a cancel came before the other Pod claimed, the attempt is the task's last: it may only end as that says.
                        #expect(state == .canceling || state == .canceled, "an older attempt has written")
                    } catch {
                        #expect(error == .notThisAttempt)
                    }
                    return false
                }
            }
            group.addTask {
                try await harness.eventually("\(id) ends: \(round)") {
                    try await harness.state(id)?.isTerminal == true
                }
                return false
            }
            for try await isCanceled in group where isCanceled { wasCanceled = true }
        }
        if wasCanceled { canceled.withLock { _ = $0.insert(id) } }
    }
}
