import Foundation
import Postgres
import Testing

/// The DDL that the generator's golden cases hold, in a real database.
@Suite struct GoldenSchemaTests {
    private static let golden = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "SpecGeneratorTests/Golden")

    static func cases() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: golden.path(percentEncoded: false)).sorted().filter {
            FileManager.default.fileExists(
                atPath: golden.appending(path: "\($0)/expected/schema.sql").path(percentEncoded: false))
        }
    }

    @Test(arguments: try cases())
    func isTakenByPostgreSQL(_ name: String) async throws {
        let script = try String(
            contentsOf: Self.golden.appending(path: "\(name)/expected/schema.sql"), encoding: .utf8)
        let cluster = try PostgresCluster.shared.get()
        let database = "golden_" + name.replacing("-", with: "_")
        let maintenance = PostgresPool(url: cluster.url(), connections: 1)
        let pool = PostgresPool(url: cluster.url(database), connections: 1)
        do {
            _ = try await maintenance.run("CREATE DATABASE \(database)")
            for statement in script.split(separator: ";\n") { _ = try await pool.run(String(statement)) }
        } catch {
            Issue.record("\(name): \(error)")
        }
        await pool.close()
        await maintenance.close()
    }

    @Test func thereAreSeveral() throws {
        #expect(try Self.cases().count >= 5)
    }
}
