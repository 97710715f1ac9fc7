import Glibc
import HTTPClient
import Synchronization
import TestServers
import Testing

@Suite("HTTP client")
struct HTTPClientTests {
    private func with(
        _ handler: @escaping TestServer.Handler, test body: (HTTPClient, TestServer) async throws -> Void
    ) async throws {
        try await TestServer.with(handler) { server in
            let client = HTTPClient()
            defer { client.close() }
            try await body(client, server)
        }
    }

    private func error(_ body: () async throws(HTTPError) -> HTTPResponse) async -> HTTPError? {
        do throws(HTTPError) {
            let response = try await body()
            Issue.record("an answer came: \(response.status)")
            return nil
        } catch { return error }
    }

    // MARK: Requests

    @Test(arguments: ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"])
    func sendsTheMethodAndTheTargetAsTheyAre(_ method: String) async throws {
        try await with { _, connection in
            connection.answer()
        } test: { client, server in
            let response = try await client.send(HTTPRequest(method, server.url("/a/../b//c%2F?x=%20&y")))
            #expect(response.status == 200)
            #expect(server.requests.map(\.method) == [method])
            #expect(server.requests.map(\.target) == ["/a/../b//c%2F?x=%20&y"])
        }
    }

    @Test func sendsHeadersEmptyOnesToo() async throws {
        try await with { _, connection in
            connection.answer()
        } test: { client, server in
            var request = HTTPRequest("POST", server.url())
            request.headers = [("X-One", "a: b"), ("X-Empty", ""), ("content-type", "application/json")]
            request.body = .bytes(Array("{}".utf8))
            _ = try await client.send(request)
            let sent = try #require(server.requests.first)
            #expect(sent.header("x-one") == "a: b" && sent.header("x-empty")?.isEmpty == true)
            #expect(sent.header("content-type") == "application/json")
            #expect(sent.header("user-agent") == "poiesis" && sent.header("expect") == nil)
        }
    }

    @Test(arguments: [0, 1, 1023, 1 << 20, 3 << 20])
    func sendsABody(_ size: Int) async throws {
        try await with { request, connection in
            connection.answer(200, [], request.body)
        } test: { client, server in
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            for method in ["POST", "PUT"] {
                var request = HTTPRequest(method, server.url())
                request.body = .bytes(body)
                let answer = try await client.send(request)
                #expect(answer.body == body)
            }
            #expect(server.requests.allSatisfy { $0.header("content-length") == "\(size)" })
        }
    }

    @Test(arguments: [1, 70_000, 3_000_000])
    func sendsAStreamInPieces(_ size: Int) async throws {
        try await with { request, connection in
            connection.answer(200, [], request.body)
        } test: { client, server in
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 17) }
            let offsets = Mutex<[Int64]>([])
            var request = HTTPRequest("PUT", server.url())
            request.body = .stream(length: Int64(size)) { count, offset in
                offsets.withLock { $0.append(offset) }
                return Array(body[Int(offset)..<min(size, Int(offset) + count)])
            }
            let answer = try await client.send(request)
            #expect(answer.body == body)
            let asked = offsets.withLock { $0 }
            #expect(asked.first == 0 && asked == asked.sorted())
            #expect(server.requests.first?.header("content-length") == "\(size)")
        }
    }

    @Test func aReaderThatThrowsEndsTheUpload() async throws {
        struct Gone: Error {}
        try await with { _, connection in
            connection.answer()
        } test: { client, server in
            var request = HTTPRequest("PUT", server.url())
            request.body = .stream(length: 1 << 20) { _, _ in throw Gone() }
            let error = await error { () throws(HTTPError) in try await client.send(request) }
            guard case .caller(let inner)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(inner is Gone)
            #expect(error?.isTransient == false)
        }
    }

    // MARK: Answers

    @Test func readsStatusHeadersAndBody() async throws {
        try await with { _, connection in
            connection.answer(404, ["X-A:  1 ", "x-b: two: 2"], Array("no".utf8))
        } test: { client, server in
            let response = try await client.send(HTTPRequest("GET", server.url()))
            #expect(response.status == 404 && response.body == Array("no".utf8))
            #expect(response.header("x-a")?.hasPrefix("1") == true && response.header("X-B") == "two: 2")
            #expect(response.header("x-c") == nil)
        }
    }

    @Test func readsChunks() async throws {
        try await with { _, connection in
            connection.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for piece in ["3\r\nabc\r\n", "1\r\nd\r\n", "0\r\n\r\n"] { connection.write(piece) }
        } test: { client, server in
            let answer = try await client.send(HTTPRequest("GET", server.url()))
            #expect(answer.body == Array("abcd".utf8))
        }
    }

    @Test func aReceiverGetsTheBodyOfASuccessPieceByPiece() async throws {
        let body = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try await with { _, connection in
            connection.answer(200, [], body)
        } test: { client, server in
            let received = Mutex<(bytes: [UInt8], pieces: Int)>(([], 0))
            let response = try await client.send(HTTPRequest("GET", server.url()), limit: 10) { piece in
                received.withLock { $0 = ($0.bytes + piece, $0.pieces + 1) }
            }
            #expect(response.status == 200 && response.body.isEmpty)
            #expect(received.withLock { $0.bytes } == body)
            #expect(received.withLock { $0.pieces } > 1)
        }
    }

    @Test func aReceiverGetsNothingOfAFailure() async throws {
        try await with { _, connection in
            connection.answer(403, [], Array("why".utf8))
        } test: { client, server in
            let count = Mutex(0)
            let response = try await client.send(HTTPRequest("GET", server.url())) { piece in
                count.withLock { $0 += piece.count }
            }
            #expect(response.status == 403 && response.body == Array("why".utf8))
            #expect(count.withLock { $0 } == 0)
        }
    }

    @Test func aReceiverThatThrowsEndsTheDownload() async throws {
        struct Full: Error {}
        try await with { _, connection in
            connection.answer(200, [], [1, 2, 3])
        } test: { client, server in
            let error = await error { () throws(HTTPError) in
                try await client.send(HTTPRequest("GET", server.url())) { _ in throw Full() }
            }
            guard case .caller(let inner)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(inner is Full)
        }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "",
    ])
    func anAnswerThatEndsTooSoonIsBroken(_ answer: String) async throws {
        try await with { _, connection in
            connection.write(answer)
        } test: { client, server in
            let received = Mutex(0)
            for _ in 0..<2 {
                let error = await error { () throws(HTTPError) in
                    try await client.send(HTTPRequest("GET", server.url())) { piece in
                        received.withLock { $0 += piece.count }
                    }
                }
                guard case .broken? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                #expect(error?.isTransient == true)
            }
        }
    }

    @Test func anAnswerOverTheLimitIsRefused() async throws {
        try await with { _, connection in
            connection.answer(200, [], Array(repeating: 1, count: 100))
        } test: { client, server in
            let answer = try await client.send(HTTPRequest("GET", server.url()), limit: 100)
            #expect(answer.body.count == 100)
            let error = await error { () throws(HTTPError) in
                try await client.send(HTTPRequest("GET", server.url()), limit: 99)
            }
            guard case .tooLarge(limit: 99)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    // MARK: Redirects

    private static let redirecting: TestServer.Handler = { request, connection in
        switch request.target {
        case "/one": connection.answer(302, ["location: /two", "x-first: 1"], Array("moved".utf8))
        case "/two": connection.answer(307, ["location: /end"])
        case "/end": connection.answer(200, ["x-last: 1"], Array("end".utf8))
        case "/file": connection.answer(302, ["location: file:///etc/passwd"])
        default: connection.answer(302, ["location: \(request.target)x"])
        }
    }

    @Test func redirectsAreFollowedOnlyWhereAskedFor() async throws {
        try await with(Self.redirecting) { client, server in
            var request = HTTPRequest("GET", server.url("/one"))
            let first = try await client.send(request)
            #expect(first.status == 302 && first.header("location") == "/two" && first.body == Array("moved".utf8))
            request.followsRedirects = true
            let received = Mutex<[UInt8]>([])
            let last = try await client.send(request) { piece in received.withLock { $0 += piece } }
            #expect(last.status == 200 && last.header("x-last") == "1" && last.header("x-first") == nil)
            #expect(received.withLock { $0 } == Array("end".utf8))
        }
    }

    @Test(arguments: ["/circle", "/file"])
    func redirectsEndSomewhereAndStayWithHTTP(_ path: String) async throws {
        try await with(Self.redirecting) { client, server in
            var request = HTTPRequest("GET", server.url(path))
            request.followsRedirects = true
            let error = await error { () throws(HTTPError) in try await client.send(request) }
            #expect(error != nil)
            #expect(server.requests.count <= 12)
        }
    }

    // MARK: Connections, time, the end

    @Test func talksOverAUnixSocket() async throws {
        let path = "/tmp/poiesis-http-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let server = TestServer(path: path) { request, connection in
            connection.answer(200, [], Array(request.target.utf8))
        }
        let client = HTTPClient()
        defer {
            client.close()
            server.close()
            unlink(path)
        }
        var request = HTTPRequest("GET", "http://engine/v1/info?a=b")
        request.unixSocket = path
        let answer = try await client.send(request)
        #expect(answer.body == Array("/v1/info?a=b".utf8))
        #expect(server.requests.first?.header("host") == "engine")
        request.unixSocket = path + "-not-there"
        let error = await error { () throws(HTTPError) in try await client.send(request) }
        guard case .unreachable? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func nobodyListeningIsUnreachable() async throws {
        let server = TestServer { _, _ in }
        let url = server.url()
        server.close()
        let client = HTTPClient()
        defer { client.close() }
        let error = await error { () throws(HTTPError) in try await client.send(HTTPRequest("GET", url)) }
        guard case .unreachable? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(error?.isTransient == true)
    }

    @Test(arguments: ["nonsense://h/", "file:///etc/passwd", "http://", "ftp://127.0.0.1/x"])
    func otherURLsAreInvalid(_ url: String) async throws {
        let client = HTTPClient()
        defer { client.close() }
        let error = await error { () throws(HTTPError) in try await client.send(HTTPRequest("GET", url)) }
        guard case .invalidURL? = error else {
            Issue.record("\(url): \(String(describing: error))")
            return
        }
        #expect(error?.isTransient == false)
    }

    @Test(.timeLimit(.minutes(5)))
    func aSilentServerTimesOut() async throws {
        try await with { _, connection in
            connection.waitForEnd()
        } test: { client, server in
            var request = HTTPRequest("GET", server.url())
            request.timeout = .milliseconds(50)
            let error = await error { () throws(HTTPError) in try await client.send(request) }
            guard case .timeout? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(error?.isTransient == true)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func cancellationEndsAnExchangeAtOnce() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        try await with { _, connection in
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            arrived.continuation.finish()
            connection.waitForEnd()
        } test: { client, server in
            let exchange = Task { () -> HTTPError? in
                await error { () throws(HTTPError) in try await client.send(HTTPRequest("GET", server.url())) }
            }
            for await _ in arrived.stream {}
            exchange.cancel()
            guard case .cancelled? = await exchange.value else {
                Issue.record("not cancelled")
                return
            }
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func cancelledBeforeItBeginsNothingIsSent() async throws {
        try await with { _, connection in
            connection.answer()
        } test: { client, server in
            let exchange = Task { () -> HTTPError? in
                while !Task.isCancelled { await Task.yield() }
                return await error { () throws(HTTPError) in try await client.send(HTTPRequest("GET", server.url())) }
            }
            exchange.cancel()
            guard case .cancelled? = await exchange.value else {
                Issue.record("not cancelled")
                return
            }
            #expect(server.requests.isEmpty)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func closingEndsWhatIsUnderWayAndTakesNothingMore() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        try await with { _, connection in
            arrived.continuation.finish()
            connection.waitForEnd()
        } test: { client, server in
            async let ended = error { () throws(HTTPError) in try await client.send(HTTPRequest("GET", server.url())) }
            for await _ in arrived.stream {}
            client.close()
            guard case .cancelled? = await ended else {
                Issue.record("not cancelled")
                return
            }
            let later = await error { () throws(HTTPError) in try await client.send(HTTPRequest("GET", server.url())) }
            guard case .cancelled? = later else {
                Issue.record("\(String(describing: later))")
                return
            }
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func manyExchangesAtOnceKeepApart() async throws {
        try await with { request, connection in
            connection.answer(200, [], Array(request.target.utf8))
        } test: { client, server in
            let bodies = try await withThrowingTaskGroup(of: (String, [UInt8]).self) { group in
                for index in 0..<200 {
                    group.addTask {
                        let path = "/\(index)"
                        return (path, try await client.send(HTTPRequest("GET", server.url(path))).body)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(bodies.count == 200 && bodies.allSatisfy { Array($0.0.utf8) == $0.1 })
        }
    }
}
