import TES
import TaskCore
import Testing

/// The contract of every task store: creating and reading.
@Suite("Task store: create and read")
struct CreateAndReadTests {
    static var fullTask: TESTask {
        TESTask(
            name: "name", description: "two\nlines",
            inputs: [
                TESInput(name: "n", description: "d", url: "s3://b/k", path: "/in/a", type: .file, streamable: true),
                TESInput(path: "/in/b", type: .file, content: "secret"),
                TESInput(url: "_:x", path: "/in/c", type: .directory),
            ],
            outputs: [
                TESOutput(
                    name: "n", description: "d", url: "s3://b/o", path: "/out/*.txt", pathPrefix: "/out", type: .file),
                TESOutput(url: "/o", path: "/dir", type: .directory),
            ],
            resources: TESResources(
                cpuCores: 2, preemptible: false, ramGb: 1.5, diskGb: 0.25, zones: ["a", "b"],
                backendParameters: ["k": "v"],
                backendParametersStrict: true),
            executors: [
                TESExecutor(
                    image: "i:1", command: ["sh", "-c", "echo \"$A\"", ""], workdir: "/w", stdin: "/in/a",
                    stdout: "/out/o",
                    stderr: "/out/e", env: ["A": "secret", "B": ""], ignoreError: true),
                TESExecutor(image: "i:2", command: ["true"]),
            ],
            volumes: ["/vol/a", "/vol/b"], tags: ["project": "x", "empty": ""],
            creationTime: Timestamp(microseconds: 1_700_000_000_123_000))
    }

    @Test(arguments: StoreKind.allCases)
    func aTaskIsReadBackAsItWasSent(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let id = try await harness.create(Self.fullTask)
            var expected = Self.fullTask
            expected.id = id.description
            expected.state = .queued
            #expect(try await harness.full(id) == expected)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func creatingTheSameIdTwiceIsOneTask(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let id = try await harness.create(Self.fullTask)
            _ = try #require(try await harness.claim(harness.worker()))
            var other = Self.fullTask
            other.name = "other"
            try await harness.store.create(NewTask(id: id, principal: .everyone, task: other))
            let page = try await harness.store.page(TaskFilter(), size: 10, after: nil, for: .everyone)
            #expect(page.tasks.map(\.id) == [id])
            #expect(try await harness.full(id).name == "name")
            #expect(try await harness.state(id) == .initializing)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func viewsShowWhatTheSpecificationSays(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let id = try await harness.create(Self.fullTask, warnings: ["a warning"])
            let key = try #require(try await harness.claim(harness.worker())).key
            var record = AttemptRecord(state: .running, time: harness.time())
            record.executors = [(0, TESExecutorLog(stdout: "out", stderr: "err", exitCode: 1))]
            try await harness.store.record(record, for: key)

            let minimal = try #require(try await harness.store.task(id, view: .minimal, for: .everyone))
            #expect(minimal == TESTask(id: id.description, state: .running))

            let basic = try #require(try await harness.store.task(id, view: .basic, for: .everyone))
            #expect(basic.name == "name" && basic.executors.first?.env?["A"] == "secret")
            #expect(basic.inputs?.map(\.content) == [nil, nil, nil])
            let basicLog = try #require(basic.logs?.first)
            #expect(basicLog.systemLogs == nil && basicLog.metadata?["host"] == "here")
            #expect(basicLog.logs == [TESExecutorLog(exitCode: 1)])

            let full = try await harness.full(id)
            #expect(full.inputs?.map(\.content) == [nil, "secret", nil])
            #expect(full.logs?.first?.systemLogs == ["a warning"])
            #expect(full.logs?.first?.logs == [TESExecutorLog(stdout: "out", stderr: "err", exitCode: 1)])
            #expect(full.logs?.first?.outputs.isEmpty == true)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aTaskWithoutAttemptsHasNoLogs(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let id = try await harness.create()
            for view in [TESView.basic, .full] {
                #expect(try #require(try await harness.store.task(id, view: view, for: .everyone)).logs == nil)
            }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func unknownTasksAndThoseOfOthersAreNotThere(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let id = try await harness.create(for: Principal(owner: "alice"))
            let bob = Principal(owner: "bob")
            for view in [TESView.minimal, .basic, .full] {
                #expect(try await harness.store.task(id, view: view, for: bob) == nil)
                #expect(try await harness.store.task(harness.store.newID(), view: view, for: .everyone) == nil)
            }
            #expect(try await harness.store.cancel(id, for: bob) == nil)
            #expect(try await harness.store.page(TaskFilter(), size: 10, after: nil, for: bob).tasks.isEmpty)
            let alice = Principal(owner: "alice")
            #expect(try await harness.store.task(id, view: .minimal, for: alice)?.state == .queued)
        }
    }

    static let texts = [
        "é漢😀", "e\u{301}", "\u{F8FF}\u{E000}", "\u{202E}\u{1}\u{7F}", "'; DROP TABLE poiesis.tasks; --", "\\", "\"{,}",
        "%_", "\r\n\t",
        " ", "\u{10FFFD}", "NULL", "null",
    ]

    @Test(arguments: StoreKind.allCases)
    func oddTextIsKept(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            for text in Self.texts {
                let executor = TESExecutor(image: text, command: [text, "", text], env: [text: text])
                let task = TESTask(
                    name: text, resources: TESResources(zones: [text], backendParameters: [text: text]),
                    executors: [executor],
                    volumes: [text], tags: [text: text])
                let id = try await harness.create(task, warnings: [text])
                let full = try await harness.full(id)
                #expect(Array(try #require(full.name).utf8) == Array(text.utf8))
                #expect(full.executors == [executor] && full.tags == task.tags && full.volumes == [text])
                #expect(full.resources == task.resources)
            }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func largeValuesAreKept(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let large = String(repeating: "0123456789abcdé\n", count: 60_000)
            let executor = TESExecutor(
                image: "i", command: (0..<2000).map { "argument \($0)" } + [large], env: ["LARGE": large])
            let task = TESTask(
                name: large, inputs: (0..<500).map { TESInput(path: "/in/\($0)", type: .file, content: "\($0)") },
                executors: [executor], tags: [large: large])
            let id = try await harness.create(task)
            let full = try await harness.full(id)
            #expect(full.executors == task.executors && full.inputs == task.inputs && full.name == large)
            #expect(full.tags == task.tags)
            let filter = TaskFilter(tags: [(large, large)])
            #expect(try await harness.store.page(filter, size: 1, after: nil, for: .everyone).tasks.map(\.id) == [id])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func idsAscendAndIdentityIsConstant(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let ids = (0..<1000).map { _ in harness.store.newID() }
            #expect(zip(ids, ids.dropFirst()).allSatisfy { $0 < $1 })
            let times = (0..<100).map { _ in harness.store.now() }
            #expect(zip(times, times.dropFirst()).allSatisfy { $0 <= $1 })
            let key = try await harness.store.pageKey()
            #expect(key.count >= 32)
            #expect(try await harness.store.pageKey() == key)
            let created = try await harness.store.createdAt()
            #expect(try await harness.store.createdAt() == created)
            #expect(created <= harness.store.now())
        }
    }
}
