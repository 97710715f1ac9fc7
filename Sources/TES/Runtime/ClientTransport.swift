/// What carries a client's requests; the program that uses the client brings one.
nonisolated package protocol ClientTransport: Sendable {
    /// - Parameters:
    ///   - path: percent-encoded, relative to the server's base path.
    ///   - query: names and values, not yet encoded.
    ///   - body: a JSON document, or nil.
    func send(
        method: String, path: String, query: [(name: String, value: String)], body: [UInt8]?
    ) async throws -> ClientAnswer
}

/// A server's answer as it came.
nonisolated package struct ClientAnswer: Sendable {
    package var status: Int
    package var body: [UInt8]

    package init(status: Int, body: [UInt8]) {
        self.status = status
        self.body = body
    }

    /// The value of a successful answer; everything else is a ``ClientError``.
    package func decode<Value: JSONValue>(_ type: Value.Type) throws(ClientError) -> Value {
        let text = String(decoding: body.prefix(2000), as: UTF8.self)
        guard (200..<300).contains(status) else { throw .refused(status: status, body: text) }
        var reader = JSONReader(body, purpose: .answer)
        do throws(JSONSyntaxError) {
            if let value = try reader.document(type), reader.problems.isEmpty { return value }
        } catch {
            throw .unreadable(error.description)
        }
        throw .unreadable(reader.problems.told.map(\.description).joined(separator: "; "))
    }
}

/// Why a client got no value.
nonisolated package enum ClientError: Error, Sendable {
    /// The server answered with another status than 2xx.
    case refused(status: Int, body: String)
    /// The answer does not follow the specification.
    case unreadable(String)
}
