import Foundation
import Glibc
import KubernetesFake

/// An HTTP answer, taken apart.
struct RawResponse {
    var status = 0
    /// Names in lower case.
    var headers: [String: [String]] = [:]
    /// Without the chunks' sizes.
    var body: [UInt8] = []
    /// The chunks of the body; one, if it was not chunked.
    var chunks: [[UInt8]] = []
    /// Whether the body is whole: its last chunk or its whole length came.
    var complete = false

    /// Reads an answer as it came over the wire.
    init(_ bytes: [UInt8]) {
        let end = Array("\r\n\r\n".utf8)
        guard let split = bytes.firstRange(of: end) else { return }
        let lines = String(decoding: bytes[..<split.lowerBound], as: UTF8.self).split(separator: "\r\n")
        status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            headers[parts[0].lowercased(), default: []].append(parts.count > 1 ? parts[1] : "")
        }
        var rest = bytes[split.upperBound...]
        guard headers["transfer-encoding"] == ["chunked"] else {
            body = Array(rest)
            chunks = [body]
            complete = body.count == headers["content-length"]?.first.flatMap { Int($0) } ?? 0
            return
        }
        while let line = rest.firstRange(of: Array("\r\n".utf8)),
            let size = Int(String(decoding: rest[..<line.lowerBound], as: UTF8.self), radix: 16)
        {
            rest = rest[line.upperBound...]
            if size == 0 {
                complete = true
                return
            }
            chunks.append(Array(rest.prefix(size)))
            body += rest.prefix(size)
            guard rest.count > size else { return }
            rest = rest.dropFirst(size + 2)
        }
    }

    var json: JSON? { try? JSON(parsing: body) }

    /// The events of a watch; a broken last line is left out.
    var events: [WatchEvent] { body.split(separator: 10).compactMap { try? WatchEvent(line: Array($0)) } }

    func header(_ name: String) -> String? { headers[name]?.first }
}

/// One connection to a server on this machine.
enum RawHTTP {
    struct Failure: Error { var message: String }

    /// Sends bytes and reads until the server closes the connection, or for some seconds.
    static func exchange(_ request: [UInt8], port: Int, seconds: Int = 120) async throws -> RawResponse {
        RawResponse(try await bytes(request, port: port, seconds: seconds))
    }

    /// What comes back for some bytes until the server closes the connection, or for some seconds.
    static func bytes(_ request: [UInt8], port: Int, seconds: Int = 120) async throws -> [UInt8] {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try blocking(request, port, seconds) })
            }
        }
    }

    /// Sends one request and reads its answer.
    static func send(
        _ method: String, _ target: String, _ body: JSON? = nil, port: Int, type: String = "application/json",
        seconds: Int = 120
    ) async throws -> RawResponse {
        var text = "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        if let body { text += "Content-Type: \(type)\r\nContent-Length: \(body.bytes.count)\r\n" }
        return try await exchange(
            Array((text + "\r\n").utf8) + (body?.bytes ?? []), port: port, seconds: seconds)
    }

    private static func blocking(_ request: [UInt8], _ port: Int, _ seconds: Int) throws -> [UInt8] {
        let connection = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(connection) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr(APIServer.host)
        let connected = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(connection, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw Failure(message: "connection refused") }
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var sent = 0
        while sent < request.count {
            let count = Glibc.send(connection, Array(request[sent...]), request.count - sent, Int32(MSG_NOSIGNAL))
            guard count > 0 else { throw Failure(message: "not sent") }
            sent += count
        }
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return result }
            result += buffer[..<count]
        }
    }
}
