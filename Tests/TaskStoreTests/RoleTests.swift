import Postgres
import TES
import TaskCore
import TaskStore
import TestServers
import Testing

/// What the roles of `poiesis schema roles` may do, and what not.
@Suite("Roles of the database")
struct RoleTests {
    /// A store for each role, on one database.
    private struct Stores {
        var api, controller, recorder: PostgresTaskStore
        var pools: [String: PostgresPool]

        func refusal(_ role: String, _ sql: String) async -> String? {
            do { _ = try await pools[role]?.run(sql) } catch {
                if case .refused(let message) = error { return message.sqlState }
                return "\(error)"
            }
            return nil
        }
    }

    private func with(_ body: (Stores) async throws -> Void) async throws {
        let cluster = try PostgresCluster.shared.get()
        let url = try await StoreHarness.newDatabase(of: cluster)
        let owner = PostgresPool(url: url, connections: 2)
        try await SchemaSetup.prepare(owner)
        try await SchemaRoles.make(owner)
        var pools: [String: PostgresPool] = [:]
        for name in SchemaRoles.names {
            pools[name] = PostgresPool(url: url.replacing("user=tests", with: "user=\(name)"), connections: 1)
        }
        func store(_ name: String) throws -> PostgresTaskStore {
            StoreHarness.postgresStore(try #require(pools[name]))
        }
        let stores = Stores(
            api: try store("poiesis_api"), controller: try store("poiesis_tctl"),
            recorder: try store("poiesis_recorder"), pools: pools)
        do { try await body(stores) } catch {
            Issue.record(error)
        }
        for pool in pools.values { await pool.close() }
        await owner.close()
    }

    private static let task = TESTask(
        inputs: [TESInput(path: "/in", type: .file, content: "x")],
        outputs: [TESOutput(url: "s3://b/o", path: "/out", type: .file)],
        executors: [TESExecutor(image: "i", command: ["true"])], tags: ["a": "b"])

    @Test func eachDoesItsWork() async throws {
        try await with { stores in
            try await stores.api.maintain()
            let id = stores.api.newID()
            let key = IdempotencyKey(key: "k", digest: "d")
            try await stores.api.create(
                NewTask(id: id, principal: .everyone, task: Self.task, idempotency: key))
            #expect(try await stores.api.task(id, view: .full, for: .everyone)?.state == .queued)

            try await stores.controller.maintain()
            #expect(try await stores.controller.waitingTasks(limit: 10) == [id])
            let submission = try #require(try await stores.controller.submit(id))
            let attempt = try #require(try await stores.recorder.claim(submission.key, pod: "pod", metadata: [:]))
            #expect(attempt.task.inputs?.first?.content == "x")
            let running = AttemptRecord(state: .running, time: stores.recorder.now())
            #expect(try await stores.recorder.record(running, for: attempt.key) == .running)
            #expect(try await stores.api.cancel(id, for: .everyone) == .canceling)
            let ended = AttemptRecord(state: .complete, time: stores.recorder.now())
            #expect(try await stores.recorder.record(ended, for: attempt.key) == .canceled)
            #expect(try await stores.controller.openSubmissions(of: [id]).count == 1)
            try await stores.controller.close(submission.key)
            // The controller ends what no recorder can, and closes what no Pod has claimed.
            let lost = stores.api.newID()
            try await stores.api.create(NewTask(id: lost, principal: .everyone, task: Self.task))
            let waiting = try #require(try await stores.controller.submit(lost)).key
            #expect(try await stores.controller.closeUnclaimed(waiting))
            let key2 = try #require(try await stores.controller.submit(lost)).key
            let claim = try await stores.controller.claim(key2, pod: "gone", after: nil, metadata: [:])
            let end = AttemptRecord(state: .systemError, time: stores.controller.now())
            #expect(try await stores.controller.record(end, for: try #require(claim).key) == .systemError)
            #expect(try await stores.controller.claim(key2, pod: "gone", after: "another", metadata: [:]) == nil)
            let page = try await stores.api.page(TaskFilter(), size: 10, after: nil, for: .everyone)
            #expect(Set(page.tasks.map(\.id)) == [id, lost])
        }
    }

    @Test func noneDoesAnothers() async throws {
        try await with { stores in
            let id = "00000000-0000-0000-0000-000000000000"
            for table in ["tasks", "task_logs", "submissions", "instance", "task_states", "idempotency_keys"] {
                #expect(
                    await stores.refusal("poiesis_recorder", "SELECT * FROM poiesis.\(table)") == "42501", "\(table)")
            }
            for (role, sql) in [
                ("poiesis_recorder", "SELECT poiesis.cancel_v1('\(id)', 'public')"),
                ("poiesis_recorder", "SELECT poiesis.submit_v1('\(id)', '{}')"),
                ("poiesis_recorder", "SELECT poiesis.write_state_v1('\(id)', 'COMPLETE', 1)"),
                ("poiesis_api", "SELECT poiesis.submit_v1('\(id)', '{}')"),
                ("poiesis_api", "SELECT poiesis.record_v1('\(id)', 1, 't', '{}')"),
                ("poiesis_api", "UPDATE poiesis.task_states SET state = 'COMPLETE'"),
                ("poiesis_api", "DELETE FROM poiesis.tasks"),
                ("poiesis_tctl", "UPDATE poiesis.task_states SET state = 'COMPLETE'"),
                ("poiesis_tctl", "INSERT INTO poiesis.tasks (task_id) VALUES ('\(id)')"),
            ] {
                #expect(await stores.refusal(role, sql) == "42501", "\(role): \(sql)")
            }
            for name in SchemaRoles.names {
                #expect(await stores.refusal(name, "CREATE TABLE poiesis.mine ()") == "42501")
            }
        }
    }

