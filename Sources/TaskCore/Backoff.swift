/// Pauses between tries: they double up to a limit, and each is longer by up to a half, so that many do not come back at once.
package struct Backoff: Sendable {
    private var current: Duration
    private let limit: Duration

    /// - Parameters:
    ///   - first: the first pause, before it is made longer.
    ///   - limit: what pauses grow to, before they are made longer.
    package init(_ first: Duration, limit: Duration) {
        current = min(first, limit)
        self.limit = limit
    }

    /// The next pause.
    package mutating func next() -> Duration {
        defer { current = min(current * 2, limit) }
        return current + current * Double.random(in: 0..<0.5)
    }
}
