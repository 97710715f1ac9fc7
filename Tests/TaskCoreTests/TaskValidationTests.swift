import TES
import TaskCore
import Testing

/// The table "Requests" of the API's description: what is refused, where its pointer stands, and what is accepted on purpose.
@Suite("Task validation")
struct TaskValidationTests {
    static let rules = TaskRules(schemes: ["file", "http", "https", "s3"])

    /// What a server answers to a body: malformed text, values of the wrong type and broken rules together.
    private func judge(
        _ json: String, rules: TaskRules = Self.rules
    ) -> Result<(task: TESTask, warnings: [String]), InvalidRequest> {
        var reader = JSONReader(Array(json.utf8), purpose: .request)
        let read: TESTask?
        do throws(JSONSyntaxError) { read = try reader.document(TESTask.self) } catch {
            return .failure(InvalidRequest([RequestProblem("", error.description)]))
        }
        guard let task = read else { return .failure(InvalidRequest(reader.problems)) }
        do throws(InvalidRequest) {
            return .success(try TaskValidation.accept(task, read: reader.problems, rules: rules))
        } catch { return .failure(error) }
    }

    private func pointers(_ json: String, rules: TaskRules = Self.rules) -> Set<String> {
        if case .failure(let invalid) = judge(json, rules: rules) { Set(invalid.problems.map(\.pointer)) } else { [] }
    }

    private func accept(_ json: String, rules: TaskRules = Self.rules) throws -> (task: TESTask, warnings: [String]) {
        try judge(json, rules: rules).get()
    }

    private static func task(_ members: String, executor: String = #""image": "i", "command": ["true"]"#) -> String {
        #"{"executors": [{\#(executor)}]\#(members.isEmpty ? "" : ", " + members)}"#
    }

