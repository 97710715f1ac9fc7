import TES
import Testing

@Suite struct JSONWritingTests {
    @Test func membersStandInTheSpecificationsOrderWithoutSpaces() {
        let log = TESTaskLog(
            logs: [TESExecutorLog(stdout: "o", exitCode: -1)], metadata: ["b": "2", "a": "1"],
            startTime: Timestamp("2026-01-31T12:00:00.25Z"),
            outputs: [TESOutputFileLog(url: "u", path: "/p", sizeBytes: .max)], systemLogs: ["s", "t"])
        #expect(
            json(log) == """
                {"logs":[{"stdout":"o","exit_code":-1}],"metadata":{"a":"1","b":"2"},\
                "start_time":"2026-01-31T12:00:00.250Z",\
                "outputs":[{"url":"u","path":"/p","size_bytes":"9223372036854775807"}],"system_logs":["s","t"]}
                """)
    }

    @Test func absentValuesAreLeftOutAndEmptyOnesAreNot() {
        #expect(json(TESTask()) == "{\"executors\":[]}")
        #expect(
            json(TESTask(name: "", inputs: [], resources: TESResources(), executors: [], tags: [:]))
                == "{\"name\":\"\",\"inputs\":[],\"resources\":{},\"executors\":[],\"tags\":{}}")
        #expect(json(TESCancelTaskResponse()) == "{}")
    }

    @Test(arguments: [
        ("a\"b\\c/d", "a\\\"b\\\\c/d"), ("\n\r\t", "\\n\\r\\t"),
        ("\u{0}\u{1}\u{1f}\u{7f}", "\\u0000\\u0001\\u001f\u{7f}"),
        ("\u{e9}\u{20ac}\u{1f600}\u{2028}", "\u{e9}\u{20ac}\u{1f600}\u{2028}"),
    ])
    func textIsEscapedWhereItMustBe(_ text: String, _ escaped: String) {
        #expect(json(TESCreateTaskResponse(id: text)) == "{\"id\":\"\(escaped)\"}")
    }

    @Test(
        arguments: [
            (0, "0.0"), (4, "4.0"), (-4, "-4.0"), (0.1, "0.1"), (1e15, "1000000000000000.0"), (1e16, "1e+16"),
            (1e-7, "1e-07"),
            (123456.789, "123456.789"),
            (.infinity, "null"), (.nan, "null"),
        ] as [(Double, String)])
    func numbersAreTheShortestThatReadBack(_ value: Double, _ text: String) {
        #expect(json(TESResources(ramGb: value)) == "{\"ram_gb\":\(text)}")
    }
}
