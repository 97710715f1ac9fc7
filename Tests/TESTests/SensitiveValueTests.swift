import TES
import Testing

@Suite struct SensitiveValueTests {
    private static let task = TESTask(
        name: "visible", inputs: [TESInput(url: "shown", path: "/a", content: "hunter2")],
        executors: [TESExecutor(image: "shown", command: ["c"], env: ["TOKEN": "hunter2", "hunter2": "x"])])

    private static let descriptions: [String] = {
        let list = TESListTasksResponse(tasks: [task])
        let input = CreateTask.Input(body: task)
        let optional: TESTask? = task
        return [
            "\(task)", "\(list)", "\(input)", "\([task])", "\(["k": task])", "\(optional as Any)",
            String(reflecting: task), String(describing: task.executors[0]), "\(task.executors)",
            "\(task.inputs ?? [])", "\(Answer.value(task))", "\(Result<TESTask, ClientError>.success(task))",
        ]
    }()

    @Test(arguments: descriptions)
    func neverStandInADescription(_ text: String) {
        #expect(!text.contains("hunter2"))
        #expect(text.contains("<redacted>"))
        #expect(text.contains("shown"))
    }

    @Test func absentOnesAreNotMentioned() {
        #expect("\(TESExecutor(image: "i", command: ["c"]))" == "TESExecutor(image: i, command: [\"c\"])")
        #expect("\(TESInput(path: "/p"))" == "TESInput(path: /p)")
    }

    @Test func areWrittenToJSONAllTheSame() {
        #expect(json(Self.task).contains("\"content\":\"hunter2\""))
    }
}
