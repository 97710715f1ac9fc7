/// An operation that a server left to its stub: answered with 501.
nonisolated package struct OperationNotImplemented: Error, Sendable {
    package var operation: String
}

/// What a handler answers: a value, or a document that is sent in chunks as they are made.
nonisolated package enum Answer<Value: Sendable>: Sendable {
    case value(Value)
    case chunks(AsyncThrowingStream<[UInt8], any Error>)
}

/// One line of the route table.
nonisolated package struct Route: Hashable, Sendable {
    package var operation: String
    package var method: String
    package var path: String
}
