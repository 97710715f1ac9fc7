import ArgumentParser

/// The one program: server, runner and client.
@main
struct Poiesis: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "poiesis",
        abstract: "A GA4GH Task Execution Service: runs containers with inputs and outputs.",
        discussion: """
            Examples:
              poiesis serve --allow-files /data:rw          start a server on this machine
              poiesis task create task.json --wait          submit a task and wait for its end
              poiesis run task.json                         run one task without a server
              poiesis conformance http://localhost:8000     check a server against the specification
            """,
        version: version,
        subcommands: [
            ServeCommand.self, APICommand.self, TCtlCommand.self, RunCommand.self, TaskCommand.self,
            ConformanceCommand.self, SchemaCommand.self,
        ],
        groupedSubcommands: [
            CommandGroup(
                name: "Parts of a task's Pod",
                subcommands: [TRecCommand.self, TIFCommand.self, TOFCommand.self, AckCommand.self])
        ])
}

struct SchemaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "The PostgreSQL schema.",
        discussion: """
            Example:
              poiesis schema status --database postgresql://poiesis@db/poiesis
              poiesis schema print > schema.sql
            """,
        subcommands: [
            SchemaPrintCommand.self, SchemaStatusCommand.self, SchemaMigrateCommand.self, SchemaRolesCommand.self,
        ])
}
