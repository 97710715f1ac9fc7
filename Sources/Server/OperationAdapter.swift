import Crypto
import Gzip
import HTTPTypes
package import Hummingbird
import NIOCore
package import TES

/// Between Hummingbird's requests and the generated operations: reads body and parameters, writes answers.
package struct OperationAdapter<Handlers: TESHandlers>: Sendable where Handlers.Context == CallContext {
    package let handlers: Handlers
    /// Most bytes of a body, after it was inflated.
    let bodyLimit: Int

    /// Operations whose answers clients keep and ask for again: they carry an `ETag`.
    private static var cached: Set<String> { ["GetTask"] }

    package init(handlers: Handlers, bodyLimit: Int) {
        self.handlers = handlers
        self.bodyLimit = bodyLimit
    }

    /// Runs one operation; called by the generated routes.
    package func respond(
        _ request: Request, _ context: TESRequestContext, operation: String, pathParameters: [String],
        _ body: (inout RequestParameters, RequestBody, CallContext) async throws -> EncodedAnswer
    ) async throws -> Response {
        context.trace.operation = operation
        var path: [String: String] = [:]
        for name in pathParameters { path[name] = context.parameters.get(name) }
        var parameters = RequestParameters(path: path, query: request.uri.query ?? "")
        let bytes = try await collect(request)
        let requestBody = RequestBody(bytes: bytes, contentType: request.headers[.contentType])
        let call = CallContext(
            principal: context.principal, body: requestBody, idempotencyKey: request.headers[.idempotencyKey],
            trace: context.trace)
        switch try await body(&parameters, requestBody, call).content {
        case .bytes(let bytes):
            guard Self.cached.contains(operation) else { return .json(bytes) }
            return Self.cached(bytes, request.headers)
        case .chunks(let chunks):
            let body = ResponseBody { writer in
                for try await chunk in chunks { try await writer.write(ByteBuffer(bytes: chunk)) }
                try await writer.finish(nil)
            }
            return Response(status: .ok, headers: [.contentType: "application/json"], body: body)
        }
    }

    private func collect(_ request: Request) async throws -> [UInt8] {
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > bodyLimit {
            throw APIError.tooLarge(limit: bodyLimit)
        }
        let encoding = request.headers[.contentEncoding]?.lowercased() ?? "identity"
        guard ["identity", "gzip", "x-gzip"].contains(encoding) else { throw APIError.unsupportedEncoding(encoding) }
        var bytes: [UInt8] = []
        do {
            for try await buffer in request.body {
                guard bytes.count + buffer.readableBytes <= bodyLimit else { throw APIError.tooLarge(limit: bodyLimit) }
                bytes.append(contentsOf: buffer.readableBytesView)
            }
        } catch let error as APIError {
            throw error
        } catch {
            // Chunks that are none, trailers without end, a connection that broke.
            throw InvalidRequest([RequestProblem("", "the body cannot be read: it is no HTTP")])
        }
        if encoding == "identity" { return bytes }
        do throws(GzipError) { return try gunzip(bytes, limit: bodyLimit) } catch {
            switch error {
            case .tooLarge: throw APIError.tooLarge(limit: bodyLimit)
            case .damaged: throw InvalidRequest([RequestProblem("", "the body is no gzip data, or is cut short")])
            }
        }
    }

    /// The answer with its tag, or 304 where the client has it already. RFC 9110, 8.8.3 and 13.1.2.
    private static func cached(_ bytes: [UInt8], _ headers: HTTPFields) -> Response {
        let tag = "\"\(hexadecimal(SHA256.hash(data: bytes).prefix(12)))\""
        let known = (headers[.ifNoneMatch] ?? "").split(separator: ",").map { part in
            let text = part.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed()
            return String(text).hasPrefix("W/") ? String(text.dropFirst(2)) : String(text)
        }
        var response =
            known.contains(tag) || known == ["*"] ? Response(status: .notModified) : Response.json(bytes)
        // Weak: a compressed answer has other bytes and the same tag.
        response.headers[.eTag] = "W/" + tag
        return response
    }
}

/// An operation's answer, ready to be sent.
package struct EncodedAnswer: Sendable {
    enum Content: Sendable {
        case bytes([UInt8])
        case chunks(AsyncThrowingStream<[UInt8], any Error>)
    }

    let content: Content

    /// - Parameter viewLevel: the view that the request chose; nil where the operation has none.
    package init(_ answer: Answer<some JSONValue>, viewLevel: Int?) {
        content =
            switch answer {
            case .value(let value): .bytes(JSONWriter.encode(value, viewLevel: viewLevel ?? .max))
            case .chunks(let chunks): .chunks(chunks)
            }
    }
}

/// Two digits for each byte, in lower case.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    var text: [UInt8] = []
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] { text.append(digit < 10 ? 48 + digit : 87 + digit) }
    }
    return String(decoding: text, as: UTF8.self)
}
