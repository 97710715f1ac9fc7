import Synchronization
import TES
import Testing

@Suite struct OperationTests {
    @Test func aListWithoutParametersHasTheSpecificationsDefaults() throws {
        var parameters = RequestParameters(path: [:], query: "")
        let input = ListTasks.input(&parameters)
        try parameters.check()
        #expect(input.namePrefix == nil)
        #expect(input.state == nil)
        #expect(input.tagKey == [])
        #expect(input.tagValue == [])
        #expect(input.pageSize == nil)
        #expect(input.pageToken == nil)
        #expect(input.view == .minimal)
    }

    @Test func everyParameterIsDecoded() throws {
        let query = "name_prefix=a%2Bb&state=EXECUTOR_ERROR&tag_key=k&tag_value=&page_size=2047&page_token=t&view=basic"
        var parameters = RequestParameters(path: [:], query: query)
        let input = ListTasks.input(&parameters)
        try parameters.check()
        #expect(input.namePrefix == "a+b")
        #expect(input.state == .executorError)
        #expect(input.tagKey == ["k"])
        #expect(input.tagValue == [""])
        #expect(input.pageSize == 2047)
        #expect(input.pageToken == "t")
        #expect(input.view == .basic)
    }

    @Test func allProblemsAreFoundAtOnce() {
        var parameters = RequestParameters(path: [:], query: "page_size=2048&state=running&view=most&name_prefix=%zz")
        _ = ListTasks.input(&parameters)
        let error = #expect(throws: InvalidRequest.self) { try parameters.check() }
        #expect(Set(error?.problems.map(\.pointer) ?? []) == ["?page_size", "?state", "?view", "?name_prefix"])
    }

    @Test func theRouteTableIsTheSpecifications() {
        #expect(TESRoutes.basePath == "/ga4gh/tes/v1")
        #expect(
            TESRoutes.all.map { "\($0.method) \($0.path) \($0.operation)" } == [
                "GET /service-info GetServiceInfo", "GET /tasks ListTasks", "POST /tasks CreateTask",
                "GET /tasks/{id} GetTask", "POST /tasks/{id}:cancel CancelTask",
            ])
    }

    @Test func anOperationLeftOutSaysWhichOneItIs() async {
        struct Nothing: TESHandlers { typealias Context = Int }
        let error = await #expect(throws: OperationNotImplemented.self) {
            _ = try await Nothing().cancelTask(CancelTask.Input(id: "x"), context: 0)
        }
        #expect(error?.operation == "CancelTask")
    }
}

@Suite struct ClientTests {
    /// Keeps what was sent and gives one answer.
    private final class RecordingTransport: ClientTransport {
        private let answer: ClientAnswer
        private let record = Mutex<[String]>([])
        var sent: [String] { record.withLock { $0 } }

        init(status: Int, body: String) { answer = ClientAnswer(status: status, body: Array(body.utf8)) }

        func send(
            method: String, path: String, query: [(name: String, value: String)], body: [UInt8]?
        ) async throws -> ClientAnswer {
            let query = query.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
            let text = body.map { String(decoding: $0, as: UTF8.self) } ?? "-"
            record.withLock { $0.append("\(method) \(path)?\(query) \(text)") }
            return answer
        }
    }

    @Test func sendsWhatTheSpecificationSays() async throws {
        let transport = RecordingTransport(status: 200, body: "{\"id\":\"i\",\"tasks\":[]}")
        let client = TESClient(transport: transport)
        _ = try await client.createTask(CreateTask.Input(body: TESTask(name: "n")))
        _ = try await client.getTask(GetTask.Input(id: "a/b c", view: .full))
        _ = try await client.cancelTask(CancelTask.Input(id: "x:y"))
        _ = try await client.listTasks(
            ListTasks.Input(state: .queued, tagKey: ["a", "b"], tagValue: ["1"], pageSize: 5, view: .minimal))
        #expect(
            transport.sent == [
                "POST /tasks? {\"name\":\"n\",\"executors\":[]}", "GET /tasks/a%2Fb%20c?view=FULL -",
                "POST /tasks/x%3Ay:cancel? -",
                "GET /tasks?state=QUEUED&tag_key=a&tag_key=b&tag_value=1&page_size=5&view=MINIMAL -",
            ])
    }

    @Test func keepsAStateThatItDoesNotKnow() async throws {
        let client = TESClient(transport: RecordingTransport(status: 200, body: "{\"id\":\"i\",\"state\":\"PARKED\"}"))
        #expect(try await client.getTask(GetTask.Input(id: "i")).state == .unrecognized("PARKED"))
    }

    @Test(arguments: [
        (404, "{\"message\":\"gone\"}", "refused(status: 404, body: \"{\\\"message\\\":\\\"gone\\\"}\")"),
        (200, "<html>", "unreadable(\"malformed JSON at byte 0: expected a value\")"),
        (200, "[]", "unreadable(\"must be an object\")"),
        (200, "{\"id\":1}", "unreadable(\"/id must be text\")"),
    ])
    func saysWhyThereIsNoValue(_ status: Int, _ body: String, _ expected: String) async {
        let client = TESClient(transport: RecordingTransport(status: status, body: body))
        let error = await #expect(throws: ClientError.self) { try await client.getTask(GetTask.Input(id: "i")) }
        #expect(error.map { "\($0)" } == expected)
    }
}
