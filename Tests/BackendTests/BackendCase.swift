import Orchestrator
import TES
import TaskCore
import TaskStore
import Testing

/// What a case sets otherwise than a server does.
enum Setting: Sendable {
    case missingOutputsFail
    case memoryFloor(Int64)
    case leastFreeSpace(Int64)

    func apply(to settings: inout OrchestratorConfiguration) {
        switch self {
        case .missingOutputsFail: settings.missingOutputsFail = true
        case .memoryFloor(let bytes): settings.memoryFloor = bytes
        case .leastFreeSpace(let bytes): settings.leastFreeSpace = bytes
        }
    }
}

/// One promise of every backend: a whole task, judged through the store alone.
struct BackendCase: Sendable, CustomTestStringConvertible {
    var name: String
    var settings: Setting?
    /// Whether a worker claims tasks from the start; otherwise the case starts one itself.
    var startsWorker = true
    var body: @Sendable (BackendHarness) async throws -> Void

    init(
        _ name: String, startsWorker: Bool = true, settings: Setting? = nil,
        _ body: @escaping @Sendable (BackendHarness) async throws -> Void
    ) {
        self.name = name
        self.startsWorker = startsWorker
        self.settings = settings
        self.body = body
    }

    var testDescription: String { name }

    func run(_ place: BackendPlace) async throws {
        try await BackendHarness.with(place, settings: settings, startsWorker: startsWorker, body)
    }

    static let everywhere = programs + streams + files + endings + restarts

    // MARK: Programs

