import Migrations
import Postgres
import TES
import TaskCore
import TaskStore
import Testing

/// Which step comes next: pure.
@Suite struct SchemaActionTests {
    private static func migration(_ version: Int, contract: Bool = false, stops: Bool = false) -> Migration {
        Migration(
            version: version, name: "m\(version)", stopsOlderPrograms: stops, expand: ["SELECT \(version)"],
            contract: contract ? ["SELECT -\(version)"] : [])
    }

    /// Migrations 2 and 3 take something away later, 4 does not.
    private static let all = [migration(2, contract: true), migration(3, contract: true), migration(4)]

    private static func state(_ version: Int, servesFrom: Int? = nil, contracted: [Int] = []) -> SchemaState {
        var state = SchemaState(version: version, servesFrom: servesFrom ?? max(1, version - 1), functions: "now")
        for version in 2..<max(2, version + 1) {
            state.applied.append(.init(version: version, phase: "expand", name: "m\(version)", time: ""))
        }
        for version in contracted {
            state.applied.append(.init(version: version, phase: "contract", name: "m\(version)", time: ""))
        }
        return state
    }

    private static func next(
        _ state: SchemaState?, program: Int, contracts: Bool = false
    ) throws(SchemaError) -> SchemaAction {
        try SchemaAction.next(
            state, history: MigrationHistory(all.filter { $0.version <= program }), functions: "now",
            contracts: contracts)
    }

    @Test func anEmptyDatabaseGetsItsSchema() throws { #expect(try Self.next(nil, program: 3) == .create) }

    @Test func aProgramAppliesWhatIsMissingInOrder() throws {
        var state = Self.state(1)
        var actions: [SchemaAction] = []
        while case let action = try Self.next(state, program: 4), action != .none {
            actions.append(action)
            guard case .apply(let migration, let phase) = action else { break }
            state.applied.append(
                .init(version: migration.version, phase: phase.rawValue, name: migration.name, time: ""))
            if phase == .expand { state.version = migration.version }
        }
        #expect(
            actions == [
                .apply(Self.all[0], .expand), .apply(Self.all[0], .contract), .apply(Self.all[1], .expand),
                .apply(Self.all[1], .contract), .apply(Self.all[2], .expand),
            ])
    }

    @Test func whatOlderProgramsNeedStaysForOneVersion() throws {
        #expect(try Self.next(Self.state(2), program: 2) == .none)
        #expect(try Self.next(Self.state(2), program: 2, contracts: true) == .apply(Self.all[0], .contract))
        #expect(try Self.next(Self.state(2), program: 3) == .apply(Self.all[0], .contract))
        #expect(try Self.next(Self.state(2, contracted: [2]), program: 3) == .apply(Self.all[1], .expand))
    }

    @Test func anOlderProgramWorksOnTheNextVersion() throws {
        #expect(try Self.next(Self.state(3, contracted: [2]), program: 2) == .none)
        // The functions are the newer program's.
        var state = Self.state(3, contracted: [2])
        state.functions = "newer"
        #expect(try Self.next(state, program: 2) == .none)
        #expect(try Self.next(state, program: 3) == .replaceFunctions)
    }

    @Test func aProgramThatIsTooOldIsRefused() throws {
        let error = #expect(throws: SchemaError.self) {
            try Self.next(Self.state(3, servesFrom: 3, contracted: [2, 3]), program: 2)
        }
        #expect(error == .tooNew(found: 3, servesFrom: 3, program: 2))
        #expect(error?.description.contains("run a newer poiesis") == true)
    }

    @Test func aDatabaseThatIsTooOldIsRefused() throws {
        let history = MigrationHistory(Array(Self.all.dropFirst(2)))
        #expect(throws: SchemaError.tooOld(found: 2, oldest: 3)) {
            try SchemaAction.next(Self.state(2), history: history, functions: "now")
        }
    }

    @Test func anotherMigrationUnderTheSameNumberIsRefused() throws {
        var state = Self.state(2)
        state.applied[0].name = "draft"
        #expect(throws: SchemaError.otherHistory(version: 2, database: "draft", program: "m2")) {
            try Self.next(state, program: 2)
        }
    }
}

/// Migrations on PostgreSQL.
@Suite struct SchemaSetupTests {
    private static func migration(
        _ version: Int, expand: [String] = [], contract: [String] = [], stops: Bool = false
    ) -> Migration {
        Migration(
            version: version, name: "more-\(version)", stopsOlderPrograms: stops, expand: expand, contract: contract)
    }

    private static let following = SchemaSetup.version + 1
    private static let addColumn = "ALTER TABLE poiesis.tasks ADD COLUMN priority integer"

    private static func history(_ migrations: Migration...) -> MigrationHistory {
        MigrationHistory(SchemaSetup.history.migrations + migrations)
    }

