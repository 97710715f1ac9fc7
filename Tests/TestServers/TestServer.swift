import Foundation
import Glibc
import Synchronization

/// One request as the server read it.
package struct ServerRequest: Sendable {
    package var method: String
    /// Path and query, as they were sent.
    package var target: String
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    /// The first value of a header; the name in lower case.
    package func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
}

/// A connection that a handler answers on, byte by byte where it likes.
package struct ServerConnection: Sendable {
    fileprivate let descriptor: Int32

    /// Raw bytes of an answer; lost where the client has gone.
    package func write(_ bytes: [UInt8]) {
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            written += count
        }
    }

    /// Raw text of an answer.
    package func write(_ text: String) { write(Array(text.utf8)) }

    /// A whole answer; the headers are lines.
    package func answer(_ status: Int = 200, _ headers: [String] = [], _ body: [UInt8] = []) {
        let lines = ["HTTP/1.1 \(status) Status", "content-length: \(body.count)", "connection: close"] + headers
        write(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body)
    }

    /// Waits until the client has gone away.
    package func waitForEnd() {
        var byte: UInt8 = 0
        while recv(descriptor, &byte, 1, 0) > 0 {}
    }
}

/// A server in this process: one connection, one request, one call of the handler.
package final class TestServer: Sendable {
    /// Called on a thread of its own; the connection is closed after it.
    package typealias Handler = @Sendable (ServerRequest, ServerConnection) -> Void

    private let listener: Int32
    private let port: UInt16
    private let handler: Handler
    private let seen = Mutex<[ServerRequest]>([])

    /// - Parameter path: a unix socket; nil for a free port of the loopback.
    package init(path: String? = nil, _ handler: @escaping Handler) {
        self.handler = handler
        listener = socket(
            path == nil ? AF_INET : AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        port = Self.bind(listener, path)
        precondition(listen(listener, 64) == 0, "the test server cannot listen")
        Thread.detachNewThread { [self] in accept() }
    }

    /// Runs a test with a server and closes that afterwards.
    package static func with(_ handler: @escaping Handler, _ body: (TestServer) async throws -> Void) async throws {
        let server = TestServer(handler)
        defer { server.close() }
        try await body(server)
    }

    /// The URL of a path, which begins with a slash.
    package func url(_ path: String = "/") -> String { "http://127.0.0.1:\(port)\(path)" }
    /// What was asked so far.
    package var requests: [ServerRequest] { seen.withLock { $0 } }

    /// Takes no more connections.
    package func close() {
        shutdown(listener, Int32(SHUT_RDWR))
        Glibc.close(listener)
    }

    private static func bind(_ listener: Int32, _ path: String?) -> UInt16 {
        if let path {
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8).prefix(107)) }
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            precondition(status == 0, "the test server cannot be bound to \(path)")
            return 0
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                precondition(Glibc.bind(listener, address, size) == 0, "the test server finds no port")
                getsockname(listener, address, &size)
            }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    private func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { return }
            // A program that a test starts meanwhile would keep it open.
            _ = fcntl(client, F_SETFD, FD_CLOEXEC)
            Thread.detachNewThread { [self] in
                if let request = Self.read(client) {
                    seen.withLock { $0.append(request) }
                    handler(request, ServerConnection(descriptor: client))
                }
                Glibc.close(client)
            }
        }
    }

    /// Reads a request with a body of announced length, or in chunks.
    private static func read(_ client: Int32) -> ServerRequest? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        func more() -> Bool {
            let count = recv(client, &buffer, buffer.count, 0)
            if count > 0 { bytes += buffer[..<count] }
            return count > 0
        }
        var end: Int?
        while end == nil {
            guard more() else { return nil }
            end = bytes.indices.dropLast(3).first { bytes[$0..<$0 + 4].elementsEqual([13, 10, 13, 10]) }
        }
        let lines = String(decoding: bytes[..<(end ?? 0)], as: UTF8.self).split(separator: "\r\n").map(String.init)
        let first = lines[0].split(separator: " ").map(String.init)
        let headers = lines.dropFirst().map { line in
            let halves = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            return (name: String(halves[0]), value: halves.count > 1 ? String(halves[1].drop { $0 == " " }) : "")
        }
        var request = ServerRequest(method: first[0], target: first[1], headers: headers, body: [])
        let length = request.header("content-length").flatMap { Int($0) } ?? 0
        let start = (end ?? 0) + 4
        while bytes.count < start + length { guard more() else { return nil } }
        request.body = Array(bytes[start..<start + length])
        return request
    }
}
