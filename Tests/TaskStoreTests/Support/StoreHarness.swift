import LocalSystem
import Logging
import Postgres
import Synchronization
import TES
import TaskCore
import TaskStore
import TestServers
import Testing

/// The stores that the contract holds for.
enum StoreKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case memory, postgres

    var testDescription: String { rawValue }
}

/// A clock that goes on by a millisecond each time it is read, and by as much as a test likes.
final class TestClock: Sendable {
    private let time = Mutex<Int64>(Machine.clock() / 1000 * 1000)

    func now() -> Timestamp {
        time.withLock { time in
            time += 1000
            return Timestamp(microseconds: time)
        }
    }

    func advance(seconds: Int64) { time.withLock { $0 += seconds * 1_000_000 } }
}

/// One empty store and what tests need beside it.
struct StoreHarness: Sendable {
    let store: any TaskStore
    /// The store's database; nil for the store in memory.
    let pool: PostgresPool?
    private let clock: TestClock?

    static let logger = Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }

    /// Runs a test on an empty store of a kind.
    static func with(
        _ kind: StoreKind, connections: Int = 4, _ body: (StoreHarness) async throws -> Void
    ) async throws {
        switch kind {
        case .memory:
            let clock = TestClock()
            let store = InMemoryTaskStore(metadata: ["host": "here"], clock: { clock.now() })
            try await body(StoreHarness(store: store, pool: nil, clock: clock))
        case .postgres:
            try await withDatabase(connections: connections) { pool, store in
                try await body(StoreHarness(store: store, pool: pool, clock: nil))
            }
        }
    }

    /// Runs a test on a new database with the schema.
    static func withDatabase(
        connections: Int = 4, _ body: (PostgresPool, PostgresTaskStore) async throws -> Void
    ) async throws {
        // Tests run side by side; the server takes 200 connections.
        await databases.wait()
        defer { databases.signal() }
        let url = try await newDatabase(of: try PostgresCluster.shared.get())
        let pool = PostgresPool(url: url, connections: connections)
        do {
            try await SchemaSetup.prepare(pool)
            let store = postgresStore(pool)
            try await store.maintain()
            try await body(pool, store)
        } catch {
            await pool.close()
            throw error
        }
        await pool.close()
    }

    private static let databases = Semaphore(12)

    static func newDatabase(of cluster: PostgresCluster) async throws -> String {
        let name = "t\(UInt64.random(in: 0 ... .max))"
        let pool = PostgresPool(url: cluster.url(), connections: 1)
        _ = try await pool.run("CREATE DATABASE \(name)")
        await pool.close()
        return cluster.url(name)
    }

    static func postgresStore(_ pool: PostgresPool, searches: TaskSearches? = nil) -> PostgresTaskStore {
        PostgresTaskStore(
            pool: pool, searches: searches, metadata: ["host": "here"], logger: logger,
            localClock: { Timestamp(microseconds: Machine.clock()) })
    }

    /// Makes every heartbeat and every change of a state so far an hour older.
    func passAnHour() async throws {
        clock?.advance(seconds: 3600)
        _ = try await pool?.run("UPDATE poiesis.workers SET heartbeat_at = heartbeat_at - interval '1 hour'")
        _ = try await pool?.run("UPDATE poiesis.task_states SET changed_at = changed_at - interval '1 hour'")
    }

    // MARK: Short hands

    static let plenty = Capacity(cpuCores: 1000, memory: 1 << 50)

    func worker(_ host: String = "host-a") -> WorkerID { WorkerID(id: store.newID(), host: host) }

    /// Whole milliseconds, as the API shows them.
    func time() -> Timestamp { Timestamp(microseconds: store.now().microseconds / 1000 * 1000) }

    func create(
        _ task: TESTask = TESTask(executors: [TESExecutor(image: "i", command: ["true"])]),
        for principal: Principal = .everyone,
        warnings: [String] = []
    ) async throws -> TaskID {
        let id = store.newID()
        try await store.create(NewTask(id: id, principal: principal, task: task, warnings: warnings))
        return id
    }

    func claim(
        _ worker: WorkerID, free: Capacity = plenty, total: Capacity = plenty
    ) async throws -> Attempt? {
        try await store.claim(worker, backend: "tests", free: free, total: total)
    }

    /// A task of its own, claimed by a worker.
    func claimed(by worker: WorkerID? = nil, warnings: [String] = []) async throws -> AttemptKey {
        let id = try await create(warnings: warnings)
        let attempt = try #require(try await claim(worker ?? self.worker()))
        #expect(attempt.key.taskID == id)
        return attempt.key
    }

    /// Takes a task of its own into a state, by ways that the life cycle allows.
    func attempt(in state: TESState) async throws -> AttemptKey {
        let key = try await claimed()
        switch state {
        case .initializing: break
        case .canceling: _ = try await store.cancel(key.taskID, for: .everyone)
        case .canceled:
            _ = try await store.cancel(key.taskID, for: .everyone)
            try await store.record(AttemptRecord(state: .canceled, time: time()), for: key)
        default:
            if state != .queued, state != .systemError {
                try await store.record(AttemptRecord(state: .running, time: time()), for: key)
            }
            if state != .running { try await store.record(AttemptRecord(state: state, time: time()), for: key) }
        }
        #expect(try await self.state(key.taskID) == state)
        return key
    }

    func state(_ id: TaskID) async throws -> TESState? {
        try await store.task(id, view: .minimal, for: .everyone)?.state
    }

    func full(_ id: TaskID) async throws -> TESTask {
        try #require(try await store.task(id, view: .full, for: .everyone))
    }

    /// The only or last attempt's log.
    func log(_ id: TaskID) async throws -> TESTaskLog { try #require(try await full(id).logs?.last) }

    /// The states of a task's events, in order.
    func events(_ id: TaskID) async throws -> [String] {
        let pool = try #require(pool)
        let sql = "SELECT state FROM poiesis.task_events WHERE task_id = $1 ORDER BY transaction_id, number"
        return try await pool.run(sql, [.text(id.description)]).rows.map { row in
            var row = row
            return try row.text() ?? ""
        }
    }
}
