package import Hummingbird
package import Logging

/// A figure of a process, for `/metrics`.
package struct Gauge: Sendable {
    package var name: String
    /// A sentence for people.
    package var help: String
    package var value: Int64

    package init(_ name: String, _ help: String, _ value: Int64) {
        self.name = name
        self.help = help
        self.value = value
    }
}

/// The HTTP server of a process without the API: `/healthz`, `/readyz` and `/metrics`, and nothing that changes anything.
package enum MonitoringApplication {
    /// - Parameters:
    ///   - configuration: of it host, port, version and idle timeout count.
    ///   - probes: what `/readyz` asks.
    ///   - gauges: the process's own figures, read for each request.
    ///   - onReady: called once with the port.
    package static func make(
        probes: [Probe], gauges: @escaping @Sendable () -> [Gauge], configuration: ServerConfiguration, logger: Logger,
        onReady: @escaping @Sendable (Int) async -> Void
    ) -> some ApplicationProtocol {
        let router = Router(context: TESRequestContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: ErrorMiddleware())
        router.add(
            middleware: FallbackMiddleware(
                paths: ["/healthz", "/readyz", "/metrics"].map { (pattern: $0, methods: ["GET", "HEAD"]) }))
        MonitoringRoutes.register(on: router, probes: probes) {
            var text = PrometheusText()
            text.addBuild(configuration.version)
            for gauge in gauges() { text.add(gauge.name, "gauge", gauge.help, [("", "\(gauge.value)")]) }
            return text.text
        }
        return Application(
            router: router, server: .http1(configuration: .init(idleTimeout: .init(configuration.idleTimeout))),
            configuration: .init(address: .hostname(configuration.host, port: configuration.port)),
            onServerRunning: { channel in await onReady(channel.localAddress?.port ?? configuration.port) },
            logger: logger)
    }
}
