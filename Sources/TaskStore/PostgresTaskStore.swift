package import Logging
package import Postgres
import Synchronization
package import TES
package import TaskCore

/// Tasks in PostgreSQL.
///
/// What only reads, and what may be written twice without harm, is tried for 8 seconds through a failover; see
/// ``create(_:)`` for what is not.
package final class PostgresTaskStore: TaskStore {
    private struct State {
        /// The database's clock minus ours, in microseconds.
        var clockOffset: Int64 = 0
        var lastTime = Timestamp(microseconds: 0)
        var generator = TaskIDGenerator()
        var random = SystemRandomNumberGenerator()
        var instance: (id: String, createdAt: Timestamp)?
        /// Tasks whose creation was refused without knowing whether they were stored: cancelled as soon as that is possible.
        var doubtful: [NewTask] = []
    }

    static let patience = Duration.seconds(8)

    let pool: PostgresPool
    let searches: TaskSearches
    let metadata: [String: String]
    private let localClock: @Sendable () -> Timestamp
    private let logger: Logger
    private let state = Mutex(State())
    private let stateReads = StateReads()

    /// - Parameters:
    ///   - searches: for lists whose filters no index has in order; by default they share the pool.
    ///   - metadata: opens each attempt's metadata.
    ///   - localClock: this machine's clock; the database's is measured against it.
    package init(
        pool: PostgresPool, searches: TaskSearches? = nil, metadata: [String: String], logger: Logger,
        localClock: @escaping @Sendable () -> Timestamp
    ) {
        self.pool = pool
        self.searches = searches ?? TaskSearches(pool: pool)
        self.metadata = metadata
        self.logger = logger
        self.localClock = localClock
    }

    // MARK: Clock, identity, maintenance

    package func now() -> Timestamp {
        state.withLock { state in
            let time = Timestamp(microseconds: localClock().microseconds + state.clockOffset)
            state.lastTime = max(state.lastTime, time)
            return state.lastTime
        }
    }

    /// Measures the database's clock and cancels doubtful tasks; to be called at the start and each minute.
    package func maintain() async throws(TaskStoreError) {
        // Of several measurements the quickest is the most exact: the first one may have to connect.
        var quickest = Int64.max
        for _ in 0..<3 {
            let before = localClock().microseconds
            var row = try await read([
                Statement("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            ])[0].rows.first
            let after = localClock().microseconds
            let theirs = try decoded { () throws(PostgresError) in try row?.int64() }
            guard let theirs, after - before < quickest else { continue }
            quickest = after - before
            state.withLock { $0.clockOffset = theirs - (before + after) / 2 }
        }
        try await cancelDoubtful()
        try await forgetOldKeys()
        _ = try await read([Statement("SELECT poiesis.count_states_v1()")])
    }

    /// Cancels what was refused to a client without knowing whether it was stored.
    func cancelDoubtful() async throws(TaskStoreError) {
        while let task = state.withLock({ $0.doubtful.first }) {
            // A client that came back with its key was told that the task is stored: then it is left alone.
            let forget = Statement(
                "DELETE FROM poiesis.idempotency_keys WHERE task_id = $1 AND NOT is_confirmed RETURNING key",
                [.text(task.id.description)])
            let wasForgotten = task.idempotency == nil ? true : try await !read([forget])[0].rows.isEmpty
            if wasForgotten, try await cancel(task.id, for: task.principal) != nil {
                logger.warning("cancelled a task whose creation had been refused", metadata: ["task": "\(task.id)"])
            }
            state.withLock { $0.doubtful.removeAll { $0.id == task.id } }
        }
    }

    package func pageKey() async throws(TaskStoreError) -> [UInt8] {
        Array(try await instance().id.utf8)
    }

    package func createdAt() async throws(TaskStoreError) -> Timestamp {
        try await instance().createdAt
    }

    /// A UUID that marks what belongs to this database on an engine that others use, too.
    package func instanceID() async throws(TaskStoreError) -> String { try await instance().id }

    private func instance() async throws(TaskStoreError) -> (id: String, createdAt: Timestamp) {
        if let known = state.withLock({ $0.instance }) { return known }
        let sql = "SELECT instance_id, (extract(epoch FROM created_at) * 1000000)::bigint FROM poiesis.instance"
        guard var row = try await read([Statement(sql)])[0].rows.first else {
            throw .corrupt("the table poiesis.instance has no row")
        }
        let found = try decoded { () throws(PostgresError) in
            (try row.text() ?? "", Timestamp(microseconds: try row.int64() ?? 0))
        }
        state.withLock { $0.instance = found }
        return found
    }

    // MARK: Clients

    package func newID() -> TaskID {
        let time = now()
        return state.withLock { $0.generator.next(now: time, random: &$0.random) }
    }

    /// One transaction, one round trip. If the connection breaks meanwhile, the same rows are sent again: success and a
    /// duplicate key both mean that the task is stored. Where that stays impossible, the task is remembered and cancelled
    /// first thing when the database is back, so that "unavailable" means that nothing will run.
    @discardableResult
    package func create(_ task: NewTask) async throws(TaskStoreError) -> TaskID {
        let key = PostgresValue.text(task.id.description)
        let owner = PostgresValue.text(task.principal.owner)
        var batch = TESTaskStatements.insert(
            task.task, key: key, own: [owner, .textArray(task.warnings.isEmpty ? nil : task.warnings)], mapOwn: [owner])
        batch.append(
            Statement(
                "INSERT INTO poiesis.task_states (task_id, owner, state) VALUES ($1, $2, 'QUEUED')", [key, owner]))
        batch.append(
            Statement(
                "INSERT INTO poiesis.task_events (task_id, owner, state, attempt) VALUES ($1, $2, 'QUEUED', 0)",
                [key, owner]))
        if let idempotency = task.idempotency {
            batch.append(
                Statement(
                    "INSERT INTO poiesis.idempotency_keys (owner, key, digest, task_id) VALUES ($1, $2, $3, $4)",
                    [owner, .text(idempotency.key), .text(idempotency.digest), key]))
        }
        let (outcome, isDoubtful) = await repeated(batch, acceptsDuplicate: true)
        guard case .failure(let error) = outcome else { return task.id }
        if let idempotency = task.idempotency, case .refused(let message) = error, message.isUniqueViolation,
            message.constraint == "idempotency_keys_pkey"
        {
            if let known = try await replay(idempotency, owner) { return known }
            // The key is older than a day, or was just given up.
            try await forgetOldKeys()
            return try await create(task)
        }
        if isDoubtful { state.withLock { $0.doubtful.append(task) } }
        throw storeError(error)
    }

    private func forgetOldKeys() async throws(TaskStoreError) {
        let sql = "DELETE FROM poiesis.idempotency_keys WHERE created_at <= clock_timestamp() - interval '1 day'"
        _ = try await read([Statement(sql)])
    }

    /// The task that a key stands for; nil where the key is no longer good.
    private func replay(_ idempotency: IdempotencyKey, _ owner: PostgresValue) async throws(TaskStoreError) -> TaskID? {
        let sql = """
            UPDATE poiesis.idempotency_keys SET is_confirmed = true
            WHERE owner = $1 AND key = $2 AND created_at > clock_timestamp() - interval '1 day'
            RETURNING task_id, digest
            """
        guard var row = try await read([Statement(sql, [owner, .text(idempotency.key)])])[0].rows.first else {
            return nil
        }
        let id = try decodeID(&row)
        guard try decoded({ () throws(PostgresError) in try row.text() }) == idempotency.digest else {
            throw .keyOfAnotherTask
        }
        return id
    }

    package func task(
        _ id: TaskID, view: TESView, for principal: Principal
    ) async throws(TaskStoreError) -> TESTask? {
        if view == .minimal {
            let row = try await stateReads.state(of: id) { [self] (ids) async throws(TaskStoreError) in
                try await states(ids)
            }
            guard let row, row.owner == principal.owner else { return nil }
            return TESTask(id: id.description, state: row.state)
        }
        let state = Statement(
            "SELECT state FROM poiesis.task_states WHERE task_id = $1 AND owner = $2",
            [.text(id.description), .text(principal.owner)])
        let selects = Self.selects(view, keys: [id.description])
        var results = try await read(Self.snapshot([state] + selects))
        results = Array(results.dropFirst().dropLast())
        guard var row = results[0].rows.first else { return nil }
        let taskState = try decodeState(&row)
        let tasks = try decoded { () throws(PostgresError) in
            try TESTaskStatements.assemble(Array(results.dropFirst()), viewLevel: view.position)
        }
        return tasks.first.map { $0.value.identified(id.description, taskState) }
    }

    private func states(_ ids: [TaskID]) async throws(TaskStoreError) -> [TaskID: StateReads.Row] {
        let sql = "SELECT task_id, state, owner FROM poiesis.task_states WHERE task_id = ANY($1::uuid[])"
        var found: [TaskID: StateReads.Row] = [:]
        for row in try await read([Statement(sql, [.textArray(ids.map(\.description))])])[0].rows {
            var row = row
            let id = try decodeID(&row)
            let state = try decodeState(&row)
            found[id] = (try decoded { () throws(PostgresError) in try row.text() } ?? "", state)
        }
        return found
    }

    package func cancel(_ id: TaskID, for principal: Principal) async throws(TaskStoreError) -> TESState? {
        let statement = Statement(
            "SELECT poiesis.cancel_v1($1, $2)", [.text(id.description), .text(principal.owner)])
        guard var row = try await read([statement])[0].rows.first else { return nil }
        return try decoded { () throws(PostgresError) in try row.text().map(TESState.init(rawValue:)) }
    }

    // MARK: Workers

    package func heartbeat(_ worker: WorkerID) async throws(TaskStoreError) {
        let sql = """
            INSERT INTO poiesis.workers (worker_id, host, schema_version) VALUES ($1, $2, $3) ON CONFLICT (worker_id)
            DO UPDATE SET heartbeat_at = clock_timestamp(), host = excluded.host, schema_version = excluded.schema_version
            """
        let version = PostgresValue.integer(Int64(SchemaSetup.version))
        _ = try await read([Statement(sql, [.text(worker.description), .text(worker.host), version])])
    }

    package func takeBackLost(lease: Duration) async throws(TaskStoreError) -> Int {
        let seconds = PostgresValue.text("\(lease.components.seconds) seconds")
        guard
            var row = try await read([
                Statement(
                    "SELECT poiesis.take_back_v1($1::interval, $2)",
                    [seconds, .integer(Int64(LifeCycle.mostAttempts))])
            ])[0].rows.first
        else { return 0 }
        return Int(try decoded { () throws(PostgresError) in try row.int64() } ?? 0)
    }

    package func claim(
        _ worker: WorkerID, backend: String, free: Capacity, total: Capacity
    ) async throws(TaskStoreError) -> Attempt? {
        let token = randomToken()
        var metadata = metadata
        metadata["backend"] = backend
        let statement = Statement(
            "SELECT r_task_id, r_attempt, r_owner FROM poiesis.claim_attempt_v1($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                .text(worker.description), .text(backend), .text(token), .map(metadata), .integer(Int64(free.cpuCores)),
                .integer(free.memory), .integer(Int64(total.cpuCores)), .integer(total.memory),
            ])
        // What was refused to a client must not run.
        try await cancelDoubtful()
        // Not repeated here: a claim whose answer got lost shows up among the open attempts.
        let results: [PostgresResult]
        do throws(PostgresError) { results = try await pool.run([statement]) } catch { throw storeError(error) }
        guard var row = results[0].rows.first else { return nil }
        let id = try decodeID(&row)
        let (number, owner) = try decoded { () throws(PostgresError) in (try row.int64() ?? 0, try row.text() ?? "") }
        let key = AttemptKey(taskID: id, number: Int(number), token: token)
        return try await attempts([(key, Principal(owner: owner), .initializing)]).first
    }

    package func openAttempts(of worker: WorkerID) async throws(TaskStoreError) -> [Attempt] {
        let sql = """
            SELECT l.task_id, l.attempt, l.token, s.owner, s.state
            FROM poiesis.task_logs l JOIN poiesis.task_states s ON s.task_id = l.task_id AND s.attempt = l.attempt
            WHERE l.worker_id = $1 AND l.end_time IS NULL ORDER BY l.task_id
            """
        var found: [(AttemptKey, Principal, TESState)] = []
        for row in try await read([Statement(sql, [.text(worker.description)])])[0].rows {
            var row = row
            let id = try decodeID(&row)
            let (number, token, owner) = try decoded { () throws(PostgresError) in
                (try row.int64() ?? 0, try row.text() ?? "", try row.text() ?? "")
            }
            let key = AttemptKey(taskID: id, number: Int(number), token: token)
            found.append((key, Principal(owner: owner), try decodeState(&row)))
        }
        return try await attempts(found)
    }

    private func attempts(
        _ found: [(key: AttemptKey, principal: Principal, state: TESState)]
    ) async throws(TaskStoreError) -> [Attempt] {
        let page = found.map { (id: $0.key.taskID, state: $0.state) }
        let tasks = try await tasks(page[...], isContiguous: false, view: .full)
        let byID = Dictionary(tasks.map { ($0.id, $0) }) { first, _ in first }
        return found.compactMap { found in
            byID[found.key.taskID.description].map {
                Attempt(key: found.key, principal: found.principal, task: $0, state: found.state)
            }
        }
    }

    package func stopped(_ attempts: [AttemptKey]) async throws(TaskStoreError) -> Set<TaskID> {
        if attempts.isEmpty { return [] }
        let sql = "SELECT task_id, state, attempt FROM poiesis.task_states WHERE task_id = ANY($1::uuid[])"
        let keys = PostgresValue.textArray(attempts.map(\.taskID.description))
        var stopped = Set(attempts.map(\.taskID))
        for row in try await read([Statement(sql, [keys])])[0].rows {
            var row = row
            let id = try decodeID(&row)
            let state = try decodeState(&row)
            let number = try decoded { () throws(PostgresError) in try row.int64() }
            if state == .initializing || state == .running,
                attempts.contains(where: { $0.taskID == id && Int64($0.number) == number })
            {
                stopped.remove(id)
            }
        }
        return stopped
    }

    package func record(_ record: AttemptRecord, for key: AttemptKey) async throws(TaskStoreError) -> TESState {
        let statement = Statement(
            "SELECT poiesis.record_v1($1, $2, $3, $4)",
            [
                .text(key.taskID.description), .integer(Int64(key.number)), .text(key.token),
                .text(RecordDocument(record).text),
            ])
        guard var row = try await read([statement])[0].rows.first else { throw .corrupt("record_v1 gave no row") }
        return try decodeState(&row)
    }

    // MARK: Helpers

    /// All statements see the same moment.
    static func snapshot(_ statements: [Statement]) -> [Statement] {
        [Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")] + statements + [Statement("COMMIT")]
    }

    /// Runs what may run twice.
    func read(_ batch: [Statement]) async throws(TaskStoreError) -> [PostgresResult] {
        switch await repeated(batch).outcome {
        case .success(let results): return results
        case .failure(let error): throw storeError(error)
        }
    }

    /// Sends a batch again for as long as ``patience`` lasts.
    ///
    /// - Returns: what came of it last, and whether it may have been committed without an answer.
    func repeated(
        _ batch: [Statement], on pool: PostgresPool? = nil, acceptsDuplicate: Bool = false
    ) async -> (outcome: Result<[PostgresResult], PostgresError>, isDoubtful: Bool) {
        let deadline = ContinuousClock.now + Self.patience
        var pauses = Backoff(.milliseconds(50), limit: .seconds(1))
        var isDoubtful = false
        while true {
            let pause = pauses.next()
            do throws(PostgresError) {
                return (.success(try await (pool ?? self.pool).run(batch)), isDoubtful)
            } catch {
                if acceptsDuplicate, case .refused(let message) = error, message.isUniqueViolation,
                    message.constraint == "tasks_pkey"
                {
                    return (.success([]), isDoubtful)
                }
                if case .connectionLost = error { isDoubtful = true }
                guard error.isTransient, ContinuousClock.now + pause < deadline, !Task.isCancelled else {
                    return (.failure(error), isDoubtful)
                }
            }
            try? await Task.sleep(for: pause)
        }
    }

    func decoded<Value>(_ body: () throws(PostgresError) -> Value) throws(TaskStoreError) -> Value {
        do throws(PostgresError) { return try body() } catch { throw storeError(error) }
    }

    func decodeID(_ row: inout RowReader) throws(TaskStoreError) -> TaskID {
        do throws(PostgresError) {
            if let id = try row.uuid() { return TaskID(high: id.high, low: id.low) }
        } catch { throw storeError(error) }
        throw .corrupt("a task id is NULL")
    }

    func decodeState(_ row: inout RowReader) throws(TaskStoreError) -> TESState {
        do throws(PostgresError) { return TESState(rawValue: try row.text() ?? "") } catch { throw storeError(error) }
    }

    func storeError(_ error: PostgresError) -> TaskStoreError {
        switch error {
        case .refused(let message) where message.sqlState == "PT409": return .notThisAttempt
        case .refused(let message)
        where message.isTransient || message.sqlState.hasPrefix("53") || message.sqlState == "57014":
            return .unavailable(error.description)
        case .refused(let message):
            logger.error(
                "the database refused a statement",
                metadata: ["sqlstate": "\(message.sqlState)", "reason": "\(message.primary)"])
            // Data exceptions, broken constraints, and what is too large for the server:
            // https://www.postgresql.org/docs/current/errcodes-appendix.html.
            let isOfData = ["22", "23", "54"].contains { message.sqlState.hasPrefix($0) }
            return isOfData ? .corrupt(error.description) : .refused(error.description)
        case .unavailable, .connectionLost, .closed: return .unavailable(error.description)
        case .decoding: return .corrupt(error.description)
        }
    }
}

/// 128 random bits in hexadecimal.
func randomToken() -> String {
    let digits = [UInt64.random(in: 0...UInt64.max), UInt64.random(in: 0...UInt64.max)].map { String($0, radix: 16) }
    return digits.map { String(repeating: "0", count: 16 - $0.count) + $0 }.joined()
}

extension TESTask {
    func identified(_ id: String, _ state: TESState) -> TESTask {
        var task = self
        task.id = id
        task.state = state
        return task
    }
}
