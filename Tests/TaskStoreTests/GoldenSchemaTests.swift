import Foundation
import Postgres
import TestServers
import Testing

/// The DDL that the generator's golden cases hold, and the statements on its tables, in a real database.
@Suite struct GoldenSchemaTests {
    private static let golden = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "SpecGeneratorTests/Golden")

    static func cases() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: golden.path(percentEncoded: false)).sorted().filter {
            FileManager.default.fileExists(
                atPath: golden.appending(path: "\($0)/statements.sql").path(percentEncoded: false))
        }
    }

    @Test(arguments: try cases())
    func isTakenByPostgreSQL(_ name: String) async throws {
        let schema = try statements(of: "\(name)/expected/schema.sql")
        let statements = try statements(of: "\(name)/statements.sql")
        #expect(statements.count > 2)
        let cluster = try PostgresCluster.shared.get()
        let database = "golden_" + name.replacing("-", with: "_")
        let maintenance = PostgresPool(url: cluster.url(), connections: 1)
        let pool = PostgresPool(url: cluster.url(database), connections: 1)
        do {
            _ = try await maintenance.run("CREATE DATABASE \(database)")
            for statement in schema { _ = try await pool.run(statement) }
            for (index, statement) in statements.enumerated() {
                _ = try await pool.run("PREPARE statement_\(index) AS \(statement)")
            }
        } catch {
            Issue.record("\(name): \(error)")
        }
        await pool.close()
        await maintenance.close()
    }

    private func statements(of file: String) throws -> [String] {
        try String(contentsOf: Self.golden.appending(path: file), encoding: .utf8).components(separatedBy: ";\n\n")
            .map { $0.trimmingCharacters(in: .newlines) }.filter { !$0.isEmpty }
    }

    @Test func thereAreSeveral() throws {
        #expect(try Self.cases().count >= 8)
    }
}
