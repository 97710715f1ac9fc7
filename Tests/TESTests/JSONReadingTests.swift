import TES
import Testing

/// What values mean, in requests and in answers.
@Suite struct JSONReadingTests {
    @Test func unknownMembersAreIgnored() throws {
        let reading = try Reading(
            "{\"new\":{\"a\":[1,null,{\"b\":\"c\"}]},\"name\":\"n\",\"other\":-1.5e3}", as: TESTask.self, .request)
        #expect(reading.value == TESTask(name: "n"))
        #expect(reading.problems == ["/executors is required"])
    }

    @Test func nullCountsAsAbsent() throws {
        let text = """
            {"name":null,"executors":null,"inputs":null,"tags":{"a":null,"b":"c"},"resources":{"cpu_cores":null},\
            "state":null,"unknown":null}
            """
        let reading = try Reading(text, as: TESTask.self, .answer)
        #expect(reading.value == TESTask(resources: TESResources(), tags: ["b": "c"]))
        #expect(reading.problems.isEmpty)
    }

    @Test func whatIsRequiredHasToBeThere() throws {
        let text = "{\"executors\":[{\"image\":null},{\"command\":[],\"image\":\"\"}],\"outputs\":[{}]}"
        let missing = [
            "/executors/0/image is required", "/executors/0/command is required", "/outputs/0/path is required",
            "/outputs/0/url is required",
        ]
        #expect(Set(try Reading(text, as: TESTask.self, .request).problems) == Set(missing))
        #expect(try Reading(text, as: TESTask.self, .answer).problems.isEmpty)
    }

