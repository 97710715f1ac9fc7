import HTTPClient
import KubernetesAPI
import Testing

@Suite("List and watch", .timeLimit(.minutes(5)))
struct ReflectorTests {
    /// What a reflector tells, as words, until one of them is the last; and what it asked for.
    private func run(
        _ answers: [ScriptedServer.Answer], until last: String, attempts: Int = 5
    ) async throws -> (told: [String], asked: [String]) {
        var told: [String] = []
        var asked: [String] = []
        try await ScriptedServer.with(answers, attempts: attempts) { client, server in
            var reflector = Reflector<Pod, String>(client) {
                "\($0.metadata?.name ?? "")@\($0.metadata?.resourceVersion ?? "")"
            }
            reflector.selection.labels = "l"
            reflector.chunk = 2
            reflector.backoff.firstDelay = .milliseconds(5)
            reflector.backoff.longestDelay = .milliseconds(20)
            let words = AsyncStream<String>.makeStream()
            let task = Task { [reflector] in
                await reflector.run { change in words.continuation.yield(Self.word(change)) }
                words.continuation.finish()
            }
            for await word in words.stream {
                told.append(word)
                if word == last { task.cancel() }
            }
            asked = server.asked.map { Self.query($0) }
        }
        return (told, asked)
    }

    private static func word(_ change: ReflectedChange<String>) -> String {
        switch change {
        case .replaced(let all): "all " + all.joined(separator: " ")
        case .changed(let one): "changed " + one
        case .deleted(let one): "deleted " + one
        case .interrupted(.refused(let refusal), _): "refused \(refusal.code)"
        case .interrupted(.transport, _): "broken"
        case .interrupted(.unreadable, _): "unreadable"
        case .interrupted(.credentials, _): "credentials"
        }
    }

    /// `list`, `list TOKEN`, `watch VERSION`.
    private static func query(_ asked: String) -> String {
        let pairs = asked.split(separator: "?")[1].split(separator: "&").map {
            $0.split(separator: "=").map(String.init)
        }
        let query = Dictionary(pairs.map { ($0[0], $0[1]) }) { first, _ in first }
        #expect(query["labelSelector"] == "l")
        if query["watch"] == "1" {
            #expect(query["allowWatchBookmarks"] == "true")
            #expect((300...450).contains(query["timeoutSeconds"].flatMap { Int($0) } ?? 0))
            return "watch \(query["resourceVersion"] ?? "")"
        }
        #expect(query["limit"] == "2" && query["resourceVersion"] == nil)
        return query["continue"].map { "list " + $0 } ?? "list"
    }

    private func added(_ name: String, _ version: Int) -> String { eventJSON("ADDED", podJSON(name, version: version)) }

    @Test func aListInChunksIsFollowedByAWatchFromItsVersion() async throws {
        let (told, asked) = try await run(
            [
                .json(listJSON(["a", "b"], version: 5, next: "t1")), .json(listJSON(["c"], version: 5)),
                .watch([
                    added("d", 6), eventJSON("MODIFIED", podJSON("a", version: 7)),
                    eventJSON("DELETED", podJSON("b", version: 8)),
                ]),
                .watch([added("e", 9)], end: .silent),
            ], until: "changed e@9")
        #expect(told == ["all a@5 b@5 c@5", "changed d@6", "changed a@7", "deleted b@8", "changed e@9"])
        #expect(asked == ["list", "list t1", "watch 5", "watch 8"])
    }

    @Test func afterABreakTheWatchGoesOnFromTheLastVersion() async throws {
        let (told, asked) = try await run(
            [
                .json(listJSON(["a"], version: 5)), .watch([added("b", 6), bookmarkJSON(20)], end: .broken), .nothing,
                .watch([added("c", 21)], end: .silent),
            ], until: "changed c@21")
        #expect(told == ["all a@5", "changed b@6", "broken", "broken", "changed c@21"])
        #expect(asked == ["list", "watch 5", "watch 20", "watch 20"])
    }

    @Test(arguments: [
        ScriptedServer.Answer.watch([eventJSON("ERROR", statusJSON(410, "Expired"))]),
        .json(410, statusJSON(410, "Gone")),
    ])
    func aVersionThatIsTooOldBeginsAgainWithAList(_ expired: ScriptedServer.Answer) async throws {
        let (told, asked) = try await run(
            [
                .json(listJSON(["a", "b"], version: 5)), expired, .json(listJSON(["b"], version: 30)),
                .watch([added("c", 31)], end: .silent),
            ], until: "changed c@31")
        #expect(told == ["all a@5 b@5", "refused 410", "all b@30", "changed c@31"])
        #expect(asked == ["list", "watch 5", "list", "watch 30"])
    }

