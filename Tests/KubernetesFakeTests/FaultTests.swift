import KubernetesFake
import Testing

/// Every switch does what it says, seen by a client.
@Suite struct FaultTests {
    private static let maps = "/api/v1/namespaces/poiesis/configmaps"

    private func server(_ fault: Fault? = nil, maps count: Int = 0) async throws -> APIServer {
        let cluster = Cluster(timeline: Timeline(.scaled(1)), runtime: ScriptedRuntime { _ in .runs() })
        let server = try await APIServer.start(cluster)
        for index in 0..<count {
            _ = try await RawHTTP.send("POST", Self.maps, Self.map("map-\(index)"), port: server.port)
        }
        if let fault { server.faults.add(fault) }
        return server
    }

    private static func map(_ name: String) -> JSON {
        ["kind": "ConfigMap", "metadata": ["name": .string(name)], "data": ["text": "0123456789"]]
    }

    @Test func aRequestIsDroppedAndNothingIsDone() async throws {
        let server = try await server(Fault(.dropRequest, methods: ["POST"]))
        let lost = try await RawHTTP.send("POST", Self.maps, Self.map("a"), port: server.port)
        #expect(lost.status == 0)
        let again = try await RawHTTP.send("POST", Self.maps, Self.map("a"), port: server.port)
        #expect(again.status == 201)
        await server.stop()
    }

    @Test func anAnswerIsLostAfterTheCreate() async throws {
        let server = try await server(Fault(.loseAnswer, methods: ["POST"], path: "configmaps"))
        let lost = try await RawHTTP.send("POST", Self.maps, Self.map("a"), port: server.port)
        #expect(lost.status == 0)
        let again = try await RawHTTP.send("POST", Self.maps, Self.map("a"), port: server.port)
        #expect(again.status == 409)
        #expect(again.json?["reason"] == "AlreadyExists")
        await server.stop()
    }

    @Test func tooManyRequestsIsPlainTextWithATime() async throws {
        let server = try await server(Fault(.tooManyRequests(retryAfter: 7)))
        let refused = try await RawHTTP.send("GET", Self.maps, port: server.port)
        #expect(refused.status == 429)
        #expect(refused.header("retry-after") == "7")
        #expect(refused.json == nil)
        await server.stop()
    }

    @Test func aStatusComesAsOftenAsItIsSaidAndOnlyWhereItMatches() async throws {
        let server = try await server(Fault(.status(503), path: "configmaps", times: 2, skip: 1))
        var codes: [Int] = []
        for _ in 0..<4 { codes.append(try await RawHTTP.send("GET", Self.maps, port: server.port).status) }
        #expect(codes == [200, 503, 503, 200])
        server.faults.add(Fault(.status(500), path: "configmaps", times: nil))
        #expect(try await RawHTTP.send("GET", "/api/v1/namespaces/poiesis/pods", port: server.port).status == 200)
        #expect(try await RawHTTP.send("GET", Self.maps, port: server.port).status == 500)
        server.faults.clear()
        #expect(try await RawHTTP.send("GET", Self.maps, port: server.port).status == 200)
        await server.stop()
    }

    @Test func halfAListIsNoWholeAnswer() async throws {
        let server = try await server(Fault(.halfAnswer), maps: 3)
        let half = try await RawHTTP.send("GET", Self.maps, port: server.port)
        #expect(half.status == 200)
        #expect(!half.complete)
        #expect(half.json == nil)
        #expect(try await RawHTTP.send("GET", Self.maps, port: server.port).json["items"].items.count == 3)
        await server.stop()
    }

    @Test func aWatchBreaksInsideOfALine() async throws {
        let server = try await server(Fault(.breakWatch(afterLines: 2), watch: true), maps: 3)
        let broken = try await RawHTTP.send("GET", Self.maps + "?watch=1", port: server.port)
        #expect(broken.events.count == 2)
        #expect(!broken.complete)
        #expect(broken.body.last != 10)
        await server.stop()
    }

