package import Migrations
package import Postgres
package import TaskCore

/// Makes a database ready: creates the schema in an empty one, and brings an older one up to date.
///
/// Programs of two neighbouring versions work on one database. `instance.schema_version` is the last migration whose `expand`
/// steps were applied, `instance.serves_from` the oldest program that works with it. The `contract` steps of a migration are
/// applied by programs of the next version, or when an operator says so. Each phase of a migration is one transaction: broken
/// off anywhere, it leaves the schema as it was.
package struct SchemaSetup: Sendable {
    /// What this program was built with.
    package static let history = MigrationHistory(TaskMigrations.all)

    /// The schema's version that this program works with; counted up with every migration.
    package static var version: Int { history.version }

    /// Everything that a new database needs, in order, as one transaction.
    package static let statements: [String] =
        TaskSchema.statements + StateFunctions.statements + [
            """
            INSERT INTO poiesis.instance (schema_version, serves_from, functions)
            VALUES (\(history.version), \(history.migrations.last?.servesFrom(after: .contract) ?? 1), '\(functions)')
            """
        ]
        + history.migrations.flatMap { migration in
            [Migration.Phase.expand, .contract].filter { $0 == .expand || !migration.steps($0).isEmpty }.map {
                applied(migration, $0)
            }
        }

    /// Names the state functions of this program.
    package static let functions = fingerprint(StateFunctions.statements.joined(separator: ";"))

    /// The migrations that this run knows.
    private let history: MigrationHistory
    private let pool: PostgresPool
    /// The one that is to be started: that an older program ran as it a moment ago does not count.
    private let worker: WorkerID?
    private let report: @Sendable (String) -> Void

    /// How long to try again while others hold locks that a migration needs.
    private let patience: Duration
    /// How long one try waits for a lock: meanwhile everybody else waits behind it.
    static let lockTimeout = Duration.seconds(2)

    /// - Parameter report: is told what is done, one sentence each time.
    package init(
        _ pool: PostgresPool, history: MigrationHistory = SchemaSetup.history, worker: WorkerID? = nil,
        patience: Duration = .seconds(60), report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.pool = pool
        self.history = history
        self.worker = worker
        self.patience = patience
        self.report = report
    }

    /// Makes a database ready for this program.
    package static func prepare(_ pool: PostgresPool) async throws { try await SchemaSetup(pool).run() }

    /// Makes the database ready; any number of programs may do so at once.
    ///
    /// - Parameter contracts: whether to apply the `contract` steps of the last migration, too: no older program works any more.
    /// - Throws: ``SchemaError``, PostgresError
    package func run(contracts: Bool = false) async throws {
        var collisions = 0
        while true {
            let state = try await SchemaState.read(from: pool)
            let action = try SchemaAction.next(
                state, history: history, functions: Self.functions, contracts: contracts)
            let wasFirst: Bool
            switch action {
            case .none: return
            case .create: wasFirst = try await create()
            case .apply(let migration, let phase): wasFirst = try await apply(migration, phase)
            case .replaceFunctions:
                do {
                    wasFirst = try await replaceFunctions(state?.version ?? 1)
                } catch PostgresError.refused(let message) where message.sqlState == "42501" {
                    // Those that are there serve this program, too; a role of its own may not replace them.
                    report("the database's functions are another version's, and stay: their owner's to replace")
                    return
                }
            }
            if wasFirst { try await SchemaRoles.renew(pool) }
            // What is left of a schema, without a row in `instance`, looks like somebody faster each time.
            if !wasFirst { collisions += 1 }
            if collisions > 100 { throw SchemaError.incomplete }
        }
    }

    // MARK: Actions: each gives false where another program was faster

    private func create() async throws -> Bool {
        do throws(PostgresError) {
            _ = try await pool.run([Self.lock] + Self.statements.map { Statement($0) })
            return true
        } catch {
            guard case .refused(let message) = error,
                ["42P07", "42710", "23505", "42P06"].contains(message.sqlState)
            else { throw error }
            return false
        }
    }

    private func apply(_ migration: Migration, _ phase: Migration.Phase) async throws -> Bool {
        report("applying the migration \(migration.fileName), \(phase.rawValue)")
        let serves = migration.servesFrom(after: phase)
        let isDone =
            phase == .expand
            ? "(SELECT schema_version FROM poiesis.instance) <> \(migration.version - 1)"
            : "EXISTS (SELECT FROM poiesis.migrations WHERE version = \(migration.version) AND phase = 'contract')"
        let version = "schema_version = greatest(schema_version, \(migration.version))"
        let batch =
            Self.opening + [Statement(guardStatement(isDone: isDone, serves: serves))]
            + migration.steps(phase).map { Statement($0) } + [
                Statement(
                    "UPDATE poiesis.instance SET \(version), serves_from = greatest(serves_from, \(serves))"),
                Statement(Self.applied(migration, phase)),
            ]
        return try await patiently(batch, "the migration \(migration.fileName), \(phase.rawValue)")
    }

    private func replaceFunctions(_ version: Int) async throws -> Bool {
        report("replacing the database's functions by this program's")
        let isDone = """
            (SELECT schema_version <> \(version) OR functions = '\(Self.functions)' FROM poiesis.instance)
            """
        let update = "UPDATE poiesis.instance SET functions = '\(Self.functions)'"
        let batch =
            Self.opening + [Statement(guardStatement(isDone: isDone, serves: 0))]
            + (StateFunctions.statements + [update]).map { Statement($0) }
        return try await patiently(batch, "replacing the functions")
    }

    /// Sends a batch again while others hold what it has to lock.
    private func patiently(_ batch: [Statement], _ what: String) async throws -> Bool {
        let deadline = ContinuousClock.now + patience
        while true {
            do throws(PostgresError) {
                _ = try await pool.run(batch, timeout: Self.longest)
                return true
            } catch {
                guard case .refused(let message) = error else { throw error }
                switch message.sqlState {
                case Self.faster: return false
                case Self.olderRuns: throw SchemaError.olderProgram(message.primary, what: what)
                case "55P03", "40P01": break
                case "42501": throw error
                default: throw SchemaError.failed(what, message)
                }
            }
            let holder = await holder()
            guard ContinuousClock.now < deadline else { throw SchemaError.busy(what, holder: holder, patience) }
            report("\(what): waiting for \(holder ?? "others that use the tables")")
            // Whoever waited behind the locks that were asked for comes first.
            try await Task.sleep(for: .milliseconds(Int.random(in: 500...1500)))
        }
    }

    /// Who holds a lock on one of the tables for the longest time; nil where nobody does now, or the database does not say.
    private func holder() async -> String? {
        let sql = """
            SELECT format('process %s (%s, %s), in a transaction for %s s', a.pid, a.application_name, a.state,
                extract(epoch FROM clock_timestamp() - a.xact_start)::integer)
            FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_stat_activity a ON a.pid = l.pid
            WHERE n.nspname = 'poiesis' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND a.pid <> pg_backend_pid()
            ORDER BY a.xact_start LIMIT 1
            """
        guard var row = try? await pool.run(sql).rows.first else { return nil }
        return try? row.text()
    }

    // MARK: Statements

    /// One program at a time; the key is any number that nobody else uses.
    static let lock = Statement("SELECT pg_advisory_xact_lock(7813586346238636401)")
    /// The lock is waited for without an end: whoever holds it works.
    private static let opening = [
        lock,
        Statement(
            "SELECT set_config('lock_timeout', '\(lockTimeout.components.seconds)s', true), set_config('statement_timeout', '0', true)"
        ),
    ]
    /// Tables of any size are rewritten in this time.
    private static let longest = Duration.seconds(24 * 3600)
    private static let faster = "PT001"
    private static let olderRuns = "PT002"

    /// Breaks the transaction off where another program was faster, or where one works that would be left without what it needs.
    ///
    /// - Parameter serves: the oldest version that will work afterwards.
    private func guardStatement(isDone: String, serves: Int) -> String {
        let version = "coalesce((to_jsonb(w)->>'schema_version')::integer, 1)"
        let others = worker.map { " AND w.worker_id <> '\($0)'" } ?? ""
        return """
            DO $$
            DECLARE
                older record;
            BEGIN
                IF \(isDone) THEN RAISE EXCEPTION 'another program was faster' USING ERRCODE = '\(Self.faster)'; END IF;
                SELECT w.host, \(version) AS version, extract(epoch FROM clock_timestamp() - w.heartbeat_at)::integer AS age INTO older
                    FROM poiesis.workers w WHERE \(version) < \(serves)\(others) AND \(SchemaState.isAlive) ORDER BY 2 LIMIT 1;
                IF FOUND THEN
                    RAISE EXCEPTION 'a program of schema version % on % was heard of % s ago', older.version, older.host, older.age
                        USING ERRCODE = '\(Self.olderRuns)';
                END IF;
            END
            $$
            """
    }

    private static func applied(_ migration: Migration, _ phase: Migration.Phase) -> String {
        let name = migration.name.replacing("'", with: "''")
        return
            "INSERT INTO poiesis.migrations (version, phase, name) VALUES (\(migration.version), '\(phase.rawValue)', '\(name)')"
    }
}
