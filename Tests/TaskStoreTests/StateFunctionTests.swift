import Postgres
import TES
import TaskCore
import TaskStore
import TestServers
import Testing

/// The database's functions and ``LifeCycle`` are one life cycle.
@Suite("State functions in SQL")
struct StateFunctionTests {
    @Test func nextStateIsTheLifeCyclesForEveryPair() async throws {
        try await StoreHarness.withDatabase { pool, _ in
            for from in TESState.allCases {
                for next in TESState.allCases {
                    var row = try #require(
                        try await pool.run(
                            "SELECT poiesis.next_state_v1($1, $2)", [.text(from.rawValue), .text(next.rawValue)]
                        ).rows.first)
                    var cycle = LifeCycle(from)
                    let expected: String? =
                        if case .changed(let state) = cycle.record(next) { state.rawValue } else { nil }
                    #expect(try row.text() == expected, "\(from.rawValue) + \(next.rawValue)")
                }
            }
        }
    }

    @Test func recordWithoutAStateChangesNone() async throws {
        try await StoreHarness.withDatabase { pool, _ in
            var row = try #require(try await pool.run("SELECT poiesis.next_state_v1('RUNNING', NULL)").rows.first)
            #expect(try row.text() == nil)
        }
    }

    @Test(arguments: TESState.allCases)
    func cancelIsTheLifeCyclesForEveryState(_ state: TESState) async throws {
        try await StoreHarness.with(.postgres) { harness in
            let id = try await harness.create()
            _ = try await harness.pool?.run(
                "UPDATE poiesis.task_states SET state = $2 WHERE task_id = $1",
                [.text(id.description), .text(state.rawValue)])
            var cycle = LifeCycle(state)
            _ = cycle.cancel()
            #expect(try await harness.store.cancel(id, for: .everyone) == cycle.state)
        }
    }

    @Test func eachChangeIsOneEvent() async throws {
        try await StoreHarness.with(.postgres) { harness in
            let key = try await harness.claimed()
            let running = AttemptRecord(state: .running, time: harness.time())
            for _ in 0..<3 { try await harness.store.record(running, for: key) }
            try await harness.store.record(AttemptRecord(time: harness.time()), for: key)
            try await harness.store.record(AttemptRecord(state: .queued, time: harness.time()), for: key)
            let second = try #require(try await harness.claim(harness.worker())).key
            for _ in 0..<2 { _ = try await harness.store.cancel(key.taskID, for: .everyone) }
            for _ in 0..<2 {
                try await harness.store.record(AttemptRecord(state: .complete, time: harness.time()), for: second)
            }
            #expect(
                try await harness.events(key.taskID) == [
                    "QUEUED", "INITIALIZING", "RUNNING", "QUEUED", "INITIALIZING", "CANCELING", "CANCELED",
                ])
        }
    }

    @Test func aRefusedRecordLeavesNoTrace() async throws {
        try await StoreHarness.with(.postgres) { harness in
            let key = try await harness.attempt(in: .running)
            var stale = key
            stale.token = "x"
            var record = AttemptRecord(state: .complete, time: harness.time())
            record.executors = [(0, TESExecutorLog(exitCode: 0))]
            await #expect(throws: TaskStoreError.notThisAttempt) { try await harness.store.record(record, for: stale) }
            #expect(try await harness.events(key.taskID) == ["QUEUED", "INITIALIZING", "RUNNING"])
            #expect(try await harness.log(key.taskID).logs.isEmpty)
        }
    }

    @Test func ordinaryRolesMayCallNone() async throws {
        try await StoreHarness.withDatabase { pool, _ in
            let functions = try await pool.run(
                """
                SELECT p.oid::regprocedure::text, has_function_privilege('public', p.oid, 'EXECUTE')
                FROM pg_proc p WHERE p.pronamespace = 'poiesis'::regnamespace
                """)
            #expect(functions.rows.count >= 6)
            for row in functions.rows {
                var row = row
                let name = try row.text() ?? ""
                #expect(try row.boolean() == false, "\(name)")
            }
        }
    }

    @Test func preparingTwiceAndAtOnceIsHarmless() async throws {
        let url = try await StoreHarness.newDatabase(of: try PostgresCluster.shared.get())
        let pools = (0..<4).map { _ in PostgresPool(url: url, connections: 1) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for pool in pools { group.addTask { try await SchemaSetup.prepare(pool) } }
            try await group.waitForAll()
        }
        try await SchemaSetup.prepare(pools[0])
        var row = try #require(try await pools[0].run("SELECT count(*) FROM poiesis.instance").rows.first)
        #expect(try row.int64() == 1)
        for pool in pools { await pool.close() }
    }
}
