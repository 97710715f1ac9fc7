import ArgumentParser
import HTTPClient
import Postgres

struct APICommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "api",
        abstract: "The API alone, without a worker: as many as you like on one database.",
        discussion: """
            Example:
              poiesis api --database postgresql://poiesis@db/poiesis --listen 0.0.0.0:8000 --auth none

            Tasks wait in the database until a `poiesis serve` on the same database runs them, or, with `backend: kubernetes`
            in the configuration file, a `poiesis tctl`.
            """)

    @Option(help: "Address and port; port 0 takes a free one. Default: 127.0.0.1:8000.")
    var listen: String?
    @Option(help: "URL of a PostgreSQL database.")
    var database: String?
    @Option(help: "none: anybody who reaches the address may run tasks.")
    var auth: String?
    @OptionGroup var program: ProgramOptions

    func run() async throws {
        try await StartError.exiting { try await serve() }
    }

    private func serve() async throws {
        let settings = try program.settings(["listen": [listen], "database": [database], "auth": [auth]])
        let listener = try Listener(settings)
        guard let url = try settings.databaseURL() else {
            throw StartError(usage: "give the database that the workers use with --database URL")
        }
        let onKubernetes = try settings.isOnKubernetes()
        let roots = onKubernetes ? try settings.clusterFileRoots() : try settings.fileRoots()
        let composition = try Composition(
            settings: settings, logger: try settings.makeLogger(), roots: roots, closedFolders: [])
        let cluster = onKubernetes ? try ClusterParts(composition) : nil
        let database = try await Database(url: url, logger: composition.logger)
        let store = try await database.store(composition)
        var api = APIParts(composition: composition, store: store, listener: listener)
        if let cluster { api.use(cluster) }
        try await api.run(with: [])
        await database.close()
        composition.client.close()
    }
}
