import ArgumentParser
import Foundation
import Migrations
import Postgres
import TaskStore

/// Options of the commands that look after a database's schema.
struct SchemaDatabaseOptions: ParsableArguments {
    @Option(help: "URL of the PostgreSQL database.")
    var database: String?
    @Option(help: "Configuration file (YAML).")
    var config: String?
    @Option(help: "Folder with migrations to use in place of this program's, to try out a draft on a copy.")
    var migrations: String?

    /// Runs a body on the database and ends the program as `serve` does where that fails.
    func run(_ body: (PostgresPool, MigrationHistory) async throws -> Void) async throws {
        try await StartError.exiting {
            let settings = try Settings(
                flags: ["database": [database].compactMap { $0 }], environment: ProcessInfo.processInfo.environment,
                configuration: config)
            guard let url = try settings.databaseURL() else {
                throw StartError(
                    usage:
                        "--database URL is missing; the private database of poiesis serve is looked after by its start")
            }
            let history = try history()
            let pool = PostgresPool(connections: 1, url: url)
            try await body(pool, history)
            await pool.close()
        }
    }

    private func history() throws -> MigrationHistory {
        guard let migrations else { return SchemaSetup.history }
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: migrations) else {
            throw StartError("cannot read the folder \(migrations)")
        }
        return try MigrationHistory(
            files: names.filter { $0.hasSuffix(".sql") }.map { name in
                let path = migrations + "/" + name
                guard let data = FileManager.default.contents(atPath: path) else {
                    throw StartError("cannot read \(path)")
                }
                return (path, String(decoding: data, as: UTF8.self))
            })
    }
}
