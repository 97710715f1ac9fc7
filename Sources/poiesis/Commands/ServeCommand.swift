import ArgumentParser
import Foundation
import HTTPClient
import Hummingbird
import LocalSystem
import Logging
import Orchestrator
import Postgres
import Server
import ServiceLifecycle
import TaskCore
import TaskStore
import UnixSignals

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
        do {
            try await serve()
        } catch let error as ExitCode {
            throw error
        } catch let error as StartError where error.isUsage {
            Terminal.error(error.description)
            throw ExitCode(64)
        } catch {
            Terminal.error("\(Self.sentence(error))")
            throw ExitCode(1)
        }
    }

    private static func sentence(_ error: any Error) -> String {
        switch error {
        case let error as SchemaVersionError: error.description
        case PostgresError.refused(let message) where message.sqlState == "42501":
            "the database's user lacks a right: \(message.primary). Let it own the schema poiesis, or create schemas in the database"
        case let error as PostgresError: "\(error): start it, or correct --database"
        default: "\(error)"
        }
    }

    private func serve() async throws {
        // A log whose reader has gone must not end the server.
        signal(SIGPIPE, SIG_IGN)
        let settings = try machine.settings([
            "listen": [listen], "database": [database], "allow_files": allowFiles, "auth": [auth],
        ])
        let logger = try settings.makeLogger()
        let address = try ListenAddress(settings.text("listen") ?? "127.0.0.1:8000")
        let isOpen = try settings.choice("auth", ["none"]) == "none"
        guard address.isLoopback || isOpen else {
            throw StartError(
                usage:
                    "\(address.host) can be reached from other machines, and nothing authenticates who asks: listen on 127.0.0.1, or say --auth none to let everybody run tasks"
            )
        }
        let composition = try Composition(settings: settings, logger: logger, roots: try settings.fileRoots())
        let database = try await Database(settings: settings, data: composition.data, logger: logger)
        defer { database.stop() }
        try await SchemaSetup.prepare(database.pool)
        let store = PostgresTaskStore(
            pool: database.pool, metadata: composition.metadata, logger: logger, localClock: Composition.clock)
        try await store.maintain()
        // Read once now, so that service-info is answered while the database is away.
        _ = try await store.createdAt()
        let worker = try composition.data.worker()
        let backend = try await composition.backend(store: store, worker: worker)
        let wakeUp = WakeUp()
        let handlers = Handlers(store: store, configuration: composition.serviceConfiguration(), wake: wakeUp.signal)
        var server = ServerConfiguration()
        server.host = address.host
        server.port = address.port
        server.knownHosts = Set(settings.list("server.hosts").map { $0.lowercased() } + [Machine.hostName.lowercased()])
        if let limit = try settings.integer("server.body_limit") { server.bodyLimit = limit }
        server.version = Poiesis.version
        server.crossOrigin = try settings.crossOrigin()
        let ticker = EventTicker(store: store)
        let application = ServerApplication.make(
            handlers: handlers, store: store, ticker: ticker, probes: Self.probes(store, backend),
            residentBytes: { Machine.residentBytes }, configuration: server, logger: logger,
            onReady: { port in Terminal.print("listening on http://\(address.urlHost):\(port)") })
        let services: [any Service] = [
            application, ticker, database,
            Worker(id: worker, store: store, backend: backend, wakeUp: wakeUp, logger: logger),
            Maintenance(store: store, isOpen: isOpen, logger: logger),
        ]
        var configuration = ServiceGroupConfiguration(
            services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
            logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
        // A client that reads nothing any more must not hold up the end.
        configuration.maximumGracefulShutdownDuration = .seconds(20)
        let group = ServiceGroup(configuration: configuration)
        do {
            try await group.run()
        } catch {
            throw StartError(
                "cannot listen on \(address.host):\(address.port), or a part of the server failed: \(error). Is the port in use? Give another with --listen"
            )
        }
        await database.pool.close()
        composition.client.close()
    }
}

extension ServeCommand {
    /// What the server cannot work without.
    fileprivate static func probes(_ store: PostgresTaskStore, _ backend: some Backend) -> [Probe] {
        [
            Probe(name: "database") {
                do throws(TaskStoreError) { try await store.check() } catch { return "\(error)" }
                return nil
            },
            Probe(name: "engine") {
                // An engine that hangs is as good as none.
                await withTaskGroup(of: String?.self) { group in
                    group.addTask {
                        do throws(BackendError) { _ = try await backend.capacity() } catch { return "\(error)" }
                        return nil
                    }
                    group.addTask {
                        try? await Task.sleep(for: .seconds(3))
                        return "it gives no answer"
                    }
                    defer { group.cancelAll() }
                    return await group.next() ?? nil
                }
            },
        ]
    }
}

extension Settings {
    /// `server.cors`: nothing, `any`, or a list of origins.
    fileprivate func crossOrigin() throws -> CrossOrigin {
        let origins = list("server.cors").map { $0.lowercased() }
        if origins.isEmpty || origins == ["off"] { return .none }
        if origins == ["any"] || origins == ["*"] { return .any }
        for origin in origins {
            guard let scheme = origin.firstRange(of: "://"), !origin[scheme.upperBound...].contains("/") else {
                throw StartError(
                    usage: "server.cors takes any, or origins such as https://portal.example, not \(origin)")
            }
        }
        return .origins(Set(origins))
    }
}

/// `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`.
struct ListenAddress {
    let host: String
    let port: Int

    init(_ text: String) throws {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port),
            colon != text.startIndex
        else { throw StartError(usage: "--listen takes ADDRESS:PORT, such as 127.0.0.1:8000, not \(text)") }
        let host = text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        self.host = host
        self.port = port
    }

    var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }
    var urlHost: String { host.contains(":") ? "[\(host)]" : host }
}

/// What has to be done each minute.
struct Maintenance: Service {
    let store: PostgresTaskStore
    let isOpen: Bool
    let logger: Logger

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            var minutes = 0
            while !Task.isCancelled {
                if isOpen, minutes % 60 == 0 {
                    logger.warning("there is no authentication: everybody who reaches this address may run tasks")
                }
                minutes += 1
                try await Task.sleep(for: .seconds(60))
                do { try await store.maintain() } catch {
                    logger.error("the database does not answer", metadata: ["reason": "\(error)"])
                }
            }
        }
    }
}
