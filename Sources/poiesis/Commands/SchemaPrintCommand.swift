import ArgumentParser
import TaskStore

struct SchemaPrintCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "print", abstract: "Prints the SQL that makes the schema in an empty database.",
        discussion: """
            Example:
              poiesis schema print | psql -v ON_ERROR_STOP=1 "$DATABASE_URL"
            """)

    func run() async throws {
        print("BEGIN;")
        for statement in SchemaSetup.statements { print(statement + ";\n") }
        print("COMMIT;")
    }
}
