import Synchronization

/// An answer whose body comes as fast as it is taken: what is not taken is held back at the server.
package final class HTTPStream: Sendable {
    package let status: Int
    package let headers: [(name: String, value: String)]
    private let queue: BodyQueue
    private let transfer: Transfer
    private let client: HTTPClient

    init(
        status: Int, headers: [(name: String, value: String)], queue: BodyQueue, transfer: Transfer, client: HTTPClient
    ) {
        self.status = status
        self.headers = headers
        self.queue = queue
        self.transfer = transfer
        self.client = client
    }

    deinit { client.cancel(transfer) }

    /// The first value of a header; names ignore case.
    package func header(_ name: String) -> String? {
        headers.first { $0.name == name.lowercased() }?.value
    }

    /// What has come since the last call, at least one byte; nil at the body's end. Only one caller may wait at a time.
    ///
    /// - Throws: ``HTTPError/broken(_:)`` where the body ends too soon, ``HTTPError/cancelled`` in a cancelled task.
    package func next() async throws(HTTPError) -> [UInt8]? {
        let piece = await withTaskCancellationHandler {
            await withCheckedContinuation { queue.awaitPiece($0) }
        } onCancel: {
            client.cancel(transfer)
        }
        let (bytes, isPaused) = try piece.get()
        if isPaused { client.resume(transfer) }
        return bytes
    }

    /// The rest of the body.
    ///
    /// - Throws: ``HTTPError/tooLarge(limit:)`` where there is more than `limit` bytes.
    package func rest(limit: Int) async throws(HTTPError) -> [UInt8] {
        var body: [UInt8] = []
        while let piece = try await next() {
            body += piece
            guard body.count <= limit else { throw .tooLarge(limit: limit) }
        }
        return body
    }
}

/// What lies between the client's thread, which puts in, and the one who takes out.
final class BodyQueue: Sendable {
    typealias Head = Result<(status: Int, headers: [(name: String, value: String)]), HTTPError>
    /// Nil bytes at the end; whether the transfer was paused, and is to be told to go on.
    typealias Piece = Result<(bytes: [UInt8]?, isPaused: Bool), HTTPError>

    /// Bytes that may lie here before the transfer is paused.
    private static let capacity = 1 << 18

    private struct State {
        var head: Head?
        var headWaiter: CheckedContinuation<Head, Never>?
        var bytes: [UInt8] = []
        var isPaused = false
        /// Nil while more may come.
        var end: Result<Void, HTTPError>?
        var pieceWaiter: CheckedContinuation<Piece, Never>?

        /// What can be given out now.
        mutating func take() -> Piece? {
            if !bytes.isEmpty {
                defer { (bytes, isPaused) = ([], false) }
                return .success((bytes, isPaused))
            }
            return end.map { end in end.map { (nil, false) } }
        }
    }

    private let state = Mutex(State())

    // MARK: The client's thread

    func begin(status: Int, headers: [(name: String, value: String)]) {
        let waiter = state.withLock { state -> CheckedContinuation<Head, Never>? in
            guard state.head == nil else { return nil }
            state.head = .success((status, headers))
            defer { state.headWaiter = nil }
            return state.headWaiter
        }
        waiter?.resume(returning: .success((status, headers)))
    }

    /// False where there is no room: the same bytes are offered again once the transfer goes on.
    func offer(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let (taken, waiter, piece) = state.withLock {
            state -> (Bool, CheckedContinuation<Piece, Never>?, Piece?) in
            guard state.bytes.isEmpty || state.bytes.count + bytes.count <= Self.capacity else {
                state.isPaused = true
                return (false, nil, nil)
            }
            state.bytes.append(contentsOf: bytes)
            guard let waiter = state.pieceWaiter else { return (true, nil, nil) }
            state.pieceWaiter = nil
            return (true, waiter, state.take())
        }
        if let waiter, let piece { waiter.resume(returning: piece) }
        return taken
    }

    func end(_ outcome: Transfer.Outcome) {
        let (head, piece) = state.withLock {
            state -> (
                CheckedContinuation<Head, Never>?, CheckedContinuation<Piece, Never>?
            ) in
            state.end = outcome.map { _ in }
            defer { (state.headWaiter, state.pieceWaiter) = (nil, nil) }
            if state.head == nil { state.head = outcome.map { ($0.status, $0.headers) } }
            return (state.headWaiter, state.pieceWaiter)
        }
        head?.resume(returning: outcome.map { ($0.status, $0.headers) })
        piece?.resume(returning: outcome.map { _ in (nil, false) })
    }

    // MARK: The one who takes out

    func awaitHead(_ continuation: CheckedContinuation<Head, Never>) {
        let head = state.withLock { state -> Head? in
            if state.head == nil { state.headWaiter = continuation }
            return state.head
        }
        if let head { continuation.resume(returning: head) }
    }

    func awaitPiece(_ continuation: CheckedContinuation<Piece, Never>) {
        let piece = state.withLock { state -> Piece? in
            let piece = state.take()
            if piece == nil { state.pieceWaiter = continuation }
            return piece
        }
        if let piece { continuation.resume(returning: piece) }
    }
}
