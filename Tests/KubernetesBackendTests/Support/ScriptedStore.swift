import Synchronization
import TES
import TaskCore

/// The states that a task has gone through, as far as who wrote them was told.
final class StateNotes: Sendable {
    private let states = Mutex<[TESState]>([])

    /// Without repetitions.
    var all: [String] { states.withLock { $0.map(\.rawValue) } }

    func add(_ state: TESState) { states.withLock { if $0.last != state { $0.append(state) } } }
}

/// A recorder's store that notes each write, and does with it what a test says.
final class ScriptedStore: RecorderStore {
    /// What becomes of a call.
    enum Fate: Sendable {
        case passes
        /// The store is away.
        case fails
        /// The store refuses the work.
        case refuses
        /// Its caller was killed before the store had it, or before it had the answer: it never goes on.
        case cutBefore, cutAfter
    }

    private let store: any RecorderStore
    /// - Parameter number: of the call, from 0.
    private let fate: @Sendable (_ number: Int) -> Fate
    private let states: StateNotes?
    private let state = Mutex<(calls: Int, records: [AttemptRecord])>((0, []))

    /// How often it was called.
    var calls: Int { state.withLock { $0.calls } }
    /// What was to be recorded.
    var records: [AttemptRecord] { state.withLock { $0.records } }

    init(
        _ store: any RecorderStore, _ states: StateNotes? = nil,
        fate: @escaping @Sendable (_ number: Int) -> Fate = { _ in .passes }
    ) {
        self.store = store
        self.states = states
        self.fate = fate
    }

    func now() -> Timestamp { store.now() }

    private func next(_ record: AttemptRecord?) -> Fate {
        let number = state.withLock { state in
            if let record { state.records.append(record) }
            defer { state.calls += 1 }
            return state.calls
        }
        return fate(number)
    }

    private static func neverReturn() async -> Never { while true { try? await Task.sleep(for: .seconds(600)) } }

    private func passing<Value>(
        _ record: AttemptRecord?, _ call: () async throws(TaskStoreError) -> Value
    ) async throws(TaskStoreError) -> Value {
        switch next(record) {
        case .passes: return try await call()
        case .fails: throw .unavailable("away")
        case .refuses: throw .refused("permission denied for function record_v1")
        case .cutBefore: await Self.neverReturn()
        case .cutAfter:
            _ = try await call()
            await Self.neverReturn()
        }
    }

    func claim(
        _ key: SubmissionKey, pod: String, metadata: [String: String]
    ) async throws(TaskStoreError) -> Attempt? {
        try await passing(nil) { () throws(TaskStoreError) in
            let attempt = try await store.claim(key, pod: pod, metadata: metadata)
            if let attempt { states?.add(attempt.state) }
            return attempt
        }
    }

    func record(_ record: AttemptRecord, for key: AttemptKey) async throws(TaskStoreError) -> TESState {
        try await passing(record) { () throws(TaskStoreError) in
            let state = try await store.record(record, for: key)
            states?.add(state)
            return state
        }
    }
}
