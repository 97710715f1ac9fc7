package import Hummingbird
package import Logging
import NIOCore
import TES
package import TaskCore

/// Where the server listens, and what it takes.
package struct ServerConfiguration: Sendable {
    package var host = "127.0.0.1"
    /// 0 takes a free one.
    package var port = 8000
    /// Most bytes of a request's body.
    package var bodyLimit = 16 << 20
    /// Host names besides `localhost` and addresses.
    package var knownHosts: Set<String> = []
    /// Whose pages may use the server from a browser.
    package var crossOrigin = CrossOrigin.none
    /// The program's version.
    package var version = ""
    /// Without a request for so long a connection is closed.
    package var idleTimeout = Duration.seconds(120)

    package init() {}
}

/// The HTTP server: the generated routes on all bases, and what lies beyond the specification.
package enum ServerApplication {
    /// The specification's own base first; then those that older clients use.
    package static let bases = [TESRoutes.basePath, "/v1", ""]

    /// - Parameters:
    ///   - ticker: wakes readers of events; to be run beside the server.
    ///   - probes: what `/readyz` asks.
    ///   - residentBytes: memory of this process.
    ///   - onReady: called once with the port.
    package static func make(
        handlers: Handlers, store: any TaskStoreMonitor, ticker: EventTicker, probes: [Probe],
        residentBytes: @escaping @Sendable () -> Int64, configuration: ServerConfiguration, logger: Logger,
        onReady: @escaping @Sendable (Int) async -> Void
    ) -> some ApplicationProtocol {
        let router = Router(context: TESRequestContext.self, options: .autoGenerateHeadEndpoints)
        let metrics = RequestMetrics()
        router.add(middleware: ObservationMiddleware(metrics: metrics))
        router.add(middleware: CompressionMiddleware())
        router.add(middleware: ErrorMiddleware())
        router.add(
            middleware: OriginMiddleware(
                knownHosts: configuration.knownHosts, crossOrigin: configuration.crossOrigin))
        router.add(middleware: FallbackMiddleware(paths: paths()))
        MonitoringRoutes(
            store: store, probes: probes, metrics: metrics, version: configuration.version,
            residentBytes: residentBytes, events: EventStream(store: store, ticker: ticker)
        ).register(on: router)
        addOlderClients(router, handlers, bodyLimit: configuration.bodyLimit)
        let adapter = OperationAdapter(handlers: handlers, bodyLimit: configuration.bodyLimit)
        for base in bases { registerTESRoutes(on: router, base: base, adapter: adapter) }
        return Application(
            router: router,
            server: .http1(configuration: .init(idleTimeout: .init(configuration.idleTimeout))),
            configuration: .init(address: .hostname(configuration.host, port: configuration.port)),
            onServerRunning: { channel in await onReady(channel.localAddress?.port ?? configuration.port) },
            logger: logger)
    }

    /// The errno(3) of an error with which the server ended, as of a port in use; nil for another error.
    package static func systemError(_ error: any Error) -> Int32? { (error as? IOError)?.errnoCode }

    /// What py-tes 0.4, Toil and the ELIXIR web component ask for beyond the specification.
    private static func addOlderClients(_ router: Router<TESRequestContext>, _ handlers: Handlers, bodyLimit: Int) {
        router.get("/v1/tasks/service-info") { _, _ in Response.json(handlers.olderServiceInfo) }
        let adapter = OperationAdapter(handlers: handlers, bodyLimit: bodyLimit)
        for base in bases {
            for colon in [":", "%3A", "%3a"] {
                router.delete(RouterPath(base + "/tasks/{id}\(colon)cancel")) { request, context in
                    try await adapter.respond(request, context, operation: "CancelTask", pathParameters: ["id"]) {
                        parameters, _, context in
                        let input = CancelTask.input(&parameters)
                        _ = try await handlers.cancelTask(input, context: context)
                        return EncodedAnswer(.value(TESCreateTaskResponse(id: input.id)), viewLevel: nil)
                    }
                }
            }
        }
    }

    /// Every path with its methods, the particular ones before the general.
    private static func paths() -> [(pattern: String, methods: [String])] {
        var paths = (MonitoringRoutes.paths + ["/v1/tasks/service-info"]).map {
            (pattern: $0, methods: ["GET", "HEAD"])
        }
        for base in bases {
            var table: [(pattern: String, methods: [String])] = []
            for route in TESRoutes.all {
                let pattern = base + route.path.split(separator: "/").map(wildcard).map { "/" + $0 }.joined()
                let methods = route.method == "GET" ? ["GET", "HEAD"] : [route.method]
                if let index = table.firstIndex(where: { $0.pattern == pattern }) {
                    table[index].methods += methods
                } else {
                    table.append((pattern, methods + (pattern.hasSuffix(":cancel") ? ["DELETE"] : [])))
                }
            }
            paths += table.sorted { $0.pattern.count > $1.pattern.count }
        }
        return paths
    }

    /// `{id}:cancel` → `*:cancel`
    private static func wildcard(_ segment: Substring) -> String {
        guard segment.hasPrefix("{"), let end = segment.firstIndex(of: "}") else { return String(segment) }
        return "*" + segment[segment.index(after: end)...]
    }
}

extension Handlers {
    /// The shape of service-info before version 1.0: `{"name", "doc", "storage"}`.
    var olderServiceInfo: [UInt8] {
        let info = serviceIdentity
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("name")
        writer.string(info.name)
        writer.key("doc")
        writer.string(info.description ?? "")
        writer.key("storage")
        writer.beginArray()
        for storage in info.storage {
            writer.element()
            writer.string(storage)
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }
}
