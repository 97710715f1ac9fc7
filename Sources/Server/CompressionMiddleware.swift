import Gzip
import HTTPTypes
import Hummingbird
import NIOCore

/// Sends larger answers as gzip to clients that take it.
struct CompressionMiddleware: RouterMiddleware {
    /// Smaller answers fit into one packet anyway.
    private static let threshold = 1024

    @concurrent func handle(
        _ request: Request, context: TESRequestContext,
        next: @concurrent (Request, TESRequestContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        guard response.body.contentLength ?? .max >= Self.threshold, response.headers[.contentEncoding] == nil,
            response.headers[.contentType]?.hasPrefix("text/event-stream") != true
        else { return response }
        let others = response.headers[.vary].map { $0 + ", " } ?? ""
        response.headers[.vary] = others + "Accept-Encoding"
        guard Self.takesGzip(request.headers[.acceptEncoding] ?? "") else { return response }
        response.headers[.contentEncoding] = "gzip"
        response.headers[.contentLength] = nil
        let plain = response.body
        response.body = ResponseBody { writer in
            try await plain.write(GzipBodyWriter(next: writer))
        }
        return response
    }

    /// `br, gzip;q=0.5`: RFC 9110, 12.5.3.
    static func takesGzip(_ accepted: String) -> Bool {
        var wildcard = false
        for part in accepted.lowercased().split(separator: ",") {
            let pieces = part.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" } }
            guard let name = pieces.first else { continue }
            let weight = pieces.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) } ?? 1
            if name == "gzip" || name == "x-gzip" { return weight > 0 }
            if name == "*" { wildcard = weight > 0 }
        }
        return wildcard
    }
}

private struct GzipBodyWriter: ResponseBodyWriter {
    var next: any ResponseBodyWriter
    let gzip = GzipWriter()

    init(next: any ResponseBodyWriter) { self.next = next }

    @concurrent mutating func write(_ buffer: ByteBuffer) async throws {
        let bytes = gzip.write(Array(buffer.readableBytesView))
        if !bytes.isEmpty { try await next.write(ByteBuffer(bytes: bytes)) }
    }

    @concurrent consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
        try await next.write(ByteBuffer(bytes: gzip.write([], isLast: true)))
        try await next.finish(trailingHeaders)
    }
}
