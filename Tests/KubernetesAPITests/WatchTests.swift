import HTTPClient
import KubernetesAPI
import Testing

@Suite("Watches", .timeLimit(.minutes(5)))
struct WatchTests {
    private func events(_ answer: ScriptedServer.Answer) async throws -> [String] {
        var words: [String] = []
        try await ScriptedServer.with([answer]) { client, server in
            var options = WatchOptions()
            options.resourceVersion = "5"
            do {
                var watch = try await client.watch(Pod.self, options: options)
                while let event = try await watch.next() {
                    switch event {
                    case .added(let pod): words.append("added \(pod.metadata?.name ?? "")")
                    case .modified(let pod): words.append("modified \(pod.status?.phase ?? "")")
                    case .deleted(let pod): words.append("deleted \(pod.metadata?.uid ?? "")")
                    case .bookmark(let version, _): words.append("bookmark \(version)")
                    case .error(let refusal): words.append("error \(refusal.code)")
                    }
                }
                words.append("end")
            } catch KubernetesError.transport(.broken) {
                words.append("broken")
            } catch KubernetesError.unreadable {
                words.append("unreadable")
            }
        }
        return words
    }

    @Test func everyKindOfEventIsRead() async throws {
        let words = try await events(
            .watch([
                eventJSON("ADDED", podJSON("a", version: 6)),
                eventJSON("MODIFIED", podJSON("a", version: 7, phase: "Running")), bookmarkJSON(9),
                eventJSON("DELETED", podJSON("a", version: 10)), eventJSON("ERROR", statusJSON(410, "Expired")),
            ]))
        #expect(words == ["added a", "modified Running", "bookmark 9", "deleted u-a", "error 410", "end"])
    }

    @Test func aTypeMayStandBehindItsObject() async throws {
        let line = #"{"object":\#(podJSON("a", version: 6)),"type":"ADDED"}"#
        #expect(try await events(.watch([line])) == ["added a", "end"])
    }

    @Test func aBrokenConnectionIsToldAfterWhatCame() async throws {
        let answer = ScriptedServer.Answer.watch([eventJSON("ADDED", podJSON("a", version: 6))], end: .broken)
        #expect(try await events(answer) == ["added a", "broken"])
    }

    @Test(arguments: [
        #"{"type":"ADDED","object":{"metadata":"#, #"{"type":"ADDED"}"#, #"{"type":"NEWS","object":{}}"#,
        #"{"type":"ADDED","object":{"metadata":5}}"#, #"{"type":"BOOKMARK","object":{}}"#, "nonsense",
    ])
    func whatIsNoEventIsUnreadable(_ line: String) async throws {
        #expect(try await events(.watch([line])) == ["unreadable"])
    }

    @Test func anEndWithinAnEventIsUnreadable() async throws {
        let answer = ScriptedServer.Answer.text(200, #"{"type":"ADDED","object":{}"#)
        #expect(try await events(answer) == ["unreadable"])
    }

    @Test func longEventsComeWhole() async throws {
        let text = String(repeating: "x", count: 1_400_000)
        let pods = (1...3).map {
            eventJSON(
                "ADDED", #"{"metadata":{"name":"p\#($0)","annotations":{"a":"\#(text)"}},"spec":{"containers":[]}}"#)
        }
        #expect(try await events(.watch(pods)) == ["added p1", "added p2", "added p3", "end"])
    }

    @Test func whatIsStrangeInRecordingsIsRead() throws {
        let pod = try Pod(
            json: Array(
                #"""
                {"metadata":{"name":"a","managedFields":[{"fieldsV1":{"f:x":{".":{}}}}]},"spec":{"containers":null,"new":[1,{}]},
                "status":{"conditions":null,"initContainerStatuses":[{"name":"t","ready":false,"restartCount":1,"image":"","imageID":"",
                "state":{"terminated":{"exitCode":137,"reason":"ContainerStatusUnknown","startedAt":null,"finishedAt":null}},
                "lastState":{"terminated":{"exitCode":128,"reason":"StartError","startedAt":"1970-01-01T00:00:00Z","message":"a\u0000b"}}}]}}
                """#.utf8))
        #expect(pod.spec?.containers.isEmpty == true)
        let status = try #require(pod.status?.initContainerStatuses?.first)
        #expect(status.state?.terminated?.exitCode == 137 && status.state?.terminated?.startedAt == nil)
        #expect(status.lastState?.terminated?.startedAt == "1970-01-01T00:00:00Z")
        #expect(status.lastState?.terminated?.message == "a\u{0}b")
        let event = try Event(
            json: Array(
                #"{"metadata":{},"firstTimestamp":null,"eventTime":"2026-11-21T06:08:30.697052Z","series":{"count":2}}"#
                    .utf8))
        #expect(event.firstTimestamp == nil && event.eventTime == "2026-11-21T06:08:30.697052Z")
    }
}
