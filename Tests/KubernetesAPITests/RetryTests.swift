import HTTPClient
import KubernetesAPI
import TestServers
import Testing

@Suite("Requests that are sent again", .timeLimit(.minutes(5)))
struct RetryTests {
    private static let pod = podJSON("a", version: 1)

    /// A Pod with a name.
    private static let named = Pod(metadata: ObjectMeta(name: "a"))

    @Test(arguments: [
        ScriptedServer.Answer.text(429, "Too many requests, please try again later.", headers: ["Retry-After: 0"]),
        .json(429, statusJSON(429, "TooManyRequests")), .json(500, statusJSON(500, "InternalError")),
        .json(503, statusJSON(503, "ServiceUnavailable")), .text(502, "bad gateway"), .json(504, "{}"), .nothing,
    ])
    func aReadIsSentAgain(after failure: ScriptedServer.Answer) async throws {
        try await ScriptedServer.with([failure, failure, .json(Self.pod)]) { client, server in
            let pod = try await client.get(Pod.self, "a")
            #expect(pod.metadata?.name == "a")
            #expect(server.asked == Array(repeating: "GET /api/v1/namespaces/n/pods/a", count: 3))
        }
    }

    @Test(arguments: [
        (400, "BadRequest"), (401, "Unauthorized"), (403, "Forbidden"), (404, "NotFound"), (409, "Conflict"),
        (410, "Expired"), (422, "Invalid"), (501, "NotImplemented"),
    ])
    func otherRefusalsAreNotSentAgain(_ code: Int, _ reason: String) async throws {
        try await ScriptedServer.with([.json(code, statusJSON(code, reason))]) { client, server in
            let refusal = await refusal { _ = try await client.get(Pod.self, "a") }
            #expect(refusal?.code == code && refusal?.reason?.rawValue == reason)
            #expect(server.asked.count == 1)
        }
    }

    @Test func afterTheLastTryTheRefusalIsTold() async throws {
        let busy = ScriptedServer.Answer.json(503, statusJSON(503, "ServiceUnavailable"))
        try await ScriptedServer.with([busy, busy, busy, .json(Self.pod)], attempts: 3) { client, server in
            let refusal = await refusal { _ = try await client.get(Pod.self, "a") }
            #expect(refusal?.reason == .serviceUnavailable && server.asked.count == 3)
        }
    }

    @Test func retryAfterIsWaitedFor() async throws {
        let busy = ScriptedServer.Answer.text(429, "later", headers: ["Retry-After: 1"])
        try await ScriptedServer.with([busy, .json(Self.pod)]) { client, server in
            let start = ContinuousClock.now
            _ = try await client.create(Self.named)
            #expect(ContinuousClock.now - start >= .seconds(1))
        }
    }

    @Test func aLongRetryAfterIsLeftToTheCaller() async throws {
        try await ScriptedServer.with([.text(429, "later", headers: ["Retry-After: 3600"])]) { client, server in
            let refusal = await refusal { _ = try await client.get(Pod.self, "a") }
            #expect(refusal?.retryAfter == .seconds(3600) && server.asked.count == 1)
        }
    }

    @Test func anObjectWithANameIsMadeAgainAfterABrokenConnection() async throws {
        // The first try had reached the server after all.
        let answers: [ScriptedServer.Answer] = [.nothing, .json(409, statusJSON(409, "AlreadyExists"))]
        try await ScriptedServer.with(answers) { client, server in
            let refusal = await refusal { _ = try await client.create(Self.named) }
            #expect(refusal?.reason == .alreadyExists)
            #expect(server.requests.map(\.body) == Array(repeating: Self.named.json, count: 2))
        }
    }

    @Test(arguments: [ScriptedServer.Answer.nothing, .json(500, statusJSON(500, "InternalError"))])
    func whatMayNotBeDoneTwiceIsSentOnce(_ failure: ScriptedServer.Answer) async throws {
        try await ScriptedServer.with([failure, .json(Self.pod)]) { client, server in
            await #expect(throws: KubernetesError.self) {
                _ = try await client.create(Pod(metadata: ObjectMeta(generateName: "a-")))
            }
            #expect(server.asked.count == 1)
        }
        try await ScriptedServer.with([failure, .json(Self.pod)]) { client, server in
            await #expect(throws: KubernetesError.self) {
                _ = try await client.patch(Pod.self, "a", .json(Array("[]".utf8)))
            }
            #expect(server.asked.count == 1)
        }
    }

    @Test func evictionThatABudgetBlocksIsNotSentAgain() async throws {
        try await ScriptedServer.with([.json(429, statusJSON(429, "TooManyRequests"))]) { client, server in
            var request = APIRequest("POST", "/api/v1/namespaces/n/pods/a/eviction")
            request.body = Array("{}".utf8)
            let refusal = await refusal { _ = try await client.send(request) }
            #expect(refusal?.reason == .tooManyRequests && server.asked.count == 1)
        }
    }

    @Test func cancellationEndsTheWait() async throws {
        try await ScriptedServer.with([.text(429, "later", headers: ["Retry-After: 20"])]) { client, server in
            let task = Task { () -> Bool in
                do throws(KubernetesError) {
                    _ = try await client.get(Pod.self, "a")
                    return false
                } catch { return error.isCancelled }
            }
            while server.asked.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
            task.cancel()
            #expect(await task.value)
        }
    }

    @Test func requestsOfASecondAreLimited() async throws {
        let server = TestServer { _, connection in
            connection.answer(200, ["Content-Type: application/json"], Array(podJSON("a", version: 1).utf8))
        }
        let http = HTTPClient()
        defer {
            http.close()
            server.close()
        }
        var configuration = ClusterConfiguration(server: server.url(""))
        configuration.namespace = "n"
        var options = KubernetesClient.Options()
        options.requestsPerSecond = 50
        options.burst = 5
        let client = KubernetesClient(configuration, http: http, options: options)
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<30 { group.addTask { _ = try await client.get(Pod.self, "a") } }
            try await group.waitForAll()
        }
        // 25 of 30 had to wait for a fiftieth of a second each.
        #expect(ContinuousClock.now - start >= .milliseconds(490))
        #expect(server.requests.count == 30)
    }
}
