import HTTPTypes
import Hummingbird
import NIOCore
import TES
import TaskCore

/// Something that a process cannot work without.
package struct Probe: Sendable {
    package var name: String
    /// Nil while it works, or why it does not.
    package var problem: @Sendable () async -> String?

    package init(name: String, problem: @escaping @Sendable () async -> String?) {
        self.name = name
        self.problem = problem
    }
}

/// What operators, their tools and their portals ask, beyond the specification; see docs/reference/monitoring.md.
struct MonitoringRoutes {
    let store: any TaskStoreMonitor
    let probes: [Probe]
    let metrics: RequestMetrics
    let version: String
    let residentBytes: @Sendable () -> Int64
    let events: EventStream

    static let paths = ["/healthz", "/readyz", "/metrics", "/events", "/openapi.json", "/openapi.yaml"]

    func register(on router: Router<TESRequestContext>) {
        Self.register(on: router, probes: probes) {
            metrics.text(version: version, store: try? await store.statistics(), residentBytes: residentBytes())
        }
        router.get("/events") { request, context in
            context.trace.operation = "events"
            return try await events.response(request, context)
        }
        router.get("/openapi.json") { _, _ in Self.text(TESDescription.json, type: "application/json") }
        router.get("/openapi.yaml") { _, _ in Self.text(TESDescription.yaml, type: "application/yaml") }
    }

    /// What every process of ours answers that listens: `/healthz`, `/readyz` and `/metrics`.
    static func register(
        on router: Router<TESRequestContext>, probes: [Probe], metrics: @escaping @Sendable () async -> String
    ) {
        router.get("/healthz") { _, _ in Response.json(Array(#"{"status":"ok"}"#.utf8)) }
        router.get("/readyz") { _, _ in await readiness(probes) }
        router.get("/metrics") { _, _ in
            text(await metrics(), type: "text/plain; version=0.0.4; charset=utf-8")
        }
    }

    private static func readiness(_ probes: [Probe]) async -> Response {
        let problems = await withTaskGroup(of: (place: Int, reason: String?).self) { group in
            for (place, probe) in probes.enumerated() {
                group.addTask { (place, await probe.problem()) }
            }
            var reasons = [String?](repeating: nil, count: probes.count)
            for await answer in group { reasons[answer.place] = answer.reason }
            return zip(probes, reasons).compactMap { probe, reason in reason.map { (name: probe.name, reason: $0) } }
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("status")
        writer.string(problems.isEmpty ? "ok" : "unavailable")
        for problem in problems {
            writer.key(problem.name)
            writer.string(problem.reason)
        }
        writer.endObject()
        return Response.json(writer.bytes, status: problems.isEmpty ? .ok : .serviceUnavailable)
    }

    private static func text(_ text: String, type: String) -> Response {
        Response(
            status: .ok, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}