    @Test func nullInsideAnArrayIsAProblem() throws {
        let text = """
            {"volumes":["/a",null],"inputs":[null,{"path":"/b"}],"executors":[{"command":[null,null]}]}
            """
        let reading = try Reading(text, as: TESTask.self, .request)
        #expect(
            reading.problems == [
                "/volumes/1 must not be null", "/inputs/0 must not be null", "/executors/0/command/0 must not be null",
                "/executors/0/command/1 must not be null", "/executors/0/image is required",
            ])
    }

    @Test(arguments: ["null", "[]", "\"task\"", "1", "true"])
    func aDocumentIsAnObject(_ text: String) throws {
        let reading = try Reading(text, as: TESTask.self, .request)
        #expect(reading.value == nil)
        #expect(reading.problems.count == 1)
        #expect(reading.problems[0].hasPrefix("must be an object"))
    }

    @Test func wrongTypesAreAllFoundWithTheirPointers() throws {
        let text = """
            {"name":1,"inputs":{},"executors":[{"image":["i"],"command":"true","env":{"A":1,"b/c~d":{}},\
            "ignore_error":"true"}, 5],"resources":{"cpu_cores":"2","ram_gb":"4","preemptible":0,"zones":[1,"z"]},\
            "tags":[],"volumes":[{"x":[1]},"/v"]}
            """
        let reading = try Reading(text, as: TESTask.self, .request)
        #expect(
            reading.problems == [
                "/name must be text", "/inputs must be an array", "/executors/0/image must be text",
                "/executors/0/command must be an array", "/executors/0/env/A must be text",
                "/executors/0/env/b~1c~0d must be text", "/executors/0/ignore_error must be true or false",
                "/executors/1 must be an object", "/resources/cpu_cores must be a number",
                "/resources/ram_gb must be a number", "/resources/preemptible must be true or false",
                "/resources/zones/0 must be text", "/tags must be an object", "/volumes/0 must be text",
            ])
        #expect(reading.value?.volumes == ["", "/v"], "what comes after a wrong element keeps its place")
    }

    @Test(
        arguments: [
            ("4", 4), ("4.0", 4), ("4e0", 4), ("0.4e1", 4), ("40e-1", 4), ("-0", 0), ("2147483647", .max),
            ("-2147483648", .min),
        ] as [(String, Int32)])
    func wholeNumbersAreReadInEveryForm(_ text: String, _ value: Int32) throws {
        let reading = try Reading("{\"cpu_cores\":\(text)}", as: TESResources.self, .request)
        #expect(reading.value?.cpuCores == value)
        #expect(reading.problems.isEmpty)
    }

    @Test(arguments: [
        ("4.5", "must be a whole number"), ("1e400", "must be a whole number"), ("1e-1", "must be a whole number"),
        ("2147483648", "must be between -2147483648 and 2147483647"),
        ("-2147483649", "must be between -2147483648 and 2147483647"),
        ("99999999999999999999", "must be a whole number"), ("\"4\"", "must be a number"), ("true", "must be a number"),
    ])
    func otherNumbersAreNoWholeNumbers(_ text: String, _ message: String) throws {
        let reading = try Reading("{\"cpu_cores\":\(text)}", as: TESResources.self, .request)
        #expect(reading.value?.cpuCores == nil)
        #expect(reading.problems == ["/cpu_cores \(message)"])
    }

    @Test(arguments: [
        ("0.1", 0.1), ("-1.5E+3", -1500), ("1", 1), ("1e-7", 1e-7), ("9007199254740992", 9_007_199_254_740_992),
    ])
    func fractionsAreRead(_ text: String, _ value: Double) throws {
        #expect(try Reading("{\"ram_gb\":\(text)}", as: TESResources.self, .request).value?.ramGb == value)
    }

    @Test(arguments: ["1e999", "-1e999"])
    func aNumberWithoutADoubleIsRefused(_ text: String) throws {
        let reading = try Reading("{\"ram_gb\":\(text)}", as: TESResources.self, .request)
        #expect(reading.problems == ["/ram_gb is too large a number"])
    }

    @Test(
        arguments: [
            ("\"9223372036854775807\"", .max), ("\"-9223372036854775808\"", .min), ("9223372036854775807", .max),
            ("\"0\"", 0), ("12.0", 12),
        ] as [(String, Int64)])
    func sizesAreReadAsTextAndAsNumbers(_ text: String, _ value: Int64) throws {
        let reading = try Reading("{\"size_bytes\":\(text)}", as: TESOutputFileLog.self, .answer)
        #expect(reading.value?.sizeBytes == value)
        #expect(reading.problems.isEmpty)
    }

    @Test(arguments: ["\"9223372036854775808\"", "\"\"", "\"1.0\"", "\" 1\"", "\"0x10\"", "\"one\""])
    func otherTextIsNoSize(_ text: String) throws {
        let reading = try Reading("{\"size_bytes\":\(text)}", as: TESOutputFileLog.self, .answer)
        #expect(reading.problems == ["/size_bytes must be a whole number written as text"])
    }

    @Test func readOnlyMembersOfRequestsAreIgnored() throws {
        let text = """
            {"id":5,"state":"WRONG","creation_time":"never","logs":[{"logs":"x"}],"name":"n"}
            """
        let reading = try Reading(text, as: TESTask.self, .request)
        #expect(reading.value == TESTask(name: "n"))
        #expect(reading.problems == ["/executors is required"])
        let answer = try Reading(text, as: TESTask.self, .answer)
        #expect(
            answer.problems == [
                "/id must be text",
                "/creation_time must be a time in RFC 3339 format, such as 2026-01-31T12:00:00Z",
                "/logs/0/logs must be an array",
            ])
    }

    @Test func ignoredMembersAreStillCheckedForSyntax() {
        #expect(throws: JSONSyntaxError.self) { try Reading("{\"id\":01}", as: TESTask.self, .request) }
    }

    @Test func unknownEnumValuesAreRefusedInRequestsAndKeptInAnswers() throws {
        let text = "{\"path\":\"/a\",\"type\":\"SOCKET\"}"
        let request = try Reading(text, as: TESInput.self, .request)
        #expect(request.problems == ["/type must be FILE or DIRECTORY"])
        let answer = try Reading(text, as: TESInput.self, .answer)
        #expect(answer.value?.type == .unrecognized("SOCKET"))
        #expect(answer.problems.isEmpty)
        #expect(try json(#require(answer.value)) == text)
    }

    @Test(arguments: ["file", "File", "FILE ", ""])
    func enumValuesAreReadExactly(_ value: String) throws {
        let reading = try Reading("{\"path\":\"/a\",\"type\":\"\(value)\"}", as: TESInput.self, .request)
        #expect(reading.problems == ["/type must be FILE or DIRECTORY"])
    }

    @Test func aMissingTypeOfARequestBecomesFile() throws {
        let text =
            "{\"inputs\":[{\"path\":\"/a\"},{\"path\":\"/b\",\"type\":\"DIRECTORY\"},{\"type\":null}],\"outputs\":[{}]}"
        let request = try #require(try Reading(text, as: TESTask.self, .request).value)
        #expect(request.inputs?.map(\.type) == [.file, .directory, .file])
        #expect(request.outputs?.map(\.type) == [.file])
        let answer = try #require(try Reading(text, as: TESTask.self, .answer).value)
        #expect(answer.inputs?.map(\.type) == [nil, .directory, nil])
    }

    @Test func noOtherDefaultIsFilledIn() throws {
        let reading = try Reading("{\"resources\":{}}", as: TESTask.self, .request)
        #expect(reading.value?.state == nil)
        #expect(reading.value?.resources?.backendParametersStrict == nil)
    }

    @Test func textWithNULIsRefused() throws {
        let text = "{\"name\":\"a\\u0000b\",\"volumes\":[\"\\u0000\"],\"tags\":{\"k\\u0000\":\"v\",\"w\":\"\\u0000\"}}"
        let reading = try Reading(text, as: TESTask.self, .request)
        #expect(
            reading.problems == [
                "/name must not hold the character U+0000", "/volumes/0 must not hold the character U+0000",
                "/tags/k\u{0} must not hold the character U+0000 in its name",
                "/tags/w must not hold the character U+0000", "/executors is required",
            ])
    }

    @Test func textWithNULOfAnAnswerIsKept() throws {
        let text = "{\"name\":\"a\\u0000b\",\"executors\":[],\"tags\":{\"k\\u0000\":\"\\u0000\"}}"
        let reading = try Reading(text, as: TESTask.self, .answer)
        #expect(reading.problems.isEmpty)
        #expect(reading.value?.name == "a\u{0}b" && reading.value?.tags == ["k\u{0}": "\u{0}"])
    }

    @Test func aTaskOfARequestIsValidatedAllAtOnce() throws {
        let text = """
            {"executors":[{"image":"","command":[]},{"image":"i","command":["c"]}],"inputs":[{"path":""}],\
            "outputs":[{"path":"/o"}],"resources":{"cpu_cores":-1,"ram_gb":2e9}}
            """
        let task = try #require(try Reading(text, as: TESTask.self, .request).value)
        var problems: [RequestProblem] = []
        task.validate(&problems, at: "")
        #expect(
            Set(problems.map(\.pointer)) == [
                "/executors/0/image", "/executors/0/command", "/inputs/0/path", "/outputs/0/url",
                "/resources/cpu_cores",
                "/resources/ram_gb",
            ])
        #expect(problems.count == 6)
    }

    @Test func aTaskNeedsAnExecutor() {
        var problems: [RequestProblem] = []
        TESTask().validate(&problems, at: "")
        #expect(problems.map(\.description) == ["/executors is required and needs at least one item"])
    }
}
