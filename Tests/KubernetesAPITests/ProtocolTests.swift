import HTTPClient
import KubernetesAPI
import Testing

/// The client itself produces each recorded request, and understands its answer. The calls are in the `RecordedCalls…` files.
@Suite("Recorded protocol", .enabled(if: RecordedExchange.isThere), .timeLimit(.minutes(5)))
struct ProtocolTests {
    static let calls: [String: RecordedCall] = [
        RecordedCalls.reading, RecordedCalls.writing, RecordedCalls.refusals, RecordedCalls.leases, RecordedCalls.logs,
        RecordedCalls.watches, RecordedCalls.raw,
    ].reduce(into: [:]) { all, some in
        all.merge(some) { first, _ in
            Issue.record("two calls for one exchange")
            return first
        }
    }

    @Test func everyExchangeHasACall() {
        #expect(Set(Self.calls.keys) == Set(RecordedExchange.names))
        #expect(RecordedExchange.names.count == 114)
    }

    @Test(arguments: RecordedExchange.names)
    func theRequestIsTheRecordedOneAndItsAnswerUnderstood(_ name: String) async throws {
        let call = try #require(Self.calls[name])
        try await RecordedExchange(name).replay(call)
    }
}

/// Does what led to an exchange, and looks at what comes of it.
typealias RecordedCall = @Sendable (KubernetesClient, RecordedExchange) async throws -> Void

enum RecordedCalls {
    /// A call that is refused with a status, and for a reason.
    static func refused(
        _ code: Int, _ reason: StatusReason?, causes: Int = 0, retryAfter: Duration? = nil,
        _ call: @escaping RecordedCall
    ) -> RecordedCall {
        { client, exchange in
            let refusal = await refusal { try await call(client, exchange) }
            #expect(refusal?.code == code)
            #expect(refusal?.reason == reason)
            #expect(refusal?.causes.count == causes)
            #expect(refusal?.retryAfter == retryAfter)
            #expect(refusal?.message.isEmpty == false)
            #expect(refusal?.request == exchange.method + " " + exchange.path)
        }
    }

    static let pages = Selection(labels: "poiesis.io/page=yes")

    /// The method, path, query and body as they were recorded, for what the client has no method of its own.
    static func request(_ exchange: RecordedExchange) -> APIRequest {
        var request = APIRequest(exchange.method, exchange.path)
        request.query = exchange.query.map { pair in
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return (halves[0], halves[1])
        }
        request.accept = exchange.headers["accept"] ?? ""
        if let type = exchange.headers["content-type"] {
            request.contentType = type
            request.body = exchange.body
        }
        return request
    }
}
