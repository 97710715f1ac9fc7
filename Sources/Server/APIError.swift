import HTTPTypes
import Hummingbird
import NIOCore
import TES
import TaskCore

/// What goes wrong with a request other than its content.
package enum APIError: Error, Sendable {
    case notFound(String)
    case methodNotAllowed([String])
    case unsupportedMediaType(String)
    case unsupportedEncoding(String)
    case tooLarge(limit: Int)
    case forbidden(String)
    /// Nothing was stored: the client may send the same again.
    case unavailable
}

/// An error as clients see it: `{"status": 400, "message": "…", "errors": [{"pointer": "…", "message": "…"}]}`.
struct ErrorAnswer {
    var status: HTTPResponse.Status
    var message: String
    var problems: [RequestProblem] = []
    var headers = HTTPFields()

    private static let failed = ErrorAnswer(
        status: .internalServerError, message: "the server failed; its log says why")

    private init(status: HTTPResponse.Status, message: String, problems: [RequestProblem] = []) {
        self.status = status
        self.message = message
        self.problems = problems
    }

    /// The one mapping from errors to HTTP. An error that nobody expected carries nothing of itself.
    init(_ error: any Error) {
        switch error {
        case let error as InvalidRequest:
            let only = error.problems.count == 1 ? ": \(error.problems[0])" : ""
            self.init(status: .badRequest, message: "the request is invalid" + only, problems: error.problems)
        case let error as APIError: self.init(error)
        case let error as TaskStoreError:
            switch error {
            case .unavailable: self.init(APIError.unavailable)
            case .keyOfAnotherTask:
                self.init(
                    status: .unprocessableContent,
                    message: "this Idempotency-Key was used for another task within the last day: take a new one")
            case .searchTooLong(let limit):
                // No Retry-After: the same again would take as long.
                self.init(
                    status: .serviceUnavailable,
                    message:
                        "these filters match few of very many tasks and finding them took longer than \(Int64(limit / .milliseconds(1))) milliseconds: add a tag that few tasks have, or a longer name_prefix; the same request again will not help"
                )
            case .notThisAttempt, .refused, .corrupt: self = Self.failed
            }
        case let error as OperationNotImplemented:
            self.init(status: .notImplemented, message: "this server does not implement \(error.operation)")
        case let error as any HTTPResponseError:
            self.init(status: error.status, message: error.status.reasonPhrase.lowercased())
        default: self = Self.failed
        }
    }

    private init(_ error: APIError) {
        switch error {
        case .notFound(let what):
            status = .notFound
            message = what
        case .methodNotAllowed(let methods):
            status = .methodNotAllowed
            message = "this path serves \(methods.joined(separator: ", "))"
            headers[.allow] = methods.joined(separator: ", ")
        case .unsupportedMediaType(let type):
            status = .unsupportedMediaType
            message = "the body must be application/json, not \(type)"
        case .unsupportedEncoding(let encoding):
            status = .unsupportedMediaType
            message = "a body may be sent as it is or with Content-Encoding: gzip, not \(encoding.prefix(100))"
        case .tooLarge(let limit):
            status = .contentTooLarge
            message = "the body may have at most \(limit) bytes"
        case .forbidden(let reason):
            status = .forbidden
            message = reason
        case .unavailable:
            status = .serviceUnavailable
            message = "the database is away and nothing was stored: send the request again in a moment"
            headers[.retryAfter] = "5"
        }
    }

    var response: Response {
        let body = TESError(
            status: Int32(status.code), message: message,
            errors: problems.isEmpty ? nil : problems.map { TESProblem(pointer: $0.pointer, message: $0.message) })
        var response = Response.json(JSONWriter.encode(body), status: status)
        for field in headers { response.headers.append(field) }
        return response
    }
}

extension Response {
    /// A JSON document.
    static func json(_ bytes: [UInt8], status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
