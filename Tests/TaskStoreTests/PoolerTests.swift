import Glibc
import LocalSystem
import Postgres
import TES
import TaskCore
import TaskStore
import TestServers
import Testing

/// Behind pgbouncer in transaction mode, where a connection of ours is another of the server's each time.
@Suite("Task store behind a pooler", .enabled(if: Pooler.isInstalled, "pgbouncer is not installed"))
struct PoolerTests {
    @Test(.timeLimit(.minutes(5)))
    func tasksAreCreatedClaimedAndRecorded() async throws {
        let cluster = try PostgresCluster.shared.get()
        let url = try await StoreHarness.newDatabase(of: cluster)
        let pooler = try Pooler(for: cluster)
        defer { pooler.stop() }
        let pooled = url.replacing("host=\(cluster.folder)", with: "host=\(pooler.folder)")
        // More clients than server connections, and two clients that each prepare the same.
        let pools = (0..<2).map { _ in PostgresPool(url: pooled, connections: 4) }
        try await SchemaSetup.prepare(pools[0])
        let stores = pools.map { StoreHarness.postgresStore($0) }
        for store in stores { try await store.maintain() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<100 {
                let store = stores[index % 2]
                group.addTask {
                    let task = NewTask(id: store.newID(), principal: .everyone, task: CreateAndReadTests.fullTask)
                    try await store.create(task)
                    #expect(try await store.task(task.id, view: .full, for: .everyone)?.tags == task.task.tags)
                }
            }
            try await group.waitForAll()
        }
        let claimed = try await withThrowingTaskGroup(of: [TaskID].self) { group in
            for store in stores {
                group.addTask {
                    let worker = WorkerID(id: store.newID(), host: "h")
                    var ids: [TaskID] = []
                    while let attempt = try await store.claim(
                        worker, backend: "tests", free: StoreHarness.plenty, total: StoreHarness.plenty)
                    {
                        ids.append(attempt.key.taskID)
                        _ = try await store.record(AttemptRecord(state: .running, time: store.now()), for: attempt.key)
                        _ = try await store.record(AttemptRecord(state: .complete, time: store.now()), for: attempt.key)
                    }
                    return ids
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(claimed.count == 100 && Set(claimed).count == 100)
        let page = try await stores[0].page(TaskFilter(state: .complete), size: 200, after: nil, for: .everyone)
        #expect(page.tasks.count == 100)
        for pool in pools { await pool.close() }
    }
}

/// A pgbouncer before a cluster.
private struct Pooler {
    private static let program = "/usr/sbin/pgbouncer"
    static var isInstalled: Bool { access(program, X_OK) == 0 }

    let folder: String
    private let process: BoundProcess

    init(for cluster: PostgresCluster) throws {
        folder = "/tmp/pb-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let settings = """
            [databases]
            * = host=\(cluster.folder) user=tests
            [pgbouncer]
            listen_addr =
            listen_port = 5432
            unix_socket_dir = \(folder)
            auth_type = any
            pool_mode = transaction
            default_pool_size = 2
            ignore_startup_parameters = extra_float_digits
            """
        let place = try Folder.make(folder, mode: 0o755)
        try place.write("settings", Array(settings.utf8), mode: 0o644)
        if let user = PostgresCluster.user { try setOwner(folder, user: user.id, group: user.group) }
        process = try BoundProcess(
            Self.program, [folder + "/settings"], user: PostgresCluster.user, folder: "/", log: folder + "/log")
        let deadline = Machine.clock() + 20_000_000
        while !Self.listens(at: folder + "/.s.PGSQL.5432") {
            guard process.isRunning, Machine.clock() < deadline else {
                throw PostgresCluster.Failure(description: "pgbouncer did not start: see \(folder)/log")
            }
            usleep(5000)
        }
    }

    /// The file is there before anybody listens.
    private static func listens(at path: String) -> Bool {
        let client = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        return unixAddress(path) { connect(client, $0, $1) } == 0
    }

    func stop() {
        process.stop()
        try? Folder("/tmp").remove(String(folder.dropFirst(5)))
    }
}
