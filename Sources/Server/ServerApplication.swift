package import Hummingbird
package import Logging
import NIOCore
import TES

/// Where the server listens, and what it takes.
package struct ServerConfiguration: Sendable {
    package var host = "127.0.0.1"
    /// 0 takes a free one.
    package var port = 8000
    /// Most bytes of a request's body.
    package var bodyLimit = 16 << 20
    /// Host names besides `localhost` and addresses.
    package var knownHosts: Set<String> = []

    package init() {}
}

/// The HTTP server: the generated routes on all bases, and what lies beyond the specification.
package enum ServerApplication {
    /// The specification's own base first; then those that older clients use.
    package static let bases = [TESRoutes.basePath, "/v1", ""]

    /// - Parameter onReady: called once with the port.
    package static func make(
        handlers: Handlers, configuration: ServerConfiguration, logger: Logger,
        onReady: @escaping @Sendable (Int) async -> Void
    ) -> some ApplicationProtocol {
        let router = Router(context: TESRequestContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: ErrorMiddleware())
        router.add(middleware: OriginMiddleware(knownHosts: configuration.knownHosts))
        router.add(middleware: FallbackMiddleware(paths: paths()))
        addHealth(router)
        addOlderClients(router, handlers, bodyLimit: configuration.bodyLimit)
        let adapter = OperationAdapter(handlers: handlers, bodyLimit: configuration.bodyLimit)
        for base in bases { registerTESRoutes(on: router, base: base, adapter: adapter) }
        return Application(
            router: router,
            configuration: .init(address: .hostname(configuration.host, port: configuration.port)),
            onServerRunning: { channel in await onReady(channel.localAddress?.port ?? configuration.port) },
            logger: logger)
    }

    private static func addHealth(_ router: Router<TESRequestContext>) {
        router.get("/healthz") { _, _ in Response.json(Array(#"{"status":"ok"}"#.utf8)) }
    }

    /// What py-tes 0.4, Toil and the ELIXIR web component ask for beyond the specification.
    private static func addOlderClients(_ router: Router<TESRequestContext>, _ handlers: Handlers, bodyLimit: Int) {
        router.get("/v1/tasks/service-info") { _, _ in Response.json(handlers.olderServiceInfo) }
        let adapter = OperationAdapter(handlers: handlers, bodyLimit: bodyLimit)
        for base in bases {
            for colon in [":", "%3A", "%3a"] {
                router.delete(RouterPath(base + "/tasks/{id}\(colon)cancel")) { request, context in
                    try await adapter.respond(request, context, pathParameters: ["id"]) { parameters, _, context in
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
        var paths: [(pattern: String, methods: [String])] = [
            ("/healthz", ["GET", "HEAD"]), ("/v1/tasks/service-info", ["GET", "HEAD"]),
        ]
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
