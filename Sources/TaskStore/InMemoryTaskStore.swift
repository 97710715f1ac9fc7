import Synchronization
package import TES
package import TaskCore

/// Tasks in memory: for `poiesis run` and for tests. The same contract suite holds it to the behaviour of PostgreSQL's.
package final class InMemoryTaskStore: TaskStore {
    struct Entry {
        var new: NewTask
        /// When it came into its state.
        var changedAt: Timestamp
        var lifeCycle = LifeCycle()
        var attempts: [Held] = []
        /// How many there were.
        var submission = 0
        /// Those that are open, by number.
        var submissions: [Int: HeldSubmission] = [:]
    }

    struct HeldSubmission {
        var createdAt: Timestamp
        var claim: (pod: String, attempt: Int)?
        /// All that have claimed it.
        var pods: Set<String> = []
    }

    struct Held {
        /// Nil for a Pod's.
        var worker: WorkerID?
        var token: String
        var log: TESTaskLog
        var executors: [Int: TESExecutorLog] = [:]
    }

    struct State {
        var entries: [TaskID: Entry] = [:]
        var heartbeats: [TaskID: Timestamp] = [:]
        var generator = TaskIDGenerator()
        var random = SystemRandomNumberGenerator()
    }

    /// Microseconds until a task that does not fit holds up what is younger.
    private static let patience: Int64 = 600_000_000

    private let clock: @Sendable () -> Timestamp
    let metadata: [String: String]
    private let created: Timestamp
    private let key = randomToken()
    let state = Mutex(State())

    /// - Parameter metadata: opens each attempt's metadata.
    package init(metadata: [String: String] = [:], clock: @escaping @Sendable () -> Timestamp) {
        self.metadata = metadata
        self.clock = clock
        created = clock()
    }

    package func now() -> Timestamp { clock() }
    package func pageKey() async throws(TaskStoreError) -> [UInt8] { Array(key.utf8) }
    package func createdAt() async throws(TaskStoreError) -> Timestamp { created }

    package func newID() -> TaskID {
        let time = clock()
        return state.withLock { $0.generator.next(now: time, random: &$0.random) }
    }

    @discardableResult
    package func create(_ task: NewTask) async throws(TaskStoreError) -> TaskID {
        let time = clock()
        let stored = state.withLock { state -> TaskID? in
            if let wanted = task.idempotency,
                let known = state.entries.values.first(where: {
                    $0.new.principal == task.principal && $0.new.idempotency?.key == wanted.key
                })
            {
                return known.new.idempotency == wanted ? known.new.id : nil
            }
            if state.entries[task.id] == nil { state.entries[task.id] = Entry(new: task, changedAt: time) }
            return task.id
        }
        guard let stored else { throw .keyOfAnotherTask }
        return stored
    }

    package func task(_ id: TaskID, view: TESView, for principal: Principal) async throws(TaskStoreError) -> TESTask? {
        guard let entry = entry(id, principal) else { return nil }
        return try document(entry).reduced(to: view)
    }

    package func page(
        _ filter: TaskFilter, size: Int, after: TaskID?, for principal: Principal
    ) async throws(TaskStoreError) -> TaskPage {
        let found = state.withLock { state in
            state.entries.values
                .filter { entry in
                    let tags = entry.new.task.tags ?? [:]
                    return entry.new.principal == principal && after.map { entry.new.id < $0 } ?? true
                        && filter.state.map { entry.lifeCycle.state == $0 } ?? true
                        && filter.namePrefix.map { entry.new.task.name?.utf8.starts(with: $0.utf8) ?? false } ?? true
                        && filter.tags.allSatisfy { tag in
                            tags[tag.key].map { tag.value == nil || $0 == tag.value } ?? false
                        }
                }
                .map { (id: $0.new.id, state: $0.lifeCycle.state) }
        }
        let sorted = found.sorted { $0.id > $1.id }
        return TaskPage(tasks: Array(sorted.prefix(size)), hasMore: sorted.count > size)
    }

    package func tasks(
        _ page: ArraySlice<(id: TaskID, state: TESState)>, isContiguous: Bool, view: TESView
    ) async throws(TaskStoreError) -> [TESTask] {
        var tasks: [TESTask] = []
        for (id, taskState) in page {
            guard let entry = state.withLock({ $0.entries[id] }) else { continue }
            tasks.append(try document(entry).identified(id.description, taskState).reduced(to: view))
        }
        return tasks
    }

    package func cancel(_ id: TaskID, for principal: Principal) async throws(TaskStoreError) -> TESState? {
        let time = clock()
        return state.withLock { state in
            guard state.entries[id]?.new.principal == principal else { return nil }
            if case .changed = state.entries[id]?.lifeCycle.cancel() { state.entries[id]?.changedAt = time }
            return state.entries[id]?.lifeCycle.state
        }
    }

    package func heartbeat(_ worker: WorkerID) async throws(TaskStoreError) {
        let time = clock()
        state.withLock { $0.heartbeats[worker.id] = time }
    }

    package func takeBackLost(lease: Duration) async throws(TaskStoreError) -> Int {
        let time = clock()
        let limit = time.microseconds - lease.components.seconds * 1_000_000
        return state.withLock { state in
            var count = 0
            for (id, entry) in state.entries {
                guard let held = entry.attempts.last, held.log.endTime == nil, !entry.lifeCycle.state.isTerminal,
                    let worker = held.worker, let beat = state.heartbeats[worker.id], beat.microseconds < limit
                else { continue }
                let isLast = entry.attempts.count >= LifeCycle.mostAttempts
                _ = state.entries[id]?.lifeCycle.record(isLast ? .systemError : .queued)
                state.entries[id]?.changedAt = time
                let last = entry.attempts.count - 1
                state.entries[id]?.attempts[last].log.endTime = time
                state.entries[id]?.attempts[last].log.systemLogs =
                    (held.log.systemLogs ?? []) + [
                        "the attempt was lost: its worker on \(worker.host) was not heard of for \(lease)"
                    ]
                count += 1
            }
            return count
        }
    }

    package func claim(
        _ worker: WorkerID, backend: String, free: Capacity, total: Capacity
    ) async throws(TaskStoreError) -> Attempt? {
        let time = clock()
        return state.withLock { state in
            let waiting = state.entries.values.filter { $0.lifeCycle.state == .queued }.sorted { $0.new.id < $1.new.id }
            let first = waiting.first { entry in
                entry.new.task.demand.isClaimable(free: free, total: total)
                    || entry.changedAt.microseconds < time.microseconds - Self.patience
            }
            guard var entry = first, entry.new.task.demand.isClaimable(free: free, total: total) else { return nil }
            var log = TESTaskLog(metadata: metadata, startTime: time)
            log.metadata?["backend"] = backend
            if entry.attempts.isEmpty, !entry.new.warnings.isEmpty { log.systemLogs = entry.new.warnings }
            entry.attempts.append(Held(worker: worker, token: randomToken(), log: log))
            _ = entry.lifeCycle.record(.initializing)
            entry.changedAt = time
            state.entries[entry.new.id] = entry
            return attempt(entry)
        }
    }

    package func openAttempts(of worker: WorkerID) async throws(TaskStoreError) -> [Attempt] {
        state.withLock { state in
            state.entries.values
                .filter { $0.attempts.last.map { $0.worker?.id == worker.id && $0.log.endTime == nil } ?? false }
                .sorted { $0.new.id < $1.new.id }
                .compactMap(attempt)
        }
    }

    func attempt(_ entry: Entry) -> Attempt? {
        guard let held = entry.attempts.last else { return nil }
        let key = AttemptKey(taskID: entry.new.id, number: entry.attempts.count, token: held.token)
        let task = entry.new.task.identified(entry.new.id.description, entry.lifeCycle.state)
        return Attempt(key: key, principal: entry.new.principal, task: task, state: entry.lifeCycle.state)
    }

    package func stopped(_ attempts: [AttemptKey]) async throws(TaskStoreError) -> Set<TaskID> {
        state.withLock { state in
            Set(
                attempts.filter { key in
                    guard let entry = state.entries[key.taskID], entry.attempts.count == key.number else { return true }
                    return entry.lifeCycle.state != .initializing && entry.lifeCycle.state != .running
                }.map(\.taskID))
        }
    }

    package func record(_ record: AttemptRecord, for key: AttemptKey) async throws(TaskStoreError) -> TESState {
        let time = clock()
        let result = state.withLock { state -> TESState? in
            guard var entry = state.entries[key.taskID], entry.attempts.count == key.number,
                var held = entry.attempts.last, held.token == key.token
            else { return nil }
            // The attempt gave the task back, or lost it; only saying so again is harmless.
            if entry.lifeCycle.state == .queued { return record.state == .queued ? .queued : nil }
            for (position, log) in record.executors where held.executors[position] == nil {
                var log = log
                log.stdout = log.stdout.map(recordable)
                log.stderr = log.stderr.map(recordable)
                held.executors[position] = log
            }
            held.log.logs = held.executors.sorted { $0.key < $1.key }.map(\.value)
            if held.log.outputs.isEmpty { held.log.outputs = record.outputs.map(\.log) }
            let lines = record.systemLogs.map(recordable).filter { !(held.log.systemLogs ?? []).contains($0) }
            if !lines.isEmpty { held.log.systemLogs = (held.log.systemLogs ?? []) + lines }
            held.log.metadata?.merge(record.metadata.mapValues(recordable)) { _, new in new }
            if let next = record.state, case .changed(let reached) = entry.lifeCycle.record(next) {
                entry.changedAt = time
                if reached.isTerminal || reached == .queued {
                    held.log.endTime = held.log.startTime.map { max($0, record.time) } ?? record.time
                }
            }
            entry.attempts[key.number - 1] = held
            state.entries[key.taskID] = entry
            return entry.lifeCycle.state
        }
        guard let result else { throw .notThisAttempt }
        return result
    }

    private func entry(_ id: TaskID, _ principal: Principal) -> Entry? {
        state.withLock { state in
            guard let entry = state.entries[id], entry.new.principal == principal else { return nil }
            return entry
        }
    }

    private func document(_ entry: Entry) -> TESTask {
        var task = entry.new.task.identified(entry.new.id.description, entry.lifeCycle.state)
        if !entry.attempts.isEmpty { task.logs = entry.attempts.map(\.log) }
        return task
    }
}

extension Capacity {
    /// It fits what is free, or it never will and has to be refused.
    fileprivate func isClaimable(free: Capacity, total: Capacity) -> Bool {
        cpuCores <= free.cpuCores && memory <= free.memory || cpuCores > total.cpuCores || memory > total.memory
    }
}

extension TESTask {
    /// Only what a view shows; the generated writer knows which properties those are.
    func reduced(to view: TESView) throws(TaskStoreError) -> TESTask {
        guard let task = TESTask(json: JSONWriter.encode(self, viewLevel: view.position)) else {
            throw .corrupt("a task could not be read back")
        }
        return task
    }
}
