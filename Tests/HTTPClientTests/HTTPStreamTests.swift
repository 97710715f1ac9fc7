import Foundation
import Glibc
import HTTPClient
import Synchronization
import TestServers
import Testing

@Suite("HTTP client: streams", .timeLimit(.minutes(5)))
struct HTTPStreamTests {
    private func with(
        _ handler: @escaping TestServer.Handler, test body: (HTTPClient, TestServer) async throws -> Void
    ) async throws {
        try await TestServer.with(handler) { server in
            let client = HTTPClient()
            defer { client.close() }
            try await body(client, server)
        }
    }

    private static let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-a: 1\r\n\r\n"

    @Test func headAndPiecesComeWhenTheServerSendsThem() async throws {
        let goOn = Mutex(0)
        try await with { _, connection in
            connection.write(Self.head)
            for (count, piece) in ["3\r\nabc\r\n", "1\r\nd\r\n", "0\r\n\r\n"].enumerated() {
                while goOn.withLock({ $0 }) <= count { usleep(1000) }
                connection.write(piece)
            }
        } test: { client, server in
            let stream = try await client.open(HTTPRequest("GET", server.url()))
            #expect(stream.status == 200 && stream.header("X-A") == "1")
            var pieces: [String?] = []
            for count in 1...3 {
                goOn.withLock { $0 = count }
                pieces.append(try await stream.next().map { String(decoding: $0, as: UTF8.self) })
            }
            #expect(pieces == ["abc", "d", nil])
            let end = try await stream.next()
            #expect(end == nil)
        }
    }

    @Test(arguments: [404, 500])
    func aRefusalIsAStreamToo(_ status: Int) async throws {
        try await with { _, connection in
            connection.answer(status, [], Array("why".utf8))
        } test: { client, server in
            let stream = try await client.open(HTTPRequest("GET", server.url()))
            #expect(stream.status == status)
            let body = try await stream.rest(limit: 3)
            #expect(body == Array("why".utf8))
        }
    }

    @Test func theRestIsLimited() async throws {
        try await with { _, connection in
            connection.answer(200, [], Array("four".utf8))
        } test: { client, server in
            let stream = try await client.open(HTTPRequest("GET", server.url()))
            await #expect { _ = try await stream.rest(limit: 3) } throws: { error in
                if case .tooLarge(limit: 3)? = error as? HTTPError { true } else { false }
            }
        }
    }

    @Test func anEmptyBodyEndsAtOnce() async throws {
        try await with { _, connection in
            connection.write("HTTP/1.1 204 No Content\r\n\r\n")
        } test: { client, server in
            let stream = try await client.open(HTTPRequest("GET", server.url()))
            let body = try await stream.rest(limit: 0)
            #expect(stream.status == 204 && body.isEmpty)
        }
    }

    @Test func aSlowReaderHoldsTheServerBackAndLosesNothing() async throws {
        let size = 64 << 20
        let sent = Mutex(0)
        try await with { _, connection in
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: \(size)\r\n\r\n")
            for block in 0..<(size >> 16) {
                connection.write([UInt8](repeating: UInt8(truncatingIfNeeded: block), count: 1 << 16))
                sent.withLock { $0 += 1 << 16 }
            }
        } test: { client, server in
            let stream = try await client.open(HTTPRequest("GET", server.url()))
            try await Task.sleep(for: .milliseconds(500))
            // What the sockets' buffers and the queue hold, not more.
            #expect(sent.withLock { $0 } < size / 2)
            var count = 0
            var isRight = true
            while let piece = try await stream.next() {
                #expect(piece.count <= 1 << 19)
                isRight = isRight && piece.first == UInt8(truncatingIfNeeded: count >> 16)
                count += piece.count
            }
            #expect(count == size && isRight)
        }
    }

    @Test func aBodyThatBreaksOffEndsInAnErrorAfterWhatCame() async throws {
        try await with { _, connection in
            connection.write(Self.head + "3\r\nabc\r\n")
        } test: { client, server in
            let stream = try await client.open(HTTPRequest("GET", server.url()))
            let piece = try await stream.next()
            #expect(piece == Array("abc".utf8))
            for _ in 0..<2 {
                await #expect { _ = try await stream.next() } throws: { error in
                    if case .broken? = error as? HTTPError { true } else { false }
                }
            }
        }
    }

    @Test func noAnswerIsAnError() async throws {
        let server = TestServer { _, _ in }
        let url = server.url()
        server.close()
        let client = HTTPClient()
        defer { client.close() }
        await #expect { _ = try await client.open(HTTPRequest("GET", url)) } throws: { error in
            if case .unreachable? = error as? HTTPError { true } else { false }
        }
    }

    @Test func redirectsAreFollowedToTheLastHead() async throws {
        try await with { request, connection in
            if request.target == "/a" {
                connection.answer(302, ["location: /b"], Array("moved".utf8))
            } else {
                connection.answer(200, ["x-last: 1"], Array("end".utf8))
            }
        } test: { client, server in
            var request = HTTPRequest("GET", server.url("/a"))
            request.followsRedirects = true
            let stream = try await client.open(request)
            let body = try await stream.rest(limit: 100)
            #expect(stream.status == 200 && stream.header("x-last") == "1" && body == Array("end".utf8))
        }
    }

    @Test(arguments: [true, false])
    func cancellationEndsTheWait(forTheHead: Bool) async throws {
        let arrived = AsyncStream<Void>.makeStream()
        try await with { _, connection in
            if !forTheHead { connection.write(Self.head) }
            arrived.continuation.finish()
            connection.waitForEnd()
        } test: { client, server in
            let exchange = Task { () -> HTTPError? in
                do throws(HTTPError) {
                    _ = try await client.open(HTTPRequest("GET", server.url())).next()
                    return nil
                } catch { return error }
            }
            for await _ in arrived.stream {}
            try await Task.sleep(for: .milliseconds(50))
            exchange.cancel()
            guard case .cancelled? = await exchange.value else {
                Issue.record("not cancelled")
                return
            }
        }
    }

    @Test func aSocketIsNotInheritedByPrograms() async throws {
        try await with { _, connection in
            connection.write(Self.head)
            connection.waitForEnd()
        } test: { client, server in
            let stream = try await client.open(HTTPRequest("GET", server.url()))
            let files = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { Int32($0) }
            let port = try #require(URL(string: server.url())?.port)
            var found = 0
            for file in files where peerPort(file) == port {
                found += 1
                #expect(fcntl(file, F_GETFD) & FD_CLOEXEC != 0)
            }
            // Other tests' connections may come from a port of the same number.
            #expect(found >= 1)
            withExtendedLifetime(stream) {}
        }
    }

    /// The port that a socket is connected to, over IPv4.
    private func peerPort(_ file: Int32) -> Int? {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(file, $0, &size) }
        }
        return status == 0 && address.sin_family == sa_family_t(AF_INET)
            ? Int(UInt16(bigEndian: address.sin_port)) : nil
    }

    @Test func aStreamThatNobodyHoldsIsBrokenOff() async throws {
        let gone = AsyncStream<Void>.makeStream()
        try await with { _, connection in
            connection.write(Self.head + "3\r\nabc\r\n")
            connection.waitForEnd()
            gone.continuation.finish()
        } test: { client, server in
            _ = try await client.open(HTTPRequest("GET", server.url())).status
            for await _ in gone.stream {}
        }
    }
}
