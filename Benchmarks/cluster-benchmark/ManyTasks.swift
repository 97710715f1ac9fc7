import Foundation
import KubernetesAPI
import KubernetesBackend
import Synchronization
import TES
import TaskCore

/// A store of tasks that are all alike and take no memory: what is measured is the controller alone.
final class ManyTasks: SubmissionStore {
    static let instance = "5f0c6f6e-6f0b-4d0e-9a3b-0d6b6d8c1f10"

    private let live: Int
    private let waiting: Int
    /// How many waiting tasks have been submitted.
    private let submitted = Mutex(0)
    private let begun = Mutex<ContinuousClock.Instant?>(nil)

    /// - Parameters:
    ///   - live: tasks that a Pod has claimed.
    ///   - waiting: tasks without a Job.
    init(live: Int, waiting: Int) {
        self.live = live
        self.waiting = waiting
    }

    /// When the first task was submitted.
    var start: ContinuousClock.Instant? { begun.withLock { $0 } }

    static func key(_ index: Int) -> SubmissionKey {
        SubmissionKey(taskID: TaskID(high: 1, low: UInt64(index)), number: 1)
    }

    static func task(_ index: Int) -> TESTask {
        let executor = TESExecutor(image: "registry.example/tools:1", command: ["run", "--threads", "4", "/data/in"])
        return TESTask(
            name: "benchmark", inputs: [TESInput(url: "s3://bucket/input-\(index)", path: "/data/in")],
            outputs: [TESOutput(url: "s3://bucket/output-\(index)", path: "/data/out")],
            resources: TESResources(cpuCores: 4, ramGb: 8, diskGb: 5), executors: [executor, executor])
    }

    static func pod(_ index: Int) throws(TaskRefusal) -> TaskPod {
        try TaskPod(
            Submission(key: key(index), principal: .everyone, task: task(index)),
            configuration: KubernetesConfiguration(image: "registry.example/poiesis:1"), instance: instance)
    }

    static func job(_ index: Int) throws(TaskRefusal) -> Job { try pod(index).job }

    private func row(_ index: Int) -> OpenSubmission {
        let claim = OpenSubmission.Claim(pod: "pod-\(index)", attempt: 1, holdsTask: true)
        return OpenSubmission(
            key: Self.key(index), principal: .everyone, state: index < live ? .running : .queued, changedAt: now(),
            createdAt: now(), claim: index < live ? claim : nil, isCurrent: true)
    }

    private var rows: Int { live + submitted.withLock { $0 } }

    // MARK: What a controller asks

    func now() -> TES.Timestamp {
        TES.Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
    }

    func waitingTasks(limit: Int) async throws(TaskStoreError) -> [TaskID] {
        let first = rows
        return (first..<min(first + limit, live + waiting)).map { Self.key($0).taskID }
    }

    func submit(_ id: TaskID) async throws(TaskStoreError) -> Submission? {
        begun.withLock { $0 = $0 ?? .now }
        submitted.withLock { $0 += 1 }
        let index = Int(id.low)
        return Submission(key: Self.key(index), principal: .everyone, task: Self.task(index))
    }

    func openSubmissions(after: SubmissionKey?, limit: Int) async throws(TaskStoreError) -> [OpenSubmission] {
        let first = after.map { Int($0.taskID.low) + 1 } ?? 0
        return (first..<max(first, min(first + limit, rows))).map(row)
    }

    func openSubmissions(of tasks: [TaskID]) async throws(TaskStoreError) -> [OpenSubmission] {
        tasks.map { row(Int($0.low)) }
    }

    func endingSubmissions(limit: Int) async throws(TaskStoreError) -> [OpenSubmission] { [] }
    func close(_ key: SubmissionKey) async throws(TaskStoreError) {}
    func closeUnclaimed(_ key: SubmissionKey) async throws(TaskStoreError) -> Bool { true }

    // MARK: What it does not ask here

    private static let unasked = TaskStoreError.unavailable("the benchmark does not play this")

    func claim(
        _ key: SubmissionKey, pod: String, metadata: [String: String]
    ) async throws(TaskStoreError) -> Attempt? { throw Self.unasked }
    func claim(
        _ key: SubmissionKey, pod: String, after claimant: String?, metadata: [String: String]
    ) async throws(TaskStoreError) -> Attempt? { throw Self.unasked }
    func record(_ record: AttemptRecord, for key: AttemptKey) async throws(TaskStoreError) -> TESState {
        throw Self.unasked
    }
    func newID() -> TaskID { Self.key(live + waiting).taskID }
    func pageKey() async throws(TaskStoreError) -> [UInt8] { throw Self.unasked }
    func createdAt() async throws(TaskStoreError) -> TES.Timestamp { throw Self.unasked }
    func create(_ task: NewTask) async throws(TaskStoreError) -> TaskID { throw Self.unasked }
    func task(_ id: TaskID, view: TESView, for principal: Principal) async throws(TaskStoreError) -> TESTask? {
        throw Self.unasked
    }
    func page(
        _ filter: TaskFilter, size: Int, after: TaskID?, for principal: Principal
    ) async throws(TaskStoreError) -> TaskPage { throw Self.unasked }
    func tasks(
        _ page: ArraySlice<(id: TaskID, state: TESState)>, isContiguous: Bool, view: TESView
    ) async throws(TaskStoreError) -> [TESTask] { throw Self.unasked }
    func cancel(_ id: TaskID, for principal: Principal) async throws(TaskStoreError) -> TESState? {
        throw Self.unasked
    }
    func heartbeat(_ worker: WorkerID) async throws(TaskStoreError) { throw Self.unasked }
    func takeBackLost(lease: Duration) async throws(TaskStoreError) -> Int { throw Self.unasked }
    func claim(
        _ worker: WorkerID, backend: String, free: Capacity, total: Capacity
    ) async throws(TaskStoreError) -> Attempt? { throw Self.unasked }
    func openAttempts(of worker: WorkerID) async throws(TaskStoreError) -> [Attempt] { throw Self.unasked }
    func stopped(_ attempts: [AttemptKey]) async throws(TaskStoreError) -> Set<TaskID> { throw Self.unasked }
}