    private static let programs = [
        BackendCase("a task that succeeds is COMPLETE and says where and when it ran") { harness in
            let before = harness.store.now()
            let task = try await harness.run(BackendHarness.script("exit 0"))
            #expect(task.state == .complete && task.logs?.count == 1)
            let log = try #require(task.logs?.first)
            let executor = try #require(log.logs.first)
            #expect(log.logs.count == 1 && executor.exitCode == 0)
            let (start, end) = (try #require(executor.startTime), try #require(executor.endTime))
            #expect(start <= end && start >= Timestamp(microseconds: before.microseconds / 1000 * 1000))
            #expect(try #require(log.startTime) <= start && end <= (try #require(log.endTime)))
            #expect(log.systemLogs == nil)
            #expect(log.metadata?["backend"] == harness.backendName)
            #expect(log.metadata?["cpu_seconds"].flatMap(Double.init) != nil)
            #expect(log.metadata?["peak_memory_bytes"].flatMap { Int64($0) } ?? 0 > 0)
        },
        BackendCase("an attempt says which image ran") { harness in
            let task = try await harness.run(BackendHarness.script("exit 0"))
            let digest = task.logs?.first?.metadata?["image_digest[\(BackendHarness.image)]"]
            #expect(digest?.hasPrefix("sha256:") == true)
        },
        BackendCase("a program's exit code is the executor's") { harness in
            for code in [1, 2, 42, 125, 126, 127, 128, 255] as [Int32] {
                let task = try await harness.run(BackendHarness.script("exit \(code)"))
                #expect(task.state == .executorError)
                #expect(task.logs?.last?.logs.map(\.exitCode) == [code])
                #expect(task.logs?.last?.systemLogs?.contains("executor 0 ended with exit code \(code)") == true)
            }
        },
        BackendCase("death by a signal is 128 and its number") { harness in
            for (name, number) in [("TERM", 15), ("KILL", 9), ("SEGV", 11)] as [(String, Int32)] {
                let task = try await harness.run(BackendHarness.script("kill -\(name) $$"))
                #expect(task.state == .executorError && task.logs?.last?.logs.map(\.exitCode) == [128 + number])
                #expect(task.logs?.last?.systemLogs?.first?.contains("signal \(number)") == true)
            }
        },
        BackendCase("a missing program is 127, one that cannot be executed 126, both with the reason") { harness in
            for (program, code, reason) in [
                ("no-such-program", 127, "no-such-program is not in the PATH"),
                ("/no/such", 127, "/no/such does not exist"),
                ("/etc/passwd", 126, "/etc/passwd is not executable"), ("/etc", 126, "/etc is not executable"),
            ] as [(String, Int32, String)] {
                let task = try await harness.run(
                    TESTask(executors: [TESExecutor(image: BackendHarness.image, command: [program, "x"])]))
                #expect(task.state == .executorError && task.logs?.last?.logs.map(\.exitCode) == [code])
                #expect(task.logs?.last?.systemLogs?.first?.contains(reason) == true, "\(program)")
            }
        },
        BackendCase("arguments arrive exactly, by no shell") { harness in
            let arguments = [
                "", " a  b ", "$HOME", "`x`", "*", "\"'\\", "é漢😀", "-n", "two\nlines",
                String(repeating: "x", count: 5000),
            ]
            let command = ["/bin/sh", "-c", #"printf '[%s]' "$@""#, "name"] + arguments
            let task = try await harness.run(
                TESTask(executors: [TESExecutor(image: BackendHarness.image, command: command)]))
            #expect(task.logs?.last?.logs.first?.stdout == arguments.map { "[\($0)]" }.joined())
        },
        BackendCase("environment and working directory are the task's") { harness in
            var task = BackendHarness.script(
                #"printf '%s|' "$ONE" "$EMPTY" "$LINES_OF"; pwd | grep -c /task-dir/new/deep"#)
            task.executors[0].env = ["ONE": "1 = one", "EMPTY": "", "LINES_OF": "a\nb"]
            task.executors[0].workdir = "/task-dir/new/deep"
            let end = try await harness.run(task)
            #expect(end.logs?.last?.logs.first?.stdout == "1 = one||a\nb|1\n")
        },
        BackendCase("what a program leaves in the background does not hold the task") { harness in
            let task = try await harness.run(BackendHarness.script("sleep 1000 & echo done"))
            #expect(task.state == .complete && task.logs?.last?.logs.first?.stdout == "done\n")
        },
    ]

    // MARK: Streams

    private static let streams = [
        BackendCase("stdout and stderr are kept apart") { harness in
            let task = try await harness.run(BackendHarness.script("echo out; echo err >&2; printf end"))
            #expect(task.logs?.last?.logs.first?.stdout == "out\nend")
            #expect(task.logs?.last?.logs.first?.stderr == "err\n")
        },
        BackendCase("of long output head and tail are kept") { harness in
            let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo short >&2"
            let task = try await harness.run(BackendHarness.script(script))
            let log = try #require(task.logs?.last?.logs.first)
            let stdout = try #require(log.stdout)
            #expect(stdout.hasPrefix("line 0\nline 1\n") && stdout.hasSuffix("line 19998\nline 19999\n"))
            let whole = (0..<20000).reduce(0) { $0 + "line \($1)\n".utf8.count }
            #expect(stdout.contains("[… \(whole - harness.settings.captureLimit) bytes were left out …]"))
            #expect(stdout.utf8.count < harness.settings.captureLimit + 100)
            #expect(log.stderr == "short\n")
        },
        BackendCase("output of exactly the limit is whole, one byte more is cut") { harness in
            let limit = harness.settings.captureLimit
            for size in [limit / 2, limit / 2 + 1, limit, limit + 1] {
                let task = try await harness.run(BackendHarness.script("head -c \(size) /dev/zero | tr '\\0' x"))
                let stdout = try #require(task.logs?.last?.logs.first?.stdout)
                #expect(stdout.contains("left out") == (size > limit), "\(size) bytes")
                #expect(stdout.count { $0 == "x" } == min(size, limit))
            }
        },
        BackendCase("binary output is repaired and the task still ends") { harness in
            let task = try await harness.run(BackendHarness.script(#"printf '\377\000abc\303'"#))
            #expect(task.state == .complete)
            #expect(task.logs?.last?.logs.first?.stdout == "\u{FFFD}\u{FFFD}abc\u{FFFD}")
        },
        BackendCase("redirects are files, and head and tail are cut from them") { harness in
            var task = BackendHarness.script(
                "cat; echo err >&2", inputs: [TESInput(path: "/task-in/text", type: .file, content: "from a file\n")],
                outputs: [
                    TESOutput(url: "\(harness.folder)/o", path: "/task-out/deep/o", type: .file),
                    TESOutput(url: "\(harness.folder)/e", path: "/task-out/e", type: .file),
                ])
            task.executors[0].stdin = "/task-in/text"
            task.executors[0].stdout = "/task-out/deep/o"
            task.executors[0].stderr = "/task-out/e"
            let end = try await harness.run(task)
            #expect(end.state == .complete)
            #expect(
                end.logs?.last?.logs.first?.stdout == "from a file\n" && end.logs?.last?.logs.first?.stderr == "err\n")
            #expect(harness.uploaded("o") == "from a file\n" && harness.uploaded("e") == "err\n")
        },
        BackendCase("both streams may go to one file") { harness in
            var task = BackendHarness.script("echo one; echo two >&2; echo three")
            task.executors[0].stdout = "/task-dir/both"
            task.executors[0].stderr = "/task-dir/both"
            task.outputs = [TESOutput(url: "\(harness.folder)/both", path: "/task-dir/both", type: .file)]
            _ = try await harness.run(task)
            #expect(harness.uploaded("both") == "one\ntwo\nthree\n")
        },
        BackendCase("a missing stdin file is 126 with the reason") { harness in
            var task = BackendHarness.script("cat")
            task.executors[0].stdin = "/task-dir/nothing"
            let end = try await harness.run(task)
            #expect(end.state == .executorError && end.logs?.last?.logs.map(\.exitCode) == [126])
            #expect(end.logs?.last?.systemLogs?.first?.contains("stdin") == true)
        },
    ]
}
