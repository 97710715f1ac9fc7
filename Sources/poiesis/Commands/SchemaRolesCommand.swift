import ArgumentParser
import Postgres
import TaskStore

struct SchemaRolesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roles",
        abstract:
            "Makes the database roles poiesis_api, poiesis_tctl and poiesis_recorder, with no more rights than each needs.",
        discussion: """
            Examples:
              poiesis schema roles --database postgresql://poiesis@db/poiesis
              poiesis schema roles --print | psql -v ON_ERROR_STOP=1 "$DATABASE_URL"

            The user of the URL owns the schema, and may create roles where one is missing. New roles may log in once they have a
            password: ALTER ROLE poiesis_recorder PASSWORD '...'. May be repeated. Later migrations, which are still the owner's
            (poiesis schema migrate), give the roles what they need of new tables and functions.
            """)

    @Flag(help: "Print the SQL and do nothing.")
    var print = false
    @OptionGroup var options: SchemaDatabaseOptions

    func run() async throws {
        if print {
            Swift.print("BEGIN;")
            for statement in SchemaRoles.statements { Swift.print(statement + ";\n") }
            Swift.print("COMMIT;")
            return
        }
        try await options.run { pool, _ in
            guard try await SchemaState.read(from: pool) != nil else {
                throw StartError("there is no schema yet: poiesis schema migrate makes it")
            }
            do throws(PostgresError) {
                try await SchemaRoles.make(pool)
            } catch {
                guard case .refused(let message) = error, message.sqlState == "42501" else { throw error }
                throw StartError(
                    "\(message.primary): give the URL of the schema's owner, and let somebody who may create roles run what poiesis schema roles --print prints"
                )
            }
            Terminal.print("\(SchemaRoles.names.joined(separator: ", ")) are there and have their rights")
        }
    }
}
