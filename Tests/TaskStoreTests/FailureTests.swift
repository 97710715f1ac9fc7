import LocalSystem
import Postgres
import TES
import TaskCore
import TaskStore
import TestServers
import Testing

/// What a failing database means for callers: nothing is lost, nothing is done twice.
@Suite("Task store: database failures")
struct FailureTests {
    @Test(.timeLimit(.minutes(5)))
    func readsWaitWhileTheDatabaseRestarts() async throws {
        let cluster = try PostgresCluster()
        defer { cluster.remove() }
        let pool = PostgresPool(url: try await StoreHarness.newDatabase(of: cluster), connections: 2)
        try await SchemaSetup.prepare(pool)
        let store = StoreHarness.postgresStore(pool)
        let id = store.newID()
        let task = NewTask(id: id, principal: .everyone, task: TESTask(name: "kept", executors: []))
        try await store.create(task)
        cluster.crash()
        async let read = store.task(id, view: .full, for: .everyone)
        async let page = store.page(TaskFilter(), size: 10, after: nil, for: .everyone)
        async let created = store.create(
            NewTask(id: store.newID(), principal: .everyone, task: TESTask(executors: [])))
        try cluster.start()
        #expect(try await read?.name == "kept")
        #expect(try await page.tasks.map(\.id).contains(id))
        _ = try await created
        #expect(try await store.page(TaskFilter(), size: 10, after: nil, for: .everyone).tasks.count == 2)
        await pool.close()
    }

    @Test(arguments: [CuttingProxy.Mode.cutsBeforeRequest, .cutsAfterAnswer])
    func aTaskWhoseConnectionBreaksIsStoredOnce(_ mode: CuttingProxy.Mode) async throws {
        try await withProxy { proxy, direct, store in
            let id = store.newID()
            proxy.set(mode)
            try await store.create(NewTask(id: id, principal: .everyone, task: CreateAndReadTests.fullTask))
            #expect(proxy.cuts == 1)
            #expect(try await count(direct, "tasks") == 1)
            #expect(try await count(direct, "task_events") == 1)
            #expect(try await store.task(id, view: .full, for: .everyone)?.tags == CreateAndReadTests.fullTask.tags)
        }
    }

    @Test func aRecordWhoseConnectionBreaksIsWrittenOnce() async throws {
        try await withProxy { proxy, direct, store in
            try await store.create(NewTask(id: store.newID(), principal: .everyone, task: TESTask(executors: [])))
            let worker = WorkerID(id: store.newID(), host: "h")
            let claimed = try await store.claim(
                worker, backend: "tests", free: StoreHarness.plenty, total: StoreHarness.plenty)
            let key = try #require(claimed).key
            var record = AttemptRecord(state: .running, time: store.now())
            record.executors = [(0, TESExecutorLog(exitCode: 0))]
            record.systemLogs = ["once"]
            proxy.set(.cutsAfterAnswer)
            #expect(try await store.record(record, for: key) == .running)
            #expect(proxy.cuts == 1)
            #expect(try await count(direct, "executor_logs") == 1)
            #expect(try await count(direct, "task_events") == 3)
            #expect(try await store.task(key.taskID, view: .full, for: .everyone)?.logs?.first?.systemLogs == ["once"])
        }
    }

    @Test func aClaimWhoseAnswerIsLostShowsUpAmongTheOpenAttempts() async throws {
        try await withProxy { proxy, _, store in
            let id = store.newID()
            try await store.create(NewTask(id: id, principal: .everyone, task: TESTask(executors: [])))
            let worker = WorkerID(id: store.newID(), host: "h")
            proxy.set(.cutsAfterAnswer)
            await #expect(throws: TaskStoreError.self) {
                try await store.claim(worker, backend: "tests", free: StoreHarness.plenty, total: StoreHarness.plenty)
            }
            let open = try await store.openAttempts(of: worker)
            #expect(open.map(\.key.taskID) == [id])
            _ = try await store.record(
                AttemptRecord(state: .running, time: store.now()), for: try #require(open.first).key)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aTaskThatWasRefusedIsCancelledWhenTheDatabaseIsBack() async throws {
        try await withProxy { proxy, direct, store in
            let id = store.newID()
            proxy.set(.cutsAfterAnswerForGood)
            let error = await #expect(throws: TaskStoreError.self) {
                try await store.create(NewTask(id: id, principal: .everyone, task: TESTask(executors: [])))
            }
            guard case .unavailable? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(try await count(direct, "tasks") == 1)
            proxy.set(.forwards)
            try await store.maintain()
            #expect(try await store.task(id, view: .minimal, for: .everyone)?.state == .canceled)
        }
    }

    private func count(_ pool: PostgresPool, _ table: String) async throws -> Int64? {
        var row = try #require(try await pool.run("SELECT count(*) FROM poiesis.\(table)").rows.first)
        return try row.int64()
    }

    /// A store behind a proxy, its one connection open, and a pool beside the proxy.
    private func withProxy(_ body: (CuttingProxy, PostgresPool, PostgresTaskStore) async throws -> Void) async throws {
        let cluster = try PostgresCluster.shared.get()
        let url = try await StoreHarness.newDatabase(of: cluster)
        let proxy = try CuttingProxy(to: cluster)
        let direct = PostgresPool(url: url, connections: 1)
        let proxied = PostgresPool(
            url: url.replacing("host=\(cluster.folder)", with: "host=\(proxy.folder)"), connections: 1)
        func close() async {
            await proxied.close()
            await direct.close()
            proxy.close()
        }
        do {
            try await SchemaSetup.prepare(direct)
            let store = StoreHarness.postgresStore(proxied)
            try await store.maintain()
            try await body(proxy, direct, store)
        } catch {
            await close()
            throw error
        }
        await close()
    }
}
