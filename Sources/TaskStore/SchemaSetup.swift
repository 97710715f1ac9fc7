package import Postgres
import TaskCore

/// Creates the schema in an empty database, and refuses one of another version.
package enum SchemaSetup {
    /// Counted up with every migration.
    package static let version = 1

    /// Everything that a new database needs, in order, as one transaction.
    package static let statements: [String] =
        TaskSchema.statements + StateFunctions.statements + [
            "INSERT INTO poiesis.instance (schema_version) VALUES (\(version))"
        ]

    /// Makes the database ready; any number of servers may call it at once.
    package static func prepare(_ pool: PostgresPool) async throws {
        if try await isReady(pool) { return }
        let lock = Statement("SELECT pg_advisory_xact_lock(7813586346238636401)")
        let batch = [lock] + statements.map { Statement($0) }
        do throws(PostgresError) {
            _ = try await pool.run(batch)
        } catch {
            // Unless another server was faster.
            guard case .refused(let message) = error,
                ["42P07", "42710", "23505", "42P06"].contains(message.sqlState)
            else { throw error }
        }
        guard try await isReady(pool) else { throw TaskStoreError.corrupt("the schema could not be created") }
    }

    private static func isReady(_ pool: PostgresPool) async throws -> Bool {
        let exists = try await pool.run("SELECT to_regclass('poiesis.instance') IS NOT NULL")
        guard var answer = exists.rows.first, try answer.boolean() == true else { return false }
        let versions = try await pool.run("SELECT schema_version FROM poiesis.instance")
        guard var row = versions.rows.first else { return false }
        let found = try row.int64() ?? 0
        guard found == version else {
            throw SchemaVersionError(found: Int(found), expected: version)
        }
        return true
    }
}

/// The database's schema is another version than this program's.
package struct SchemaVersionError: Error, Sendable, CustomStringConvertible {
    package var found: Int
    package var expected: Int

    package var description: String {
        found > expected
            ? "the database has schema version \(found), this program knows \(expected): run a newer poiesis"
            : "the database has schema version \(found), this program needs \(expected): run the migration of this release"
    }
}
