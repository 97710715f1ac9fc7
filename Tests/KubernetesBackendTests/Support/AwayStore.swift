import Synchronization
import TES
import TaskCore
import TaskStore
import TestServers

/// A store that a test sends away: what a controller asks of it fails then, all else goes on.
final class AwayStore: SubmissionStore, ForwardingStore {
    private let store: InMemoryTaskStore
    var base: any TaskStore { store }
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

    func closeUnclaimed(_ key: SubmissionKey) async throws(TaskStoreError) -> Bool {
        try check()
        return try await store.closeUnclaimed(key)
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
}
