import ArgumentParser
import Migrations
import TaskStore

struct SchemaStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Says which schema a database has and what is to be done, and changes nothing.",
        discussion: """
            Example:
              poiesis schema status --database postgresql://poiesis@db/poiesis

            Exit status: 0 this program works with it as it is, 1 there is something to do, or it cannot.
            """)

    @OptionGroup var options: SchemaDatabaseOptions

    func run() async throws {
        try await options.run { pool, history in
            guard let state = try await SchemaState.read(from: pool) else {
                Terminal.print("there is no schema yet: poiesis serve or poiesis schema migrate makes it")
                throw ExitCode(1)
            }
            Terminal.print("schema version \(state.version), serves programs from version \(state.servesFrom) on")
            for applied in state.applied {
                Terminal.print("  \(applied.version) \(applied.name), \(applied.phase): \(applied.time)")
            }
            for program in state.programs {
                Terminal.print("a program of version \(program.version) runs on \(program.host)")
            }
            for migration in history.migrations where migration.version > state.version {
                Terminal.print("\(migration.fileName) is to be applied")
            }
            for migration in history.migrations
            where migration.version <= state.version && !migration.contract.isEmpty && !state.has(migration, .contract)
            {
                Terminal.print(
                    "\(migration.fileName), contract, waits for a program of version \(migration.version + 1) or for schema migrate --contract"
                )
            }
            switch try SchemaAction.next(state, history: history, functions: SchemaSetup.functions) {
            case .none: Terminal.print("this program, of version \(history.version), works with it as it is")
            default:
                Terminal.print("this program, of version \(history.version), changes it first")
                throw ExitCode(1)
            }
        }
    }
}
