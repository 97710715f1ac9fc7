package import HTTPTypes
package import Hummingbird
import Synchronization
package import TaskCore

/// What the server knows of a request besides the request itself.
package struct TESRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// Who asks.
    package var principal = Principal.everyone
    /// What is found out while the request is answered.
    package let trace = RequestTrace()

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
    }
}

/// What is found out about a request on its way in, for those who see its answer on the way out.
package final class RequestTrace: Sendable {
    private let state = Mutex<(operation: String?, headers: HTTPFields)>((nil, [:]))

    /// The operation that answers; nil before it is known, and for paths beyond the specification.
    package var operation: String? {
        get { state.withLock { $0.operation } }
        set { state.withLock { $0.operation = newValue } }
    }

    /// Headers that the answer gets.
    package var headers: HTTPFields { state.withLock { $0.headers } }

    package func answer(_ name: HTTPField.Name, _ value: String) { state.withLock { $0.headers[name] = value } }
}

/// What a handler knows of a request besides its input.
package struct CallContext: Sendable {
    package var principal: Principal
    /// The request's body, with what was wrong with its values.
    package var body: RequestBody
    /// The client's name for a creation.
    package var idempotencyKey: String?
    package var trace: RequestTrace
}

extension HTTPField.Name {
    /// A name that is known to be valid.
    private static func known(_ name: String) -> HTTPField.Name { HTTPField.Name(name) ?? .init("X-Invalid")! }

    package static let host = known("Host")
    package static let requestID = known("X-Request-Id")
    package static let idempotencyKey = known("Idempotency-Key")
    package static let idempotentReplayed = known("Idempotent-Replayed")
    package static let secFetchSite = known("Sec-Fetch-Site")
    package static let lastEventID = known("Last-Event-ID")
}