    private static func input(_ members: String) -> String { task(#""inputs": [{\#(members)}]"#) }
    private static func output(_ members: String) -> String { task(#""outputs": [{\#(members)}]"#) }
    private static func executor(_ members: String) -> String {
        task("", executor: #""image": "i", "command": ["true"], \#(members)"#)
    }

    // MARK: Refused

    static let refusedBodies: [(json: String, pointers: Set<String>)] = [
        ("{}", ["/executors"]),
        (#"{"executors": []}"#, ["/executors"]),
        (#"{"executors": null}"#, ["/executors"]),
        (#"{"executors": [{}]}"#, ["/executors/0/image", "/executors/0/command"]),
        (task("", executor: #""image": "", "command": []"#), ["/executors/0/image", "/executors/0/command"]),
        (task("", executor: #""image": "i", "command": [""]"#), ["/executors/0/command/0"]),
        (
            #"{"executors": [{"image": "i", "command": ["true"]}, {"image": "i"}, {"command": ["x"]}]}"#,
            ["/executors/1/command", "/executors/2/image"]
        ),
        // Paths
        (input(#""content": "x", "path": "relative""#), ["/inputs/0/path"]),
        (input(#""content": "x", "path": "/a/../b""#), ["/inputs/0/path"]),
        (input(#""content": "x", "path": """#), ["/inputs/0/path"]),
        (input(#""content": "x""#), ["/inputs/0/path"]),
        (input(#""content": "x", "path": "/""#), ["/inputs/0/path"]),
        (input(#""content": "x", "path": "/proc/1/x""#), ["/inputs/0/path"]),
        (input(#""content": "x", "path": "/.poiesis/bin/x""#), ["/inputs/0/path"]),
        (output(#""url": "s3://b/k", "path": "out""#), ["/outputs/0/path"]),
        (output(#""url": "s3://b/k", "path": "/sys/x""#), ["/outputs/0/path"]),
        (output(#""url": "s3://b/k", "path": "/dev/shm/x""#), ["/outputs/0/path"]),
        (output(#""url": "s3://b/k", "path": "/dev""#), ["/outputs/0/path"]),
        (output(#""url": "s3://b/k", "path": "/a/{..,b}/*", "path_prefix": "/""#), ["/outputs/0/path"]),
        (output(#""url": "s3://b/k", "path": "/a/\\.\\./c*", "path_prefix": "/""#), ["/outputs/0/path"]),
        (output(#""url": "s3://b/k", "path": "/{proc,proc}/c*", "path_prefix": "/""#), ["/outputs/0/path"]),
        (task(#""volumes": ["/ok", "relative", "/../x", "/proc"]"#), ["/volumes/1", "/volumes/2", "/volumes/3"]),
        (executor(#""stdout": "out""#), ["/executors/0/stdout"]),
        (executor(#""stderr": "/proc/self/fd/1""#), ["/executors/0/stderr"]),
        (executor(#""stdin": "in""#), ["/executors/0/stdin"]),
        (executor(#""workdir": "work""#), ["/executors/0/workdir"]),
        (executor(#""workdir": "/work/../..""#), ["/executors/0/workdir"]),
        // Directories without which no image works
        (
            task(#""volumes": ["/bin", "/etc", "/lib", "/lib64", "/sbin", "/usr", "/"]"#),
            Set((0..<7).map { "/volumes/\($0)" })
        ),
        (input(#""url": "s3://b/k/", "path": "/usr/", "type": "DIRECTORY""#), ["/inputs/0/path"]),
        (output(#""url": "s3://b/k/", "path": "/etc", "type": "DIRECTORY""#), ["/outputs/0/path"]),
        // Sources and targets
        (input(#""path": "/in""#), ["/inputs/0/url"]),
        (input(#""path": "/in", "url": "", "content": null"#), ["/inputs/0/url"]),
        (input(#""path": "/in", "url": "gs://bucket/key""#), ["/inputs/0/url"]),
        (input(#""path": "/in", "url": "bucket/key""#), ["/inputs/0/url"]),
        (input(#""path": "/in", "url": "_:x""#), ["/inputs/0/url"]),
        (input(#""path": "/in", "content": "x", "type": "DIRECTORY""#), ["/inputs/0/type"]),
        (input(#""path": "/in", "content": "x", "type": "LINK""#), ["/inputs/0/type"]),
        (output(#""path": "/out""#), ["/outputs/0/url"]),
        (output(#""path": "/out", "url": "ftp://h/x""#), ["/outputs/0/url"]),
        // Patterns
        (output(#""url": "s3://b/", "path": "/out/*.txt""#), ["/outputs/0/path_prefix"]),
        (output(#""url": "s3://b/", "path": "/out/a?""#), ["/outputs/0/path_prefix"]),
        (output(#""url": "s3://b/", "path": "/out/*", "path_prefix": """#), ["/outputs/0/path_prefix"]),
        (output(#""url": "s3://b/", "path": "/out/*", "path_prefix": "/other""#), ["/outputs/0/path_prefix"]),
        (output(#""url": "s3://b/", "path": "/out/*", "path_prefix": "out""#), ["/outputs/0/path_prefix"]),
        // Arrays, numbers, maps
        (#"{"executors": [null]}"#, ["/executors/0"]),
        (
            #"{"executors": [null, {"image": "", "command": ["x", 1]}]}"#,
            [
                "/executors/0", "/executors/1/image", "/executors/1/command/1",
            ]
        ),
        (task("", executor: #""image": "i", "command": ["a", null]"#), ["/executors/0/command/1"]),
        (task(#""inputs": [null]"#), ["/inputs/0"]),
        (task(#""volumes": ["/a", null]"#), ["/volumes/1"]),
        (task(#""resources": {"cpu_cores": -1}"#), ["/resources/cpu_cores"]),
        (task(#""resources": {"cpu_cores": 1000001}"#), ["/resources/cpu_cores"]),
        (task(#""resources": {"cpu_cores": 1.5}"#), ["/resources/cpu_cores"]),
        (task(#""resources": {"cpu_cores": "2"}"#), ["/resources/cpu_cores"]),
        (task(#""resources": {"ram_gb": -0.1, "disk_gb": 1e10}"#), ["/resources/ram_gb", "/resources/disk_gb"]),
        (executor(#""env": {"": "x"}"#), ["/executors/0/env"]),
        (executor(#""env": {"A=B": "x"}"#), ["/executors/0/env"]),
        (
            task(#""resources": {"backend_parameters": {"a/b~c": "1"}, "backend_parameters_strict": true}"#),
            ["/resources/backend_parameters/a~1b~0c"]
        ),
        // NUL
        (task(#""name": "a\u0000b""#), ["/name"]),
        (executor(#""env": {"A": "\u0000"}"#), ["/executors/0/env/A"]),
        (task(#""tags": {"a": "\u0000"}"#), ["/tags/a"]),
        // No object, no JSON
        ("[]", [""]), ("null", [""]), ("3", [""]), (#""text""#, [""]), ("", [""]), ("{", [""]),
        (#"{"executors": [],}"#, [""]),
        (#"{"name": "a", "name": "b"}"#, [""]), ("{} {}", [""]), ("\u{FEFF}{}", [""]),
    ]

    @Test(arguments: refusedBodies.indices)
    func refusesWithThePointer(_ index: Int) {
        let (json, expected) = Self.refusedBodies[index]
        #expect(pointers(json) == expected, "\(json)")
    }

    @Test func tellsAllProblemsAtOnce() {
        let json = #"""
            {"inputs": [{"path": "in"}], "outputs": [{"path": "/proc/x"}], "volumes": ["v"], "resources": {"cpu_cores": "x"},
             "executors": [{"command": [""], "workdir": "w"}]}
            """#
        #expect(
            pointers(json) == [
                "/inputs/0/path", "/inputs/0/url", "/outputs/0/path", "/outputs/0/url", "/volumes/0",
                "/resources/cpu_cores",
                "/executors/0/image", "/executors/0/command/0", "/executors/0/workdir",
            ])
    }

    @Test func contentHasALimit() {
        var rules = Self.rules
        rules.contentLimit = 8
        let pointer: Set = ["/inputs/0/content"]
        #expect(pointers(Self.input(#""path": "/in", "content": "12345678""#), rules: rules).isEmpty)
        #expect(pointers(Self.input(#""path": "/in", "content": "123456789""#), rules: rules) == pointer)
        #expect(pointers(Self.input(#""path": "/in", "content": "éééé9""#), rules: rules) == pointer)
        let large = String(repeating: "x", count: Self.rules.contentLimit)
        #expect(pointers(Self.input(#""path": "/in", "content": "\#(large)""#)).isEmpty)
        #expect(pointers(Self.input(#""path": "/in", "content": "\#(large)x""#)) == pointer)
    }

    @Test func messagesSayWhatToChange() throws {
        guard case .failure(let invalid) = judge(Self.input(#""path": "/in", "url": "gs://b/k""#)) else {
            Issue.record("an unknown scheme was accepted")
            return
        }
        let problem = try #require(invalid.problems.first)
        #expect(problem.message.contains("\"gs\"") && problem.message.contains("file, http, https, s3"))
    }

    // MARK: Accepted

    static let acceptedBodies = [
        executor(#""workdir": "/dev/shm", "stdin": "/proc/cpuinfo""#), executor(#""workdir": "/""#),
        executor(#""workdir": """#),
        executor(#""env": {"EMPTY": "", "A.b-c": "x=y"}"#),
        task("", executor: #""image": "i", "command": ["sh", "-c", ""]"#),
        task("", executor: #""image": "i", "command": ["-c", "x"]"#),
        task("", executor: #""image": "i", "command": ["echo", "\#(String(repeating: "x", count: 100_000))"]"#),
        input(#""path": "/in", "url": "/data/file""#), input(#""path": "/in", "url": "file:///data/file""#),
        input(#""path": "/in", "url": "S3://b/k""#), input(#""path": "/in", "url": "https://h/x?y=z""#),
        input(#""path": "/in", "url": "_:empty", "type": "DIRECTORY""#),
        input(#""path": "/in/", "url": "s3://b/k/", "type": "DIRECTORY""#),
        input(#""path": "/in", "url": "", "content": """#), input(#""path": "/etc/app.conf", "content": "x""#),
        task(#""inputs": [{"path": "/a/x", "content": "1"}, {"path": "/a/x", "content": "1"}]"#),
        task(#""inputs": [{"path": "/a", "url": "s3://b/", "type": "DIRECTORY"}, {"path": "/a/x", "content": "1"}]"#),
        task(#""inputs": [{"path": "/a/x", "content": "1"}], "outputs": [{"path": "/a/x", "url": "/o"}]"#),
        task(#""outputs": [{"path": "/a", "url": "/o/", "type": "DIRECTORY"}, {"path": "/a/x", "url": "/p"}]"#),
        output(#""path": "/out/[a]{b}", "url": "s3://b/k""#),
        output(#""path": "/out/**/{a,b}*.txt", "path_prefix": "/out", "url": "s3://b/""#),
        output(#""path": "/out/*", "path_prefix": "/out/", "url": "s3://b/""#),
        output(#""path": "/out", "url": "http://h/x""#),
        task(
            #""name": "", "description": "", "tags": {"": "", "a": null}, "inputs": [], "outputs": null, "volumes": []"#
        ),
        task(#""resources": {"cpu_cores": 0, "ram_gb": 0.002, "disk_gb": 0.5, "zones": null, "preemptible": true}"#),
        task(#""resources": {"cpu_cores": 1000000, "ram_gb": 1000000}"#), task(#""unknown": {"x": [null, 1]}"#),
        task(#""volumes": ["/usr/share/x", "/opt/lib", "/data"]"#),
    ]

    @Test(arguments: acceptedBodies.indices)
    func acceptsOnPurpose(_ index: Int) {
        #expect(pointers(Self.acceptedBodies[index]).isEmpty, "\(Self.acceptedBodies[index].prefix(300))")
    }

    @Test func serverSetFieldsAreIgnored() throws {
        let json = Self.task(
            #""id": "mine", "state": "COMPLETE", "creation_time": "2020-01-01T00:00:00Z", "logs": [{"logs": [], "outputs": []}]"#
        )
        let task = try accept(json).task
        #expect(task.id == nil && task.state == nil && task.creationTime == nil && task.logs == nil)
    }

    @Test func nullAndEmptyArraysAreAbsent() throws {
        let task = try accept(Self.task(#""tags": {"a": null, "b": "c"}, "inputs": null, "name": null"#)).task
        #expect(task.tags == ["b": "c"] && (task.inputs ?? []).isEmpty && task.name == nil)
    }

    @Test func absentTypesAreFilledIn() throws {
        let json = Self.task(#""inputs": [{"path": "/a", "content": "x"}], "outputs": [{"path": "/b", "url": "/c"}]"#)
        let task = try accept(json).task
        #expect(task.inputs?.first?.type == .file && task.outputs?.first?.type == .file)
    }

    @Test func contentWinsOverAURLWithAWarning() throws {
        let result = try accept(Self.input(#""path": "/in", "url": "gs://b/k", "content": "x""#))
        #expect(
            result.warnings == [
                "input 0 (/in) has both url and content: the content is used, the url gs://b/k is ignored"
            ])
        #expect(result.task.inputs?.first?.literalContent == "x")
    }

    @Test func anEmptyContentBesideAURLIsAbsent() throws {
        let result = try accept(Self.input(#""path": "/in", "url": "s3://b/k", "content": """#))
        #expect(result.warnings.isEmpty && result.task.inputs?.first?.literalContent == nil)
        let empty = try accept(Self.input(#""path": "/in", "content": """#))
        #expect(empty.task.inputs?.first?.literalContent?.isEmpty == true)
    }

    @Test func unknownBackendParametersAreDroppedWithAWarning() throws {
        var rules = Self.rules
        rules.backendParameters = ["queue"]
        let json = Self.task(#""resources": {"backend_parameters": {"Queue": "long", "b": "2", "a": null}}"#)
        let result = try accept(json, rules: rules)
        #expect(result.task.resources?.backendParameters == ["Queue": "long"])
        #expect(result.warnings == [#"the backend parameter "b" is not supported by this server and was dropped"#])
        let none = try accept(Self.task(#""resources": {"backend_parameters": {"b": "2"}}"#))
        #expect(none.task.resources?.backendParameters == nil && none.warnings.count == 1)
        let strict = Self.task(
            #""resources": {"backend_parameters": {"QUEUE": "x"}, "backend_parameters_strict": true}"#)
        #expect(try accept(strict, rules: rules).warnings.isEmpty)
    }

    @Test func aMillionWrongValuesAreToldInPart() throws {
        let volumes = Array(repeating: "relative", count: 1_000_000)
        let task = TESTask(executors: [TESExecutor(image: "i", command: ["true"])], volumes: volumes)
        let error = #expect(throws: InvalidRequest.self) { try TaskValidation.accept(task, rules: Self.rules) }
        let problems = try #require(error).problems
        #expect(problems.count == RequestProblems.most + 1)
        #expect(problems.first?.pointer == "/volumes/0")
        #expect(problems.last == RequestProblem("", "and more: these are the first 200 problems"))
    }

    @Test func warningsAreToldInPart() throws {
        let names = (0..<1000).map { #""k\#($0)": "v""# }.joined(separator: ",")
        let result = try accept(Self.task(#""resources": {"backend_parameters": {\#(names)}}"#))
        #expect(result.task.resources?.backendParameters == nil)
        #expect(result.warnings.count == 101)
        #expect(result.warnings.last == "and more: these are the first 100 warnings")
    }
}
