import Synchronization
package import TES

/// The bytes of a request's body, and what was wrong with the values in them.
package final class RequestBody: Sendable {
    private let bytes: [UInt8]
    private let contentType: String?
    private let found = Mutex(RequestProblems())

    init(bytes: [UInt8], contentType: String?) {
        self.bytes = bytes
        self.contentType = contentType
    }

    /// Values of the wrong type; the handler adds them to what it finds itself, so that all problems are answered at once.
    package var problems: RequestProblems { found.withLock { $0 } }

    /// The body's value. Malformed JSON, or a body that is no object, is thrown at once.
    package func decode<Value: JSONValue>(_ type: Value.Type) throws -> Value {
        if let contentType, !Self.isJSON(contentType) { throw APIError.unsupportedMediaType(contentType) }
        var reader = JSONReader(bytes, purpose: .request)
        let value: Value?
        do throws(JSONSyntaxError) { value = try reader.document(type) } catch {
            throw InvalidRequest([RequestProblem("", error.description)])
        }
        guard let value else { throw InvalidRequest(reader.problems) }
        let problems = reader.problems
        found.withLock { $0 = problems }
        return value
    }

    private static func isJSON(_ contentType: String) -> Bool {
        let type = (contentType.split(separator: ";").first ?? "").filter { $0 != " " }.lowercased()
        return type.isEmpty || type == "application/json" || type.hasSuffix("+json") || type == "text/json"
    }
}
