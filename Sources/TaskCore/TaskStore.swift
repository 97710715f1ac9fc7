package import TES

/// Why a store could not do what it was asked.
package enum TaskStoreError: Error, Hashable, Sendable {
    /// The store is away; nothing was stored, trying again later may work.
    case unavailable(String)
    /// The attempt is not this one's to write: another holds the task, or the token is wrong.
    case notThisAttempt
    /// The idempotency key stands for another document.
    case keyOfAnotherTask
    /// The filters of a list match so few of so many tasks that finding them was broken off after this time.
    case searchTooLong(Duration)
    /// The store refuses the work itself, whatever is in it: a right or a function is missing, or it may only be read. Somebody has to
    /// mend that; then trying again works.
    case refused(String)
    /// The store holds something that cannot be, or will never take what it was given.
    case corrupt(String)
}

/// A task to be stored, with everything that the server adds.
package struct NewTask: Hashable, Sendable {
    package var id: TaskID
    package var principal: Principal
    /// The document as the client sent it, its creation time set.
    package var task: TESTask
    /// Opens the first attempt's system logs.
    package var warnings: [String]
    package var idempotency: IdempotencyKey?

    package init(
        id: TaskID, principal: Principal, task: TESTask, warnings: [String] = [], idempotency: IdempotencyKey? = nil
    ) {
        self.id = id
        self.principal = principal
        self.task = task
        self.warnings = warnings
        self.idempotency = idempotency
    }
}

/// A client's name for one creation: sent again within a day it gives the task that is already there.
package struct IdempotencyKey: Hashable, Sendable {
    /// 1 to 255 visible ASCII characters.
    package var key: String
    /// Of the document, so that another document under the same key is noticed.
    package var digest: String

    package init(key: String, digest: String) {
        self.key = key
        self.digest = digest
    }
}

/// Filters of a list; all must hold.
package struct TaskFilter: Hashable, Sendable {
    package var namePrefix: String?
    package var state: TESState?
    /// A nil value matches any.
    package var tags: [(key: String, value: String?)] = []

    package init(namePrefix: String? = nil, state: TESState? = nil, tags: [(key: String, value: String?)] = []) {
        self.namePrefix = namePrefix
        self.state = state
        self.tags = tags
    }

    package static func == (left: TaskFilter, right: TaskFilter) -> Bool { left.text == right.text }
    package func hash(into hasher: inout Hasher) { hasher.combine(text) }

    /// The same text for the same filters: page tokens are bound to it.
    package var text: String {
        let parts = [namePrefix, state?.rawValue] + tags.flatMap { [$0.key, $0.value] }
        return parts.map { $0.map { "\($0.utf8.count):\($0)" } ?? "-" }.joined(separator: ",")
    }
}

/// The ids of one page, newest first, and whether another follows.
package struct TaskPage: Hashable, Sendable {
    package var tasks: [(id: TaskID, state: TESState)]
    package var hasMore: Bool
    /// No other task lies between the first and the last: a store may read them as one range.
    package var isContiguous = false

    package init(tasks: [(id: TaskID, state: TESState)], hasMore: Bool) {
        self.tasks = tasks
        self.hasMore = hasMore
    }

    package static func == (left: TaskPage, right: TaskPage) -> Bool {
        left.hasMore == right.hasMore && left.tasks.map(\.id) == right.tasks.map(\.id)
            && left.tasks.map(\.state) == right.tasks.map(\.state)
    }
    package func hash(into hasher: inout Hasher) { hasher.combine(tasks.map(\.id)) }
}

/// One try at running a task.
package struct AttemptKey: Hashable, Sendable {
    package var taskID: TaskID
    /// Counted from 1.
    package var number: Int
    /// A secret that its writer proves itself with.
    package var token: String

    package init(taskID: TaskID, number: Int, token: String) {
        self.taskID = taskID
        self.number = number
        self.token = token
    }
}

/// An attempt with all that its runner needs.
package struct Attempt: Sendable {
    package var key: AttemptKey
    package var principal: Principal
    package var task: TESTask
    package var state: TESState

    package init(key: AttemptKey, principal: Principal, task: TESTask, state: TESState) {
        self.key = key
        self.principal = principal
        self.task = task
        self.state = state
    }
}

/// One uploaded file.
package struct OutputRecord: Hashable, Sendable {
    package var log: TESOutputFileLog
    /// `sha256:…` of the bytes that were uploaded.
    package var checksum: String

    package init(log: TESOutputFileLog, checksum: String) {
        self.log = log
        self.checksum = checksum
    }
}

