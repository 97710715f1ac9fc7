package import TES
package import TaskCore

/// A store of tests that hands all calls on to another one, but for those that it defines itself.
package protocol ForwardingStore: TaskStore {
    /// What is asked in the end.
    var base: any TaskStore { get }
}

extension ForwardingStore {
    package func now() -> Timestamp { base.now() }
    package func newID() -> TaskID { base.newID() }
    package func pageKey() async throws(TaskStoreError) -> [UInt8] { try await base.pageKey() }
    package func createdAt() async throws(TaskStoreError) -> Timestamp { try await base.createdAt() }
    package func create(_ task: NewTask) async throws(TaskStoreError) -> TaskID { try await base.create(task) }

    package func task(_ id: TaskID, view: TESView, for principal: Principal) async throws(TaskStoreError) -> TESTask? {
        try await base.task(id, view: view, for: principal)
    }

    package func page(
        _ filter: TaskFilter, size: Int, after: TaskID?, for principal: Principal
    ) async throws(TaskStoreError) -> TaskPage {
        try await base.page(filter, size: size, after: after, for: principal)
    }

    package func tasks(
        _ page: ArraySlice<(id: TaskID, state: TESState)>, isContiguous: Bool, view: TESView
    ) async throws(TaskStoreError) -> [TESTask] {
        try await base.tasks(page, isContiguous: isContiguous, view: view)
    }

    package func cancel(_ id: TaskID, for principal: Principal) async throws(TaskStoreError) -> TESState? {
        try await base.cancel(id, for: principal)
    }

    package func heartbeat(_ worker: WorkerID) async throws(TaskStoreError) { try await base.heartbeat(worker) }
    package func takeBackLost(lease: Duration) async throws(TaskStoreError) -> Int {
        try await base.takeBackLost(lease: lease)
    }

    package func claim(
        _ worker: WorkerID, backend: String, free: Capacity, total: Capacity
    ) async throws(TaskStoreError) -> Attempt? {
        try await base.claim(worker, backend: backend, free: free, total: total)
    }

    package func record(_ record: AttemptRecord, for key: AttemptKey) async throws(TaskStoreError) -> TESState {
        try await base.record(record, for: key)
    }

    package func openAttempts(of worker: WorkerID) async throws(TaskStoreError) -> [Attempt] {
        try await base.openAttempts(of: worker)
    }

    package func stopped(_ attempts: [AttemptKey]) async throws(TaskStoreError) -> Set<TaskID> {
        try await base.stopped(attempts)
    }
}