    @Test func aWatchEndsEarly() async throws {
        let server = try await server(Fault(.endWatch(afterLines: 2), watch: true), maps: 3)
        let ended = try await RawHTTP.send("GET", Self.maps + "?watch=1", port: server.port)
        #expect(ended.events.count == 2)
        #expect(ended.complete)
        await server.stop()
    }

    @Test func anAnswerIsLateOrNeverComes() async throws {
        let server = try await server(Fault(.delay(seconds: 0.3)))
        let begin = ContinuousClock.now
        #expect(try await RawHTTP.send("GET", Self.maps, port: server.port).status == 200)
        #expect(ContinuousClock.now - begin >= .seconds(0.3))
        server.faults.add(Fault(.silence))
        #expect(try await RawHTTP.send("GET", Self.maps, port: server.port, seconds: 1).status == 0)
        await server.stop()
    }

    @Test func aServerRefusesConnectionsAndComesBackOnItsPort() async throws {
        let server = try await server(maps: 1)
        try await server.refuseConnections()
        await #expect(throws: RawHTTP.Failure.self) {
            try await RawHTTP.send("GET", Self.maps, port: server.port)
        }
        try await server.acceptConnections()
        #expect(try await RawHTTP.send("GET", Self.maps, port: server.port).json["items"].items.count == 1)
        await server.stop()
    }

    @Test func aCompactedHistoryExpiresWatchesAndChunks() async throws {
        let server = try await server(maps: 3)
        let list = try await RawHTTP.send("GET", Self.maps + "?limit=2", port: server.port).json
        let version = try #require(list["metadata"]["resourceVersion"].text)
        let token = try #require(list["metadata"]["continue"].text)
        _ = try await RawHTTP.send("POST", Self.maps, Self.map("later"), port: server.port)
        let rest = try await RawHTTP.send("GET", Self.maps + "?limit=2&continue=\(token)", port: server.port).json
        #expect(rest["items"].items.map { $0["metadata"]["name"].text } == ["map-2"])
        #expect(rest["metadata"]["resourceVersion"].text == version)
        await server.cluster.compact()
        let watch = try await RawHTTP.send(
            "GET", Self.maps + "?watch=1&resourceVersion=\(version)", port: server.port)
        #expect(watch.status == 200)
        #expect(watch.events.map(\.type) == ["ERROR"])
        #expect(watch.events.first?.object["code"] == 410)
        let expired = try await RawHTTP.send("GET", Self.maps + "?continue=\(token)", port: server.port)
        #expect(expired.status == 410)
        let newer = try #require(expired.json["metadata"]["continue"].text)
        let names = try await RawHTTP.send("GET", Self.maps + "?continue=\(newer)", port: server.port).json["items"]
            .items
        #expect(names.map { $0["metadata"]["name"].text } == ["map-2"])
        await server.stop()
    }

    @Test func oneConnectionTakesRequestsOneAfterAnother() async throws {
        let server = try await server(maps: 1)
        let line = "GET \(Self.maps)/map-0 HTTP/1.1\r\nHost: x\r\n"
        let bytes = try await RawHTTP.bytes(
            Array("\(line)\r\n\(line)Connection: close\r\n\r\n".utf8), port: server.port)
        let answers = String(decoding: bytes, as: UTF8.self).split(separator: "HTTP/1.1 200 OK")
        #expect(answers.count == 2)
        #expect(answers.allSatisfy { $0.contains("\"name\":\"map-0\"") })
        await server.stop()
    }

    @Test func aWatchThatIsLeftIsForgotten() async throws {
        let server = try await server()
        let watch = try await RawHTTP.send("GET", Self.maps + "?watch=1", port: server.port, seconds: 10)
        #expect(watch.status == 200)
        #expect(!watch.complete)
        for _ in 0..<6000 where await server.cluster.openWatches > 0 { try await Task.sleep(for: .milliseconds(20)) }
        #expect(await server.cluster.openWatches == 0)
        await server.stop()
    }
}
