import ArgumentParser
import TaskStore

struct SchemaMigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Brings a database to this program's schema, as the start of poiesis serve does.",
        discussion: """
            Examples:
              poiesis schema migrate --database postgresql://poiesis@db/poiesis
              poiesis schema migrate --database postgresql://poiesis@db/poiesis --contract
              poiesis schema migrate --database postgresql://localhost/copy --migrations spec/migrations

            Programs of the version before work on meanwhile and afterwards. What only they need is taken away by the next version,
            or by --contract, once none of them runs any more. Each step is one transaction: broken off anywhere, it leaves the
            schema as it was, and may be started again.
            """)

    @Flag(help: "Also take away what only programs of the version before need.")
    var contract = false
    @OptionGroup var options: SchemaDatabaseOptions

    func run() async throws {
        try await options.run { pool, history in
            try await SchemaSetup(pool, history: history) { Terminal.print($0) }.run(contracts: contract)
            guard let state = try await SchemaState.read(from: pool) else { throw SchemaError.incomplete }
            Terminal.print("schema version \(state.version), serves programs from version \(state.servesFrom) on")
        }
    }
}
