package import Hummingbird
import NIOCore
package import TES

/// Between Hummingbird's requests and the generated operations: reads body and parameters, writes answers.
package struct OperationAdapter<Handlers: TESHandlers>: Sendable where Handlers.Context == CallContext {
    package let handlers: Handlers
    /// Most bytes of a body.
    let bodyLimit: Int

    package init(handlers: Handlers, bodyLimit: Int) {
        self.handlers = handlers
        self.bodyLimit = bodyLimit
    }

    /// Runs one operation; called by the generated routes.
    package func respond(
        _ request: Request, _ context: TESRequestContext, pathParameters: [String],
        _ body: (inout RequestParameters, RequestBody, CallContext) async throws -> EncodedAnswer
    ) async throws -> Response {
        var path: [String: String] = [:]
        for name in pathParameters { path[name] = context.parameters.get(name) }
        var parameters = RequestParameters(path: path, query: request.uri.query ?? "")
        let bytes = try await collect(request)
        let requestBody = RequestBody(bytes: bytes, contentType: request.headers[.contentType])
        let call = CallContext(principal: context.principal, body: requestBody)
        return try await body(&parameters, requestBody, call).response
    }

    private func collect(_ request: Request) async throws -> [UInt8] {
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > bodyLimit {
            throw APIError.tooLarge(limit: bodyLimit)
        }
        var bytes: [UInt8] = []
        for try await buffer in request.body {
            guard bytes.count + buffer.readableBytes <= bodyLimit else { throw APIError.tooLarge(limit: bodyLimit) }
            bytes.append(contentsOf: buffer.readableBytesView)
        }
        return bytes
    }
}

/// An operation's answer, ready to be sent.
package struct EncodedAnswer: Sendable {
    let response: Response

    /// - Parameter viewLevel: the view that the request chose; nil where the operation has none.
    package init(_ answer: Answer<some JSONValue>, viewLevel: Int?) {
        switch answer {
        case .value(let value): response = .json(JSONWriter.encode(value, viewLevel: viewLevel ?? .max))
        case .chunks(let chunks):
            let body = ResponseBody { writer in
                for try await chunk in chunks { try await writer.write(ByteBuffer(bytes: chunk)) }
                try await writer.finish(nil)
            }
            response = Response(status: .ok, headers: [.contentType: "application/json"], body: body)
        }
    }
}
