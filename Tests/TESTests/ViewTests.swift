import TES
import Testing

@Suite struct ViewTests {
    private static let task: TESTask = {
        var generator = TaskGenerator(seed: 7)
        var task = generator.task()
        task.id = "t1"
        task.state = .running
        task.inputs = [TESInput(path: "/a", type: .file, content: "text"), TESInput(url: "file:///b", path: "/b")]
        task.logs = [
            TESTaskLog(
                logs: [
                    TESExecutorLog(startTime: Timestamp(microseconds: 0), stdout: "out", stderr: "err", exitCode: 3)
                ],
                metadata: ["host": "h"], outputs: [TESOutputFileLog(url: "u", path: "/o", sizeBytes: 1)],
                systemLogs: ["line"])
        ]
        return task
    }()

    @Test func minimalIsExactlyIdAndState() {
        #expect(json(Self.task, view: .minimal) == "{\"id\":\"t1\",\"state\":\"RUNNING\"}")
        #expect(
            json(TESListTasksResponse(tasks: [Self.task, Self.task], nextPageToken: "p"), view: .minimal) == """
                {"tasks":[{"id":"t1","state":"RUNNING"},{"id":"t1","state":"RUNNING"}],"next_page_token":"p"}
                """)
    }

    @Test func basicLeavesOutFourThingsAndNothingElse() throws {
        var expected = Self.task
        expected.inputs?[0].content = nil
        expected.logs?[0].logs[0].stdout = nil
        expected.logs?[0].logs[0].stderr = nil
        expected.logs?[0].systemLogs = nil
        #expect(expected != Self.task)
        #expect(try Reading(json(Self.task, view: .basic), as: TESTask.self, .answer).value == expected)
        #expect(json(Self.task, view: .basic) == json(expected, view: .full))
    }

    @Test func fullIsEverything() throws {
        #expect(try Reading(json(Self.task, view: .full), as: TESTask.self, .answer).value == Self.task)
    }

    @Test func viewsDoNotTouchOtherAnswers() {
        let info = TESServiceInfo(id: "i", name: "n", storage: ["s"])
        #expect(json(info, view: .minimal) == json(info, view: .full))
        #expect(json(TESCreateTaskResponse(id: "i"), view: .minimal) == "{\"id\":\"i\"}")
    }

    @Test func aMinimalAnswerOfAnotherServerIsRead() throws {
        let reading = try Reading("{\"id\":\"x\",\"state\":\"COMPLETE\"}", as: TESTask.self, .answer)
        #expect(reading.value == TESTask(id: "x", state: .complete))
        #expect(reading.problems.isEmpty)
    }
}
