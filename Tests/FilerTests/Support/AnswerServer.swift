import Foundation
import Glibc
import Synchronization

/// A web server in this process that answers every request with raw bytes, one request for each connection.
final class AnswerServer: Sendable {
    /// What to answer to a request's target, the first time, the second time and so on.
    typealias Answer = @Sendable (_ target: String, _ time: Int) -> [UInt8]

    private let listener: Int32
    private let port: UInt16
    private let answer: Answer
    /// In the order in which they came to be answered.
    private let seen = Mutex<[(target: String, head: String, body: String)]>([])

    init(_ answer: @escaping Answer) {
        self.answer = answer
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                precondition(
                    bind(listener, address, size) == 0 && listen(listener, 64) == 0, "the test server finds no port")
                getsockname(listener, address, &size)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [self] in accept() }
    }

    static func response(_ body: String = "", status: Int = 200, length: Int? = nil) -> [UInt8] {
        Array(
            "HTTP/1.1 \(status) Status\r\ncontent-length: \(length ?? body.utf8.count)\r\nconnection: close\r\n\r\n\(body)"
                .utf8)
    }

    func url(_ path: String) -> String { "http://127.0.0.1:\(port)\(path)" }
    var targets: [String] { seen.withLock { $0.map(\.target) } }
    /// The requests' lines and headers.
    var requests: [String] { seen.withLock { $0.map(\.head) } }

    /// The requests' bodies.
    var bodies: [String] { seen.withLock { $0.map(\.body) } }

    func close() {
        shutdown(listener, Int32(SHUT_RDWR))
        Glibc.close(listener)
    }

    private func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { return }
            Thread.detachNewThread { [self] in
                serve(client)
                Glibc.close(client)
            }
        }
    }

    private func serve(_ client: Int32) {
        var request: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        var end: Int?
        while end == nil {
            let count = recv(client, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            request += buffer[..<count]
            end = request.firstRange(of: [13, 10, 13, 10])?.upperBound
        }
        var body = Array(request[(end ?? 0)...])
        request.removeLast(body.count)
        let length = String(decoding: request, as: UTF8.self).lowercased().split(whereSeparator: \.isNewline)
            .first { $0.hasPrefix("content-length:") }
        var left = (length.flatMap { Int($0.dropFirst(15).filter(\.isNumber)) } ?? 0) - body.count
        while left > 0 {
            let count = recv(client, &buffer, min(left, buffer.count), 0)
            guard count > 0 else { return }
            body += buffer[..<count]
            left -= count
        }
        let head = String(decoding: request, as: UTF8.self)
        let target = head.split(separator: " ").dropFirst().first.map(String.init) ?? ""
        let text = String(decoding: body, as: UTF8.self)
        let time = seen.withLock { seen in
            seen.append((target, head, text))
            return seen.count { $0.target == target }
        }
        let bytes = answer(target, time)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes {
                send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            written += count
        }
    }
}