/// What an attempt's runner writes; everything in one record is written in one transaction.
package struct AttemptRecord: Sendable {
    /// The state to go to; see ``LifeCycle/record(_:)``.
    package var state: TESState?
    /// When it happened; ends the attempt's log where the state is terminal.
    package var time: Timestamp
    package var executors: [(position: Int, log: TESExecutorLog)] = []
    package var outputs: [OutputRecord] = []
    package var systemLogs: [String] = []
    package var metadata: [String: String] = [:]
    package var cause: String?

    package init(state: TESState? = nil, time: Timestamp) {
        self.state = state
        self.time = time
    }
}

/// How much a worker can take.
package struct Capacity: Hashable, Sendable {
    package var cpuCores: Int
    /// In bytes.
    package var memory: Int64

    package init(cpuCores: Int, memory: Int64) {
        self.cpuCores = cpuCores
        self.memory = memory
    }
}

extension TESTask {
    /// What the queue counts for a task: one core where it does not say, and the memory that it asks for.
    package var demand: Capacity {
        let memory = (resources?.ramGb ?? 0) * 1e9
        return Capacity(cpuCores: max(1, Int(resources?.cpuCores ?? 1)), memory: memory < 9e18 ? Int64(memory) : .max)
    }
}

/// Where an attempt's runner writes what happens.
package protocol AttemptRecorder: Sendable {
    /// The store's clock.
    func now() -> Timestamp
    /// Writes what happened in an attempt; the task's state afterwards.
    @discardableResult
    func record(_ record: AttemptRecord, for key: AttemptKey) async throws(TaskStoreError) -> TESState
}

/// Where tasks are kept: PostgreSQL, or memory for one task without a server. One contract suite holds both to the same behaviour.
package protocol TaskStore: AttemptRecorder {
    /// The key that page tokens are signed with: the same for every replica of one deployment.
    func pageKey() async throws(TaskStoreError) -> [UInt8]
    /// When this deployment was made: constant for its life.
    func createdAt() async throws(TaskStoreError) -> Timestamp

    func newID() -> TaskID
    /// Stores a task as QUEUED. Returns only once it is stored; storing the same id twice is one task.
    ///
    /// - Returns: the task's id; another one than was given where its idempotency key is known already.
    @discardableResult
    func create(_ task: NewTask) async throws(TaskStoreError) -> TaskID
    /// One task in a view; nil where it is unknown or another's.
    func task(_ id: TaskID, view: TESView, for principal: Principal) async throws(TaskStoreError) -> TESTask?
    /// The page of tasks older than `after`.
    func page(_ filter: TaskFilter, size: Int, after: TaskID?, for principal: Principal) async throws(TaskStoreError)
        -> TaskPage
    /// Tasks of a page in a view, in the given order; those that vanished meanwhile are left out.
    ///
    /// - Parameter isContiguous: as the page says; see ``TaskPage/isContiguous``.
    func tasks(
        _ page: ArraySlice<(id: TaskID, state: TESState)>, isContiguous: Bool, view: TESView
    ) async throws(TaskStoreError) -> [TESTask]
    /// Asks for a cancel; the task's state afterwards, nil where it is unknown or another's.
    func cancel(_ id: TaskID, for principal: Principal) async throws(TaskStoreError) -> TESState?

    /// Notes that a worker lives.
    func heartbeat(_ worker: WorkerID) async throws(TaskStoreError)
    /// Gives back to the queue what workers held that have not been heard of for `lease`; how many tasks.
    func takeBackLost(lease: Duration) async throws(TaskStoreError) -> Int
    /// Claims the oldest waiting task that fits what is free, or that asks for more than there ever is; nil if there is none.
    func claim(_ worker: WorkerID, backend: String, free: Capacity, total: Capacity) async throws(TaskStoreError)
        -> Attempt?
    /// Attempts that a worker holds and that have not ended, after a restart.
    func openAttempts(of worker: WorkerID) async throws(TaskStoreError) -> [Attempt]
    /// Which of a worker's attempts are to be cancelled, or are no longer its own.
    func stopped(_ attempts: [AttemptKey]) async throws(TaskStoreError) -> Set<TaskID>
}

/// One process that runs attempts; kept in its data folder, so that it finds its own again after a restart.
package struct WorkerID: Hashable, Sendable, CustomStringConvertible {
    package var id: TaskID
    package var host: String

    package init(id: TaskID, host: String) {
        self.id = id
        self.host = host
    }

    package var description: String { id.description }
}