    @Test func halfAListIsNoList() async throws {
        let (told, asked) = try await run(
            [
                .json(listJSON(["a", "b"], version: 5, next: "t1")), .json(410, statusJSON(410, "Expired")),
                .json(listJSON(["a", "b"], version: 9, next: "t2")), .json("{\"items\":[{\"meta"),
                .json(listJSON(["a", "b"], version: 9, next: "t3")), .json(403, statusJSON(403, "Forbidden")),
                .json(listJSON(["a", "b"], version: 9, next: "t4")), .json(listJSON(["c"], version: 9)),
                .watch([], end: .silent),
            ], until: "all a@9 b@9 c@9")
        #expect(told == ["refused 410", "unreadable", "refused 403", "all a@9 b@9 c@9"])
        #expect(
            asked.prefix(8) == ["list", "list t1", "list", "list t2", "list", "list t3", "list", "list t4"])
    }

    @Test(arguments: [
        ScriptedServer.Answer.json(500, statusJSON(500, "InternalError")), .text(404, "404 page not found"), .nothing,
        .json(200, #"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}"#), .json(200, "[]"),
    ])
    func aFailedListIsNotAnEmptyOne(_ failure: ScriptedServer.Answer) async throws {
        let (told, _) = try await run(
            [failure, .json(listJSON([], version: 5)), .watch([], end: .silent)], until: "all ", attempts: 1)
        #expect(told.count == 2 && told.last == "all ")
    }

    @Test func refusalsThatStayBeginAgainWithAList() async throws {
        let bad = ScriptedServer.Answer.json(500, statusJSON(500, ""))
        let (told, asked) = try await run(
            [
                .json(listJSON(["a"], version: 5)), bad, bad, bad, .json(listJSON(["a"], version: 6)),
                .watch([added("b", 7)], end: .silent),
            ], until: "changed b@7")
        #expect(told == ["all a@5", "refused 500", "refused 500", "refused 500", "all a@6", "changed b@7"])
        #expect(asked == ["list", "watch 5", "watch 5", "watch 5", "list", "watch 6"])
    }

    /// etcd was restored from an older state: the version lies ahead, and the server only stays silent.
    @Test func watchesThatBreakAgainAndAgainBeginAgainWithAList() async throws {
        let broken = ScriptedServer.Answer.watch([], end: .broken)
        let (told, asked) = try await run(
            [
                .json(listJSON(["a"], version: 50)), broken, .nothing, broken, .json(listJSON(["b"], version: 6)),
                .watch([added("c", 7)], end: .silent),
            ], until: "changed c@7")
        #expect(told == ["all a@50", "broken", "broken", "broken", "all b@6", "changed c@7"])
        #expect(asked == ["list", "watch 50", "watch 50", "watch 50", "list", "watch 6"])
    }

    @Test func aServerMayNotAskToWaitForHours() async throws {
        let busy = ScriptedServer.Answer.text(429, "busy", headers: ["Retry-After: 86400"])
        try await ScriptedServer.with([busy]) { client, _ in
            var reflector = Reflector(client, Pod.self)
            reflector.backoff.longestRetryAfter = .milliseconds(700)
            let waits = AsyncStream<Duration>.makeStream()
            let task = Task { [reflector] in
                await reflector.run { change in
                    if case .interrupted(_, let wait) = change { waits.continuation.yield(wait) }
                }
            }
            for await wait in waits.stream {
                #expect(wait == .milliseconds(700))
                break
            }
            task.cancel()
        }
    }

    @Test func anEventThatCannotBeReadBeginsAgainWithAList() async throws {
        let (told, asked) = try await run(
            [
                .json(listJSON(["a"], version: 5)), .watch(["nonsense"]), .json(listJSON(["a"], version: 6)),
                .watch([added("b", 7)], end: .silent),
            ], until: "changed b@7")
        #expect(told == ["all a@5", "unreadable", "all a@6", "changed b@7"])
        #expect(asked == ["list", "watch 5", "list", "watch 6"])
    }

    @Test func aSilentWatchIsTakenUpAgain() async throws {
        try await ScriptedServer.with([
            .json(listJSON([], version: 5)), .watch([], end: .silent), .watch([added("b", 7)], end: .silent),
        ]) { client, server in
            var reflector = Reflector(client, Pod.self)
            reflector.stallTimeout = .seconds(1)
            let words = AsyncStream<String>.makeStream()
            let task = Task { [reflector] in
                await reflector.run { change in
                    if case .changed(let pod) = change { words.continuation.yield(pod.metadata?.name ?? "") }
                }
            }
            for await word in words.stream {
                #expect(word == "b")
                break
            }
            task.cancel()
        }
    }
}