    /// Holds a table for four seconds.
    private static let holding = ["BEGIN", "LOCK TABLE poiesis.tasks", "SELECT pg_sleep(4)", "COMMIT"].map {
        Statement($0)
    }

    /// The columns of `tasks`, in their order.
    private static func columns(_ pool: PostgresPool) async throws -> [String] {
        try await pool.run(
            "SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'poiesis' AND table_name = 'tasks' ORDER BY ordinal_position"
        ).rows.map { row in
            var row = row
            return try row.text() ?? ""
        }
    }

    @Test func aNewDatabaseSaysWhatItIs() async throws {
        try await StoreHarness.withDatabase { pool, _ in
            let state = try #require(try await SchemaState.read(from: pool))
            #expect(state.version == SchemaSetup.version)
            #expect(state.functions == SchemaSetup.functions)
            #expect(Set(state.applied.map(\.version)) == Set(2...SchemaSetup.version))
            #expect(
                try SchemaAction.next(state, history: SchemaSetup.history, functions: SchemaSetup.functions) == .none)
        }
    }

    @Test func manyProgramsMigrateAtOnce() async throws {
        let history = Self.history(
            Self.migration(Self.following, expand: [Self.addColumn, "SELECT pg_sleep(0.3)"]),
            Self.migration(Self.following + 1, expand: ["ALTER TABLE poiesis.tasks ADD COLUMN second text"]))
        try await StoreHarness.withDatabase(connections: 6) { pool, _ in
            let before = try await SchemaState.read(from: pool)?.applied.count ?? 0
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<6 {
                    group.addTask { try await SchemaSetup(pool, history: history).run() }
                }
                try await group.waitForAll()
            }
            let state = try #require(try await SchemaState.read(from: pool))
            #expect(state.version == Self.following + 1 && state.servesFrom == Self.following)
            #expect(try await Self.columns(pool).suffix(2) == ["priority", "second"])
            #expect(state.applied.map(\.version) == state.applied.map(\.version).sorted())
            #expect(state.applied.count == before + 2)
        }
    }

    @Test func aFailingStepLeavesTheOldSchemaWhole() async throws {
        try await StoreHarness.withDatabase { pool, store in
            let before = (try await SchemaState.read(from: pool), try await Self.columns(pool))
            let broken = Self.history(
                Self.migration(
                    Self.following, expand: [Self.addColumn, "ALTER TABLE poiesis.tasks DROP COLUMN nothing"]))
            let error = await #expect(throws: SchemaError.self) { try await SchemaSetup(pool, history: broken).run() }
            #expect(
                error?.description.contains("more-\(Self.following).sql, expand failed and changed nothing") == true)
            #expect(error?.description.contains("42703") == true)
            #expect(try await SchemaState.read(from: pool) == before.0)
            #expect(try await Self.columns(pool) == before.1)
            // The corrected one goes through.
            try await SchemaSetup(pool, history: Self.history(Self.migration(Self.following, expand: [Self.addColumn])))
                .run()
            #expect(try await Self.columns(pool) == before.1 + ["priority"])
        }
    }

    @Test func whoHoldsATableIsNamedAndNothingChanges() async throws {
        try await StoreHarness.withDatabase { pool, store in
            let history = Self.history(Self.migration(Self.following, expand: [Self.addColumn]))
            let before = try await Self.columns(pool)
            async let holding = pool.run(Self.holding)
            try await Task.sleep(for: .milliseconds(300))
            let error = await #expect(throws: SchemaError.self) {
                try await SchemaSetup(pool, history: history, patience: .seconds(1)).run()
            }
            guard case .busy(_, let holder, _)? = error else {
                return #expect(Bool(false), "\(String(describing: error))")
            }
            #expect(holder?.contains("poiesis, active") == true, "\(holder ?? "nobody")")
            _ = try await holding
            #expect(try await Self.columns(pool) == before)
        }
    }

    @Test func aTableThatComesFreeIsWaitedFor() async throws {
        try await StoreHarness.withDatabase { pool, store in
            let history = Self.history(Self.migration(Self.following, expand: [Self.addColumn]))
            async let holding = pool.run(Self.holding)
            try await Task.sleep(for: .milliseconds(300))
            try await SchemaSetup(pool, history: history, patience: .seconds(30)).run()
            _ = try await holding
            #expect(try await Self.columns(pool).last == "priority")
        }
    }

    @Test func whatAnOlderProgramNeedsStaysWhileItRuns() async throws {
        try await StoreHarness.withDatabase { pool, store in
            let worker = WorkerID(id: store.newID(), host: "older-host")
            try await store.heartbeat(worker)
            let history = Self.history(
                Self.migration(Self.following, contract: ["ALTER TABLE poiesis.tasks DROP COLUMN description"]))
            try await SchemaSetup(pool, history: history).run()
            let error = await #expect(throws: SchemaError.self) {
                try await SchemaSetup(pool, history: history).run(contracts: true)
            }
            #expect(
                error?.description.contains("a program of schema version \(SchemaSetup.version) on older-host") == true)
            #expect(try await Self.columns(pool).contains("description"))
            // The next program on the same machine takes its place.
            try await SchemaSetup(pool, history: history, worker: worker).run(contracts: true)
            #expect(try await !Self.columns(pool).contains("description"))
            #expect(try await SchemaState.read(from: pool)?.servesFrom == Self.following)
            let refusal = await #expect(throws: SchemaError.self) { try await SchemaSetup.prepare(pool) }
            #expect(
                refusal == .tooNew(found: Self.following, servesFrom: Self.following, program: SchemaSetup.version))
        }
    }

    @Test func aStepThatOlderProgramsCannotBearWaitsForTheirEnd() async throws {
        try await StoreHarness.withDatabase { pool, store in
            try await store.heartbeat(WorkerID(id: store.newID(), host: "older-host"))
            let history = Self.history(
                Self.migration(
                    Self.following,
                    expand: [
                        "ALTER TABLE poiesis.tasks ALTER COLUMN description TYPE bigint USING description::bigint"
                    ],
                    stops: true))
            await #expect(throws: SchemaError.self) { try await SchemaSetup(pool, history: history).run() }
            _ = try await pool.run("UPDATE poiesis.workers SET heartbeat_at = heartbeat_at - interval '2 minutes'")
            try await SchemaSetup(pool, history: history).run()
            #expect(try await SchemaState.read(from: pool)?.servesFrom == Self.following)
        }
    }

    @Test func anOlderProgramLeavesNewerFunctionsAlone() async throws {
        try await StoreHarness.withDatabase { pool, store in
            let functions = "SELECT functions FROM poiesis.instance"
            func text() async throws -> String? {
                var row = try await pool.run(functions).rows.first
                return try row?.text()
            }
            // A program of the same version whose functions differ replaces them.
            _ = try await pool.run("UPDATE poiesis.instance SET functions = 'others'")
            _ = try await pool.run("DROP FUNCTION poiesis.cancel_v1(uuid, text)")
            try await SchemaSetup.prepare(pool)
            #expect(try await text() == SchemaSetup.functions)
            let id = store.newID()
            try await store.create(
                NewTask(
                    id: id, principal: .everyone, task: TESTask(executors: [TESExecutor(image: "i", command: ["true"])])
                ))
            #expect(try await store.cancel(id, for: .everyone) == .canceled)
            // One of an older version does not.
            _ = try await pool.run(
                "UPDATE poiesis.instance SET functions = 'newer', schema_version = \(Self.following), serves_from = 1")
            try await SchemaSetup.prepare(pool)
            #expect(try await text() == "newer")
        }
    }

    @Test func aSchemaWithoutItsRowIsNotTakenForAnother() async throws {
        try await StoreHarness.withDatabase { pool, _ in
            _ = try await pool.run("DELETE FROM poiesis.instance")
            await #expect(throws: SchemaError.incomplete) { try await SchemaSetup.prepare(pool) }
        }
    }

    /// A connection's prepared statements outlive the change of a column's type under them.
    @Test func statementsWorkOnAfterAColumnChanged() async throws {
        try await StoreHarness.withDatabase(connections: 1) { pool, store in
            let task = TESTask(
                resources: TESResources(cpuCores: 3), executors: [TESExecutor(image: "i", command: ["true"])])
            let ids = (0..<3).map { _ in store.newID() }
            try await store.create(NewTask(id: ids[0], principal: .everyone, task: task))
            let read = try await store.task(ids[0], view: .full, for: .everyone)
            #expect(read?.resources?.cpuCores == 3)
            _ = try await pool.run("ALTER TABLE poiesis.tasks ALTER COLUMN resources_cpu_cores TYPE bigint")
            #expect(try await store.task(ids[0], view: .full, for: .everyone) == read)
            try await store.create(NewTask(id: ids[1], principal: .everyone, task: task))
            let worker = WorkerID(id: store.newID(), host: "here")
            let attempt = try #require(
                try await store.claim(worker, backend: "tests", free: StoreHarness.plenty, total: StoreHarness.plenty))
            #expect(attempt.key.taskID == ids[0])
            _ = try await pool.run("ALTER TABLE poiesis.executor_logs ALTER COLUMN exit_code TYPE bigint")
            #expect(try await store.task(ids[0], view: .full, for: .everyone)?.logs?.count == 1)
        }
    }
}
