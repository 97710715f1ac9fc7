import HTTPTypes
import Hummingbird
import Logging

/// Around everything else: names each request, counts it, and logs it.
struct ObservationMiddleware: RouterMiddleware {
    let metrics: RequestMetrics

    @concurrent func handle(
        _ request: Request, context: TESRequestContext,
        next: @concurrent (Request, TESRequestContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let id = Self.id(request.headers[.requestID])
        var context = context
        context.logger[metadataKey: "hb.request.id"] = nil
        context.logger[metadataKey: "request_id"] = "\(id)"
        var response = try await next(request, context)
        response.headers[.requestID] = id
        for field in context.trace.headers {
            let others = field.name == .vary ? response.headers[.vary].map { $0 + ", " } ?? "" : ""
            response.headers[field.name] = others + field.value
        }
        let duration = start.duration(to: .now)
        metrics.add(operation: context.trace.operation ?? "other", status: response.status.code, duration: duration)
        context.logger.debug(
            "request",
            metadata: [
                "method": "\(request.method)", "path": "\(request.uri.path)", "status": "\(response.status.code)",
                "milliseconds": "\(Double(duration / .microseconds(1)) / 1000)",
            ])
        return response
    }

    /// The client's own name for the request, if it is one, or a new one.
    private static func id(_ given: String?) -> String {
        if let given, (1...128).contains(given.utf8.count), given.utf8.allSatisfy({ (33...126).contains($0) }) {
            return given
        }
        return String(UInt64.random(in: .min ... .max), radix: 16) + String(UInt64.random(in: .min ... .max), radix: 16)
    }
}
