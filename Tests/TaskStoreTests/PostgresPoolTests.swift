import Postgres
import Synchronization
import TestServers
import Testing

@Suite("PostgreSQL pool")
struct PostgresPoolTests {
    private func with(_ connections: Int, _ body: (PostgresPool) async throws -> Void) async throws {
        let pool = PostgresPool(url: try PostgresCluster.shared.get().url(), connections: connections)
        do { try await body(pool) } catch {
            await pool.close()
            throw error
        }
        await pool.close()
    }

    private func number(_ result: PostgresResult?) throws -> Int64? {
        var row = try #require(result?.rows.first)
        return try row.int64()
    }

    @Test func underLoadEveryCallerGetsItsOwnAnswer() async throws {
        try await with(4) { pool in
            let answers = try await withThrowingTaskGroup(of: (Int64, Int64?).self) { group in
                for index in 0..<1000 {
                    group.addTask {
                        var row = try #require(
                            try await pool.run("SELECT $1::bigint", [.integer(Int64(index))]).rows.first)
                        return (Int64(index), try row.int64())
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count == 1000 && answers.allSatisfy { $0.0 == $0.1 })
        }
    }

    /// Ten thousand recorders must not hold ten thousand connections.
    @Test(.timeLimit(.minutes(5)))
    func anIdleConnectionIsClosedWhereItMayNotStay() async throws {
        let url = try PostgresCluster.shared.get().url()
        func backend(_ pool: PostgresPool) async throws -> Int64 {
            try #require(try number(try await pool.run("SELECT pg_backend_pid()::bigint")))
        }
        try await with(1) { other in
            let brief = PostgresPool(connections: 1, idleLimit: .milliseconds(50)) { url }
            let first = try await backend(brief)
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1::integer"
            while try number(try await other.run(sql, [.integer(first)])) != 0 {
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(try await backend(brief) != first)
            await brief.close()
            await #expect(throws: PostgresError.closed) { _ = try await backend(brief) }

            // What comes sooner uses the same.
            let patient = PostgresPool(connections: 1, idleLimit: .seconds(60)) { url }
            let second = try await backend(patient)
            #expect(try await backend(patient) == second)
            await patient.close()
        }
    }

    /// A password in a file may be another one when the next connection is made.
    @Test func eachConnectionAsksForTheURL() async throws {
        let url = try PostgresCluster.shared.get().url()
        let current = Mutex("host=/nowhere")
        let pool = PostgresPool(connections: 1) { current.withLock { $0 } }
        await #expect(throws: PostgresError.self) { try await pool.run("SELECT 1") }
        current.withLock { $0 = url }
        #expect(try await pool.run("SELECT 1").rows.count == 1)
        await pool.close()
    }

    @Test func aBatchGivesItsResultsInOrder() async throws {
        try await with(1) { pool in
            let batch = (0..<1500).map { Statement("SELECT $1::bigint", [.integer($0)]) }
            let results = try await pool.run(batch)
            #expect(try results.map { try number($0) } == (0..<1500).map { $0 })
            #expect(try await pool.run([]).isEmpty)
        }
    }

    @Test func moreThanBothSidesBuffersHoldPasses() async throws {
        try await with(1) { pool in
            let large = String(repeating: "x", count: 1 << 20)
            let results = try await pool.run((0..<40).map { _ in Statement("SELECT $1::text", [.text(large)]) })
            for result in results {
                var row = try #require(result.rows.first)
                #expect(try row.text()?.utf8.count == large.utf8.count)
            }
        }
    }

    @Test(arguments: [0, 3, 199, 200, 450])
    func aBatchIsOneTransaction(_ place: Int) async throws {
        try await with(1) { pool in
            let table = "batch_\(place)"
            _ = try await pool.run("CREATE TABLE \(table) (n integer PRIMARY KEY)")
            var batch = (0..<500).map { Statement("INSERT INTO \(table) VALUES ($1)", [.integer(Int64($0))]) }
            batch.insert(Statement("INSERT INTO \(table) VALUES ('no number')"), at: place)
            let error = await #expect(throws: PostgresError.self) { try await pool.run(batch) }
            guard case .refused(let message)? = error else {
                Issue.record("the batch ended with \(String(describing: error))")
                return
            }
            #expect(message.sqlState == "22P02" && !message.isTransient)
            #expect(try number(try await pool.run("SELECT count(*) FROM \(table)")) == 0)
        }
    }

    @Test(arguments: [
        ("SELEC 1", "42601"), ("SELECT * FROM no_such_table", "42P01"), ("SELECT 1/0", "22012"),
        ("SELECT 1; SELECT 2", "42601"),
    ])
    func afterARefusedStatementTheConnectionWorks(_ sql: String, _ state: String) async throws {
        try await with(1) { pool in
            for _ in 0..<3 {
                let error = await #expect(throws: PostgresError.self) { try await pool.run(sql) }
                guard case .refused(let message)? = error else {
                    Issue.record("\(sql) ended with \(String(describing: error))")
                    continue
                }
                #expect(message.sqlState == state)
                let seven = try await pool.run("SELECT $1::bigint", [.integer(7)])
                #expect(try number(seven) == 7)
            }
        }
    }

    @Test func aUniqueViolationNamesItsConstraint() async throws {
        try await with(1) { pool in
            _ = try await pool.run("CREATE TABLE twice (n integer CONSTRAINT only_once PRIMARY KEY)")
            _ = try await pool.run("INSERT INTO twice VALUES (1)")
            let error = await #expect(throws: PostgresError.self) { try await pool.run("INSERT INTO twice VALUES (1)") }
            guard case .refused(let message)? = error else {
                Issue.record("not refused")
                return
            }
            #expect(message.isUniqueViolation && message.constraint == "only_once")
        }
    }

    @Test func statementsThatALaterConnectionLacksArePreparedNoMore() async throws {
        try await with(1) { pool in
            let batch = (0..<3).map { Statement("SELECT $1::bigint", [.integer($0)]) }
            _ = try await pool.run(batch)
            _ = try await pool.run("DEALLOCATE ALL")
            #expect(try await pool.run(batch).map { try number($0) } == [0, 1, 2])
            // From now on without names, so that nothing more is left to lack.
            _ = try await pool.run("DEALLOCATE ALL")
            #expect(try await pool.run(batch).map { try number($0) } == [0, 1, 2])
            #expect(try number(try await pool.run("SELECT count(*) FROM pg_prepared_statements")) == 0)
        }
    }

    @Test func statementsThatAnotherClientPreparedAreNoTrouble() async throws {
        try await with(1) { pool in
            _ = try await pool.run("SELECT 1::bigint")
            var row = try #require(
                try await pool.run("SELECT name FROM pg_prepared_statements WHERE statement = 'SELECT 1::bigint'").rows
                    .first)
            let name = try #require(try row.text())
            _ = try await pool.run("DEALLOCATE ALL")
            try await with(1) { other in
                _ = try await other.run("PREPARE \(name) AS SELECT 2")
                #expect(try number(try await other.run("SELECT 1::bigint")) == 1)
                #expect(try number(try await other.run("SELECT 3::bigint")) == 3)
            }
        }
    }

    @Test func aTerminatedConnectionIsReplaced() async throws {
        try await with(1) { pool in
            let pid = try #require(try number(try await pool.run("SELECT pg_backend_pid()")))
            try await with(1) { other in
                _ = try await other.run("SELECT pg_terminate_backend($1::int)", [.integer(pid)])
            }
            var lost = 0
            while true {
                do {
                    #expect(try number(try await pool.run("SELECT pg_backend_pid()")) != pid)
                    break
                } catch let error as PostgresError {
                    #expect(error.isTransient, "\(error)")
                    lost += 1
                    if lost > 1 { throw error }
                }
            }
        }
    }

    @Test func withoutAServerNothingWasDone() async throws {
        let pool = PostgresPool(url: "host=/nowhere dbname=none", connections: 1)
        let error = await #expect(throws: PostgresError.self) { try await pool.run("SELECT 1") }
        guard case .unavailable? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        await pool.close()
    }

    @Test func aClosedPoolTakesNothingAndFinishesWhatItTook() async throws {
        let pool = PostgresPool(url: try PostgresCluster.shared.get().url(), connections: 2)
        _ = try await pool.run("SELECT 1")
        async let answers = withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<50 { group.addTask { (try? await pool.run("SELECT 1"))?.rows.count ?? 0 } }
            return try await group.reduce(0, +)
        }
        await pool.close()
        #expect(try await answers <= 50)
        await #expect(throws: PostgresError.closed) { try await pool.run("SELECT 1") }
        await pool.close()
    }
}
