import ContainerBackend
import HTTPClient
import Orchestrator
import Testing

/// What is made of an engine's answers.
@Suite("Docker engine")
struct DockerEngineTests {
    private func with(_ fake: FakeEngine, _ body: (DockerEngine) async throws -> Void) async throws {
        defer { fake.close() }
        let client = HTTPClient()
        defer { client.close() }
        try await body(DockerEngine(configuration: ContainerConfiguration(socket: fake.socket), client: client))
    }

    private func failure(_ body: () async throws -> Void) async -> EngineError? {
        do { try await body() } catch { return error as? EngineError }
        return nil
    }

    private static func inspected(_ status: String) -> String {
        #"{"State": {"Status": "\#(status)", "Running": \#(status == "running"), "ExitCode": 3}}"#
    }

    @Test(.timeLimit(.minutes(5)))
    func waitingEndsOnlyWithTheContainer() async throws {
        let fake = FakeEngine { line, time in
            if line.hasPrefix("POST") { return (200, #"{"StatusCode": 0}"#) }
            return (200, Self.inspected(["created", "running", "exited"][min(time, 3) - 1]))
        }
        try await with(fake) { engine in
            let end = try await engine.wait("x")
            #expect(end == .ended(code: 3, isOutOfMemory: false, message: ""))
            #expect(fake.lines.count { $0 == "POST /containers/x/wait" } == 3)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func whatAnEngineCannotAnswerIsAskedAgain() async throws {
        let fake = FakeEngine { _, _ in (500, #"{"message": "context deadline exceeded"}"#) }
        try await with(fake) { engine in
            let looked = await failure { _ = try await engine.state("x") }
            let waited = await failure { _ = try await engine.wait("x") }
            #expect(looked == .unreachable("the container engine failed: context deadline exceeded"))
            #expect(waited == looked)
            let refused = await failure { try await engine.start("x") }
            #expect(refused == .refused("context deadline exceeded"))
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aPullEndsWithTheStreamsError() async throws {
        let progress = String(repeating: #"{"status": "Downloading"}"# + "\n", count: 2000)
        let fake = FakeEngine { line, time in
            switch time {
            case 1: (200, progress + #"{"error": "manifest unknown"}"# + "\n")
            case 2: (200, progress + #"{"error": "toomanyrequests: slow down"}"#)
            case 3: (503, #"{"message": "received unexpected HTTP status: 503 Service Unavailable"}"#)
            default: (200, progress)
            }
        }
        try await with(fake) { engine in
            var failures: [EngineError?] = []
            for _ in 1...4 {
                failures.append(await failure { try await engine.pull("x.example/y:1") })
            }
            guard case .refused(let first)? = failures[0], case .busy(let second)? = failures[1],
                case .busy(let third)? = failures[2]
            else {
                Issue.record("\(failures)")
                return
            }
            #expect(first.hasPrefix("manifest unknown") && second.hasPrefix("toomanyrequests") && third.contains("503"))
            #expect(failures[3] == nil && first.contains("x.example"))
            #expect(fake.lines.first == "POST /images/create?fromImage=x.example%2Fy%3A1")
        }
    }
}
