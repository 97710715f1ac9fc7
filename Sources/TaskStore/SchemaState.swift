package import Migrations
package import Postgres

/// What a database says of its schema.
package struct SchemaState: Hashable, Sendable {
    /// A phase of a migration that was applied.
    package struct Applied: Hashable, Sendable {
        package var version: Int
        package var phase: String
        package var name: String
        /// In the database's own words.
        package var time: String

        package init(version: Int, phase: String, name: String, time: String) {
            self.version = version
            self.phase = phase
            self.name = name
            self.time = time
        }
    }

    /// A program that was heard of within the last minute.
    package struct Program: Hashable, Sendable {
        package var host: String
        package var version: Int
    }

    package var version: Int
    /// The oldest program's version that works with it.
    package var servesFrom: Int
    /// Names the state functions that it has.
    package var functions: String?
    package var applied: [Applied] = []
    package var programs: [Program] = []

    package init(version: Int, servesFrom: Int, functions: String?) {
        self.version = version
        self.servesFrom = servesFrom
        self.functions = functions
    }

    package func has(_ migration: Migration, _ phase: Migration.Phase) -> Bool {
        applied.contains { $0.version == migration.version && $0.phase == phase.rawValue }
    }

    /// Holds for workers that still have their attempts: the lease of ``Worker`` in Orchestrator.
    static let isAlive = "w.heartbeat_at > clock_timestamp() - interval '60 seconds'"

    /// Reads a database of any version; nil where there is no schema.
    package static func read(from pool: PostgresPool) async throws(PostgresError) -> SchemaState? {
        let tables = try await pool.run(
            "SELECT to_regclass('poiesis.instance') IS NOT NULL, to_regclass('poiesis.migrations') IS NOT NULL")
        guard var exists = tables.rows.first, try exists.boolean() == true else { return nil }
        let hasHistory = try exists.boolean() == true
        // A row as JSON has the columns that there are.
        let instance = try await pool.run(
            """
            SELECT (to_jsonb(i)->>'schema_version')::integer, (to_jsonb(i)->>'serves_from')::integer, to_jsonb(i)->>'functions'
            FROM poiesis.instance i
            """)
        guard var row = instance.rows.first else { return nil }
        let version = Int(try row.int64() ?? 1)
        var state = SchemaState(
            version: version, servesFrom: Int(try row.int64() ?? Int64(version)), functions: try row.text())
        let programs = try await pool.run(
            """
            SELECT w.host, coalesce((to_jsonb(w)->>'schema_version')::integer, 1) FROM poiesis.workers w
            WHERE \(isAlive) ORDER BY 2, 1
            """)
        for row in programs.rows {
            var row = row
            state.programs.append(Program(host: try row.text() ?? "", version: Int(try row.int64() ?? 1)))
        }
        guard hasHistory else { return state }
        let applied = try await pool.run(
            "SELECT version, phase, name, applied_at::text FROM poiesis.migrations ORDER BY version, applied_at, phase DESC"
        )
        for row in applied.rows {
            var row = row
            state.applied.append(
                Applied(
                    version: Int(try row.int64() ?? 0), phase: try row.text() ?? "", name: try row.text() ?? "",
                    time: try row.text() ?? ""))
        }
        return state
    }
}

/// What is to be done next to make a database ready.
package enum SchemaAction: Hashable, Sendable {
    case none
    case create
    case apply(Migration, Migration.Phase)
    /// The functions belong to the newest program, not to the schema alone.
    case replaceFunctions

    /// - Parameters:
    ///   - state: nil where there is no schema.
    ///   - history: what the program knows; its last migration is the program's version.
    ///   - functions: names the program's state functions.
    ///   - contracts: whether the `contract` steps of the last migration are wanted, too.
    package static func next(
        _ state: SchemaState?, history: MigrationHistory, functions: String, contracts: Bool = false
    ) throws(SchemaError) -> SchemaAction {
        guard let state else { return .create }
        for migration in history.migrations {
            if let other = state.applied.first(where: { $0.version == migration.version && $0.name != migration.name })
            {
                throw .otherHistory(version: migration.version, database: other.name, program: migration.name)
            }
        }
        guard state.version <= history.version else {
            guard state.servesFrom <= history.version else {
                throw .tooNew(found: state.version, servesFrom: state.servesFrom, program: history.version)
            }
            return .none
        }
        guard state.version >= history.oldest else { throw .tooOld(found: state.version, oldest: history.oldest) }
        for migration in history.migrations
        where migration.version <= state.version && (migration.version < history.version || contracts)
            && !migration.contract.isEmpty && !state.has(migration, .contract)
        {
            return .apply(migration, .contract)
        }
        if let migration = history[version: state.version + 1] { return .apply(migration, .expand) }
        return state.functions == functions ? .none : .replaceFunctions
    }
}
