package import HTTPClient

/// Why a request to the API server gave no result.
package enum KubernetesError: Error, Sendable, CustomStringConvertible {
    /// The server answered, with another status than 2xx or with an `ERROR` in a watch.
    case refused(Refusal)
    /// There is no whole answer. Whether the request was carried out is known for ``HTTPError/unreachable(_:)`` alone: it was not.
    case transport(HTTPError)
    /// The answer is not what the API promises.
    case unreadable(String)
    /// There is nothing to log in with: a file cannot be read, a credential plugin failed.
    case credentials(String)

    package var description: String {
        switch self {
        case .refused(let refusal): refusal.description
        case .transport(let error): "the Kubernetes API server cannot be reached: \(error)"
        case .unreadable(let reason): "the Kubernetes API server's answer cannot be read: \(reason)"
        case .credentials(let reason): "no credentials for the Kubernetes API server: \(reason)"
        }
    }

    /// The server's refusal, where there is one.
    package var refusal: Refusal? {
        if case .refused(let refusal) = self { refusal } else { nil }
    }

    /// The refusal's reason, where there is one.
    package var reason: StatusReason? { refusal?.reason }

    /// Whether the Swift task was cancelled.
    package var isCancelled: Bool {
        if case .transport(.cancelled) = self { true } else { false }
    }
}

/// An answer that refuses, as the server's `Status` has it.
///
/// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
package struct Refusal: Hashable, Sendable, CustomStringConvertible {
    /// The HTTP status; that of the `Status` for an `ERROR` in a watch.
    package var code: Int
    /// Nil where the answer is no `Status`, such as the `404 page not found` of an API that the server lacks, or gives no reason.
    package var reason: StatusReason?
    /// For people: the server's sentence, or the first line of another answer.
    package var message: String
    /// Each single fault.
    package var causes: [StatusCause] = []
    /// How long the server asks to wait.
    package var retryAfter: Duration?
    /// Where a list's `continue` token is too old: one that goes on with a later version, so that the list is not of one moment.
    package var continueToken: String?
    /// Method and path of the request.
    package var request: String

    package init(code: Int, reason: StatusReason?, message: String, request: String) {
        self.code = code
        self.reason = reason
        self.message = message
        self.request = request
    }

    package var description: String {
        let name = reason.map { " " + $0.rawValue } ?? ""
        return "\(request): \(code)\(name): \(message)"
    }

    /// Whether a resource version or `continue` token is too old, so that a list has to begin again.
    package var isExpired: Bool { reason == .expired || reason == .gone || code == 410 }

    init(_ status: Status, code: Int, request: String) {
        self.init(
            code: code, reason: status.reason.flatMap { $0.isEmpty ? nil : StatusReason(rawValue: $0) },
            message: status.message ?? "", request: request)
        causes = status.details?.causes ?? []
        retryAfter = status.details?.retryAfterSeconds.flatMap { $0 > 0 ? .seconds($0) : nil }
        continueToken = status.metadata?.continue
    }

    /// What an answer says, be it a `Status` or plain text.
    init(code: Int, contentType: String?, retryAfter: String?, body: [UInt8], request: String) {
        if contentType?.hasPrefix("application/json") == true, let status = try? decoded(Status.self, body),
            status.kind == "Status"
        {
            self.init(status, code: code, request: request)
        } else {
            let text = String(decoding: body.prefix(1000), as: UTF8.self)
            let line = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
            // Priority and fairness answers with text.
            self.init(code: code, reason: code == 429 ? .tooManyRequests : nil, message: line, request: request)
        }
        if let seconds = retryAfter.flatMap({ Int64($0) }), seconds >= 0 { self.retryAfter = .seconds(seconds) }
    }
}

/// Why the server refuses, for programs. It may be one that is not listed here.
///
/// https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#StatusReason
package struct StatusReason: RawRepresentable, Hashable, Sendable {
    package var rawValue: String

    package init(rawValue: String) { self.rawValue = rawValue }

    // The reasons of Kubernetes 1.36, by their names.

    package static let alreadyExists = StatusReason(rawValue: "AlreadyExists")
    package static let badRequest = StatusReason(rawValue: "BadRequest")
    package static let conflict = StatusReason(rawValue: "Conflict")
    package static let expired = StatusReason(rawValue: "Expired")
    package static let forbidden = StatusReason(rawValue: "Forbidden")
    package static let gone = StatusReason(rawValue: "Gone")
    package static let internalError = StatusReason(rawValue: "InternalError")
    package static let invalid = StatusReason(rawValue: "Invalid")
    package static let methodNotAllowed = StatusReason(rawValue: "MethodNotAllowed")
    package static let notAcceptable = StatusReason(rawValue: "NotAcceptable")
    package static let notFound = StatusReason(rawValue: "NotFound")
    package static let requestEntityTooLarge = StatusReason(rawValue: "RequestEntityTooLarge")
    package static let serverTimeout = StatusReason(rawValue: "ServerTimeout")
    package static let serviceUnavailable = StatusReason(rawValue: "ServiceUnavailable")
    package static let timeout = StatusReason(rawValue: "Timeout")
    package static let tooManyRequests = StatusReason(rawValue: "TooManyRequests")
    package static let unauthorized = StatusReason(rawValue: "Unauthorized")
    package static let unsupportedMediaType = StatusReason(rawValue: "UnsupportedMediaType")
}
