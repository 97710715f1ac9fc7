import ArgumentParser
import HTTPClient
import LocalSystem
import Orchestrator
import Postgres

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "API, worker and database in one process, for one machine.",
        discussion: """
            Examples:
              poiesis serve
              poiesis serve --listen 127.0.0.1:9000 --allow-files /data:rw --allow-files /references
              poiesis serve --database postgresql://poiesis@db/poiesis --engine unix:///run/podman/podman.sock

            Without --database a private PostgreSQL is kept in the data folder. S3 is set up by AWS_ACCESS_KEY_ID,
            AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL_S3. Every setting is also an environment variable
            POIESIS_… and a key of the configuration file.
            """)

    @Option(help: "Address and port; port 0 takes a free one. Default: 127.0.0.1:8000.")
    var listen: String?
    @Option(help: "URL of a PostgreSQL database.")
    var database: String?
    @Option(help: "Folder that file URLs may reach, DIR:ro or DIR:rw; can be repeated.")
    var allowFiles: [String] = []
    @Option(help: "none: anybody who reaches the address may run tasks.")
    var auth: String?
    @OptionGroup var machine: MachineOptions

    func run() async throws {
        try await StartError.exiting { try await serve() }
    }

    private func serve() async throws {
        let settings = try machine.settings([
            "listen": [listen], "database": [database], "allow_files": allowFiles, "auth": [auth],
        ])
        if try settings.isOnKubernetes() {
            throw StartError(
                usage:
                    "poiesis serve runs tasks on this machine; for backend: kubernetes start poiesis api and poiesis tctl"
            )
        }
        let logger = try settings.makeLogger()
        let listener = try Listener(settings)
        let data = try DataFolder(settings: settings)
        let composition = try Composition(
            settings: settings, logger: logger, roots: try settings.fileRoots(), closedFolders: [data.folder.path])
        let database = try await Database(settings: settings, data: data, logger: logger)
        defer { database.stop() }
        let worker = try data.worker()
        let store = try await database.store(composition, worker: worker)
        let backend = try await composition.backend(store: store, worker: worker, data: data)
        let wakeUp = WakeUp()
        var api = APIParts(composition: composition, store: store, listener: listener)
        api.wake = wakeUp.signal
        api.probes.append(.engine(backend))
        try await api.run(
            with: [
                database, Worker(id: worker, store: store, backend: backend, wakeUp: wakeUp, logger: logger),
            ])
        await database.close()
        composition.client.close()
    }
}