    /// A new function is nobody's: after a change of the schema the roles get what they had.
    @Test func aMigrationRenewsTheRights() async throws {
        let url = try await StoreHarness.newDatabase(of: try PostgresCluster.shared.get())
        let owner = PostgresPool(url: url, connections: 1)
        try await SchemaSetup.prepare(owner)
        try await SchemaRoles.make(owner)
        _ = try await owner.run(
            "REVOKE EXECUTE ON FUNCTION poiesis.record_v1(uuid, integer, text, jsonb) FROM poiesis_recorder")
        _ = try await owner.run("UPDATE poiesis.instance SET functions = 'older'")
        try await SchemaSetup.prepare(owner)
        var row = try #require(
            try await owner.run(
                "SELECT has_function_privilege('poiesis_recorder', 'poiesis.record_v1(uuid, integer, text, jsonb)', 'EXECUTE')::int"
            ).rows.first)
        #expect(try row.int64() == 1)
        await owner.close()
    }

    /// Programs of the version before and after have other functions; one that may not replace them works with those that are there.
    @Test func aProgramStartsBesideAnothersFunctions() async throws {
        let url = try await StoreHarness.newDatabase(of: try PostgresCluster.shared.get())
        let owner = PostgresPool(url: url, connections: 1)
        try await SchemaSetup.prepare(owner)
        try await SchemaRoles.make(owner)
        _ = try await owner.run("UPDATE poiesis.instance SET functions = 'another'")
        for name in ["poiesis_api", "poiesis_tctl"] {
            let pool = PostgresPool(url: url.replacing("user=tests", with: "user=\(name)"), connections: 1)
            try await SchemaSetup.prepare(pool)
            let store = StoreHarness.postgresStore(pool)
            try await store.maintain()
            _ = try await store.createdAt()
            _ = try await store.statistics()
            await pool.close()
        }
        await owner.close()
    }

    /// A database whose owner never asked for the roles leaves them without rights, whatever they may in another one.
    @Test func anotherDatabaseIsNotTheirs() async throws {
        let cluster = try PostgresCluster.shared.get()
        let url = try await StoreHarness.newDatabase(of: cluster)
        try await with { _ in }
        let owner = PostgresPool(url: url, connections: 1)
        try await SchemaSetup.prepare(owner)
        let stranger = PostgresPool(url: url.replacing("user=tests", with: "user=poiesis_api"), connections: 1)
        await #expect(throws: PostgresError.self) { try await stranger.run("SELECT * FROM poiesis.tasks") }
        await stranger.close()
        await owner.close()
    }
}
