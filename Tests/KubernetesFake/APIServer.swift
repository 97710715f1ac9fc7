import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A cluster's API over HTTP/1.1 on a free port of this machine, with keep-alive and chunked watches.
package final class APIServer: Sendable {
    /// What is served.
    package let cluster: Cluster
    /// What goes wrong.
    package let faults = Faults()
    /// An address of this machine that clients' own ports are not taken from: a port stays free while the server refuses connections.
    package static let host = "127.86.0.1"
    /// The port of ``host``; it stays the same while the server refuses connections.
    package let port: Int
    /// `http://HOST:PORT`.
    package var url: String { "http://\(Self.host):\(port)" }

    private struct State {
        var listener: (any Channel)?
        var connections: [ObjectIdentifier: any Channel] = [:]
        var seen: [String] = []
    }

    private let state = Mutex(State())

    private init(_ cluster: Cluster, _ listener: any Channel) {
        self.cluster = cluster
        port = listener.localAddress?.port ?? 0
        state.withLock { $0.listener = listener }
    }

    /// Starts a server. Throws what the system says if there is no port.
    package static func start(_ cluster: Cluster) async throws -> APIServer {
        await cluster.runDueNow()
        let box = ServerBox()
        let server = APIServer(cluster, try await listen(box, port: 0))
        box.server.withLock { $0 = server }
        return server
    }

    private static func listen(_ box: ServerBox, port: Int) async throws -> any Channel {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(ConnectionHandler(box))
                }
            }
            .bind(host: host, port: port).get()
    }

    /// The lines of the requests so far, `GET /api/v1/…`.
    package var requests: [String] { state.withLock { $0.seen } }

    func note(_ line: String) { state.withLock { $0.seen.append(line) } }

    func opened(_ channel: any Channel) {
        state.withLock { $0.connections[ObjectIdentifier(channel)] = channel }
        channel.closeFuture.whenComplete { [weak self] _ in
            self?.state.withLock { $0.connections[ObjectIdentifier(channel)] = nil }
        }
    }

    /// Refuses new connections.
    /// - Parameter breaking: whether those that are open, watches among them, are closed too.
    package func refuseConnections(breaking: Bool = true) async throws {
        let (listener, open) = state.withLock { state in
            defer { state.listener = nil }
            return (state.listener, breaking ? Array(state.connections.values) : [])
        }
        if let listener {
            // A program that another thread starts meanwhile may hold a copy of the socket: closing alone would leave it listening.
            try await listener.eventLoop.submit {
                try listener.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
                    _ = shutdown($0, Int32(SHUT_RDWR))
                }
            }.get()
            try? await listener.close()
        }
        for channel in open { channel.close(promise: nil) }
    }

    /// Accepts connections again, on the same port.
    package func acceptConnections() async throws {
        guard state.withLock({ $0.listener == nil }) else { return }
        let box = ServerBox()
        box.server.withLock { $0 = self }
        let listener = try await Self.listen(box, port: port)
        state.withLock { $0.listener = listener }
    }

    /// Breaks every connection that is open.
    package func breakConnections() {
        for channel in state.withLock({ Array($0.connections.values) }) { channel.close(promise: nil) }
    }

    /// Ends the server and its connections.
    package func stop() async { try? await refuseConnections() }
}

/// The server, known to connections only once it listens.
final class ServerBox: Sendable {
    let server = Mutex<APIServer?>(nil)
}
