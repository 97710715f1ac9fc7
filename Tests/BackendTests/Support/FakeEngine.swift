import Foundation
import Glibc
import Synchronization

/// An engine's API on a unix socket that answers as a test tells it, one request for each connection.
final class FakeEngine: Sendable {
    /// The answer to a request's line (`GET /path`), the first time, the second time and so on.
    typealias Answer = @Sendable (_ line: String, _ time: Int) -> (status: Int, body: String)

    let socket = "/tmp/fake-engine-\(UInt64.random(in: 0 ... .max)).sock"
    private let listener: Int32
    private let answer: Answer
    private let seen = Mutex<[String]>([])

    init(_ answer: @escaping Answer) {
        self.answer = answer
        listener = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(socket.utf8)) }
        let listener = listener
        withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let size = socklen_t(MemoryLayout<sockaddr_un>.size)
                precondition(bind(listener, address, size) == 0 && listen(listener, 64) == 0, "no socket for a test")
            }
        }
        Thread.detachNewThread { [self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                serve(client)
                Glibc.close(client)
            }
        }
    }

    /// The requests' lines.
    var lines: [String] { seen.withLock { $0 } }

    func close() {
        shutdown(listener, Int32(SHUT_RDWR))
        Glibc.close(listener)
        unlink(socket)
    }

    private func serve(_ client: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(client, &buffer, buffer.count, 0)
        guard count > 0 else { return }
        let words = String(decoding: buffer[..<count], as: UTF8.self).split(separator: " ")
        let line = words.prefix(2).joined(separator: " ")
        let time = seen.withLock { seen in
            seen.append(line)
            return seen.count { $0 == line }
        }
        let (status, body) = answer(line, time)
        let text = "HTTP/1.1 \(status) X\r\ncontent-length: \(body.utf8.count)\r\nconnection: close\r\n\r\n\(body)"
        let bytes = Array(text.utf8)
        send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
}
