import Foundation
import Hummingbird
import KubernetesBackend
import LocalSystem
import Logging
import Orchestrator
import Postgres
import Server
import ServiceLifecycle
import TaskCore
import TaskStore
import UnixSignals

/// The API with what belongs to it, for `serve` and `api`.
struct APIParts {
    let composition: Composition
    let store: PostgresTaskStore
    let listener: Listener
    /// Called for each new or cancelled task.
    var wake: @Sendable () -> Void = {}
    /// What a cluster adds.
    private var cluster: ClusterParts?
    /// What the server cannot work without.
    var probes: [Probe]

    init(composition: Composition, store: PostgresTaskStore, listener: Listener) {
        self.composition = composition
        self.store = store
        self.listener = listener
        probes = [.database(store)]
    }

    /// Takes tasks for a cluster.
    mutating func use(_ cluster: ClusterParts) { self.cluster = cluster }

    private var handlers: Handlers {
        var service = composition.serviceConfiguration()
        guard let cluster else { return Handlers(store: store, configuration: service, wake: wake) }
        service.judge = cluster.judge
        service.storage = Set(service.storage + cluster.storage).sorted()
        service.rules.backendParameters = cluster.configuration.allowed.keys
        let cancellation = JobCancellation(client: cluster.client, store: store, logger: composition.logger)
        return Handlers(
            store: store, configuration: service, wake: wake,
            cancelled: { id in Task { await cancellation.cancel(id) } })
    }

    /// Serves until SIGTERM or SIGINT, beside other services; the first of them ends last.
    func run(with others: [any Service]) async throws {
        let settings = composition.settings
        let logger = composition.logger
        let address = listener.address
        let handlers = handlers
        var server = ServerConfiguration()
        server.host = address.host
        server.port = address.port
        server.knownHosts = Set(settings.list("server.hosts").map { $0.lowercased() } + [Machine.hostName.lowercased()])
        if let limit = try settings.integer("server.body_limit") { server.bodyLimit = limit }
        server.version = Poiesis.version
        server.crossOrigin = try settings.crossOrigin()
        let ticker = EventTicker(store: store)
        let application = ServerApplication.make(
            handlers: handlers, store: store, ticker: ticker, probes: probes,
            residentBytes: { Machine.residentBytes }, configuration: server, logger: logger,
            onReady: { port in Terminal.print("listening on http://\(address.urlHost):\(port)") })
        let services: [any Service] =
            [application, ticker] + others
            + [Maintenance(store: store, isOpen: listener.isOpen, logger: logger)]
        try await ServiceGroup.run(services, listensOn: address)
    }
}

extension ServiceGroup {
    /// Runs services until SIGTERM or SIGINT; the first of them ends last.
    ///
    /// - Parameter address: of the one among them that listens.
    static func run(_ services: [any Service], listensOn address: ListenAddress?) async throws {
        var configuration = ServiceGroupConfiguration(
            services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
            logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
        // A client that reads nothing any more must not hold up the end.
        configuration.maximumGracefulShutdownDuration = .seconds(20)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch {
            guard let address, let code = ServerApplication.systemError(error) else {
                throw StartError("a part of the server failed: \(error)")
            }
            let reason = FileError("listen", address.host, code: code).reason
            throw StartError(
                "cannot listen on \(address.host):\(address.port): \(reason). Give another with \(address.setting)")
        }
    }
}

extension Probe {
    static func database(_ store: PostgresTaskStore) -> Probe {
        Probe(name: "database") {
            do throws(TaskStoreError) { try await store.check() } catch { return "\(error)" }
            return nil
        }
    }

    static func engine(_ backend: some Backend) -> Probe {
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
        }
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

/// Where the server listens, and for whom.
struct Listener {
    let address: ListenAddress
    /// `--auth none`: whoever reaches the address may run tasks.
    let isOpen: Bool

    init(_ settings: Settings) throws {
        address = try ListenAddress(settings.text("listen") ?? "127.0.0.1:8000")
        isOpen = try settings.choice("auth", ["none"]) == "none"
        guard address.isLoopback || isOpen else {
            throw StartError(
                usage:
                    "\(address.host) can be reached from other machines, and nothing authenticates who asks: listen on 127.0.0.1, or say --auth none to let everybody run tasks"
            )
        }
    }
}

/// `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`.
struct ListenAddress {
    let host: String
    let port: Int
    /// The flag or key that it is from.
    let setting: String

    init(_ text: String, setting: String = "--listen") throws {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port),
            colon != text.startIndex
        else { throw StartError(usage: "\(setting) takes ADDRESS:PORT, such as 127.0.0.1:8000, not \(text)") }
        let host = text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        self.host = host
        self.port = port
        self.setting = setting
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
