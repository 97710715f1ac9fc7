import Synchronization
import TES
import TaskCore
import TaskStore

/// A store that a test sends away: what a controller asks of it fails then.
final class AwayStore: SubmissionStore {
    private let store: InMemoryTaskStore
    private let away = Mutex(false)

    init(_ store: InMemoryTaskStore) { self.store = store }

    var isAway: Bool {
        get { away.withLock { $0 } }
        set { away.withLock { $0 = newValue } }
    }

    private func check() throws(TaskStoreError) { if isAway { throw .unavailable("a test sent it away") } }

    func waitingTasks(limit: Int) async throws(TaskStoreError) -> [TaskID] {
        try check()
        return try await store.waitingTasks(limit: limit)
    }

    func submit(_ id: TaskID) async throws(TaskStoreError) -> Submission? {
        try check()
        return try await store.submit(id)
    }

    func openSubmissions(after: SubmissionKey?, limit: Int) async throws(TaskStoreError) -> [OpenSubmission] {
        try check()
        return try await store.openSubmissions(after: after, limit: limit)
    }

    func openSubmissions(of tasks: [TaskID]) async throws(TaskStoreError) -> [OpenSubmission] {
        try check()
        return try await store.openSubmissions(of: tasks)
    }

    func endingSubmissions(limit: Int) async throws(TaskStoreError) -> [OpenSubmission] {
        try check()
        return try await store.endingSubmissions(limit: limit)
    }

    func close(_ key: SubmissionKey) async throws(TaskStoreError) {
        try check()
        try await store.close(key)
    }

    func claim(
        _ key: SubmissionKey, pod: String, metadata: [String: String]
    ) async throws(TaskStoreError) -> Attempt? {
        try check()
        return try await store.claim(key, pod: pod, metadata: metadata)
    }

    func claim(
        _ key: SubmissionKey, pod: String, after claimant: String?, metadata: [String: String]
    ) async throws(TaskStoreError) -> Attempt? {
        try check()
        return try await store.claim(key, pod: pod, after: claimant, metadata: metadata)
    }

    func record(_ record: AttemptRecord, for key: AttemptKey) async throws(TaskStoreError) -> TESState {
        try check()
        return try await store.record(record, for: key)
    }

    // MARK: What no controller asks

    func now() -> TES.Timestamp { store.now() }
    func newID() -> TaskID { store.newID() }
    func pageKey() async throws(TaskStoreError) -> [UInt8] { try await store.pageKey() }
    func createdAt() async throws(TaskStoreError) -> TES.Timestamp { try await store.createdAt() }
    func create(_ task: NewTask) async throws(TaskStoreError) -> TaskID { try await store.create(task) }
    func task(_ id: TaskID, view: TESView, for principal: Principal) async throws(TaskStoreError) -> TESTask? {
        try await store.task(id, view: view, for: principal)
    }
    func page(
        _ filter: TaskFilter, size: Int, after: TaskID?, for principal: Principal
    ) async throws(TaskStoreError) -> TaskPage {
        try await store.page(filter, size: size, after: after, for: principal)
    }
    func tasks(
        _ page: ArraySlice<(id: TaskID, state: TESState)>, isContiguous: Bool, view: TESView
    ) async throws(TaskStoreError) -> [TESTask] {
        try await store.tasks(page, isContiguous: isContiguous, view: view)
    }
    func cancel(_ id: TaskID, for principal: Principal) async throws(TaskStoreError) -> TESState? {
        try await store.cancel(id, for: principal)
    }
    func heartbeat(_ worker: WorkerID) async throws(TaskStoreError) { try await store.heartbeat(worker) }
    func takeBackLost(lease: Duration) async throws(TaskStoreError) -> Int {
        try await store.takeBackLost(lease: lease)
    }
    func claim(
        _ worker: WorkerID, backend: String, free: Capacity, total: Capacity
    ) async throws(TaskStoreError) -> Attempt? {
        try await store.claim(worker, backend: backend, free: free, total: total)
    }
    func openAttempts(of worker: WorkerID) async throws(TaskStoreError) -> [Attempt] {
        try await store.openAttempts(of: worker)
    }
    func stopped(_ attempts: [AttemptKey]) async throws(TaskStoreError) -> Set<TaskID> {
        try await store.stopped(attempts)
    }
}
