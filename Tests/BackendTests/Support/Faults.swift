import Orchestrator
import Synchronization
import TES
import TaskCore
import TestServers

/// What goes wrong in an engine and a store, switched on and off by a test.
final class Faults: Sendable {
    struct State {
        /// The engine does not answer what stops, removes or looks at containers.
        var isEngineAway = false
        /// Records with executors' logs are refused for good.
        var refusesLogs = false
        /// Tasks are cancelled just before they are recorded as running.
        var cancelsBeforeRunning = false
        /// Claims whose answers get lost.
        var lostClaims = 0
        /// Pulls that fail because the registry is busy.
        var busyPulls = 0
        var pulls = 0
        var pullFailure: String?
        /// Records that were tried.
        var records: [AttemptRecord] = []
    }

    private let state = Mutex(State())

    subscript<Value: Sendable>(_ path: any WritableKeyPath<State, Value> & Sendable) -> Value {
        get { state.withLock { $0[keyPath: path] } }
        set { state.withLock { $0[keyPath: path] = newValue } }
    }

    func update<Value: Sendable>(_ body: @Sendable (inout State) -> Value) -> Value { state.withLock { body(&$0) } }
}

struct FaultyEngine: ContainerEngine {
    let engine: InMemoryEngine
    let faults: Faults

    private func check() throws(EngineError) {
        if faults[\.isEngineAway] { throw .unreachable("the engine is away") }
    }

    func image(_ name: String) async throws(EngineError) -> ImageFacts? { try await engine.image(name) }

    func pull(_ name: String) async throws(EngineError) {
        let (isBusy, failure) = faults.update { state in
            state.pulls += 1
            return (state.pulls <= state.busyPulls, state.pullFailure)
        }
        if isBusy { throw .busy("toomanyrequests") }
        if let failure { throw .refused(failure) }
        try await engine.pull(name)
    }

    func create(_ spec: ContainerSpec) async throws(EngineError) { try await engine.create(spec) }
    func start(_ name: String) async throws(EngineError) { try await engine.start(name) }
    func wait(_ name: String) async throws(EngineError) -> ContainerState { try await engine.wait(name) }

    func state(_ name: String) async throws(EngineError) -> ContainerState? {
        try check()
        return try await engine.state(name)
    }

    func stop(_ name: String, grace: Duration) async throws(EngineError) {
        try check()
        try await engine.stop(name, grace: grace)
    }

    func remove(_ name: String) async throws(EngineError) {
        try check()
        try await engine.remove(name)
    }

    func list(_ labels: [String: String]) async throws(EngineError) -> [String] { try await engine.list(labels) }
    func helperImage(shim: String) async throws(EngineError) -> String { try await engine.helperImage(shim: shim) }
}

/// Only what attempts write goes through here.
struct FaultyStore: ForwardingStore {
    let store: any TaskStore
    var base: any TaskStore { store }
    let faults: Faults

    func record(_ record: AttemptRecord, for key: AttemptKey) async throws(TaskStoreError) -> TESState {
        let isRefused = faults.update { state in
            state.records.append(record)
            return state.refusesLogs && !record.executors.isEmpty
        }
        if record.state == .running, faults[\.cancelsBeforeRunning] {
            _ = try await store.cancel(key.taskID, for: .everyone)
        }
        if isRefused { throw .corrupt("it is refused") }
        return try await store.record(record, for: key)
    }

    func claim(
        _ worker: WorkerID, backend: String, free: Capacity, total: Capacity
    ) async throws(TaskStoreError) -> Attempt? {
        let attempt = try await store.claim(worker, backend: backend, free: free, total: total)
        let isLost = faults.update { state in
            if attempt == nil || state.lostClaims == 0 { return false }
            state.lostClaims -= 1
            return true
        }
        if isLost { throw .unavailable("the connection broke") }
        return attempt
    }
}
