import TES
import TaskCore
import Testing

/// The contract of every task store: attempts write what happens in them.
@Suite("Task store: record")
struct RecordTests {
    @Test(arguments: StoreKind.allCases)
    func everythingThatHappenedIsRead(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let key = try await harness.claimed()
            let time = harness.time()
            var running = AttemptRecord(state: .running, time: time)
            running.metadata = ["image": "sha256:x"]
            #expect(try await harness.store.record(running, for: key) == .running)
            let log = TESExecutorLog(startTime: time, endTime: harness.time(), stdout: "o\n", stderr: "", exitCode: 0)
            var first = AttemptRecord(time: harness.time())
            first.executors = [(0, log)]
            #expect(try await harness.store.record(first, for: key) == .running)
            var end = AttemptRecord(state: .complete, time: harness.time())
            end.executors = [(2, TESExecutorLog(exitCode: 255)), (1, TESExecutorLog(exitCode: 1))]
            end.outputs = [
                OutputRecord(
                    log: TESOutputFileLog(url: "s3://b/1", path: "/1", sizeBytes: 1 << 40), checksum: "sha256:1"),
                OutputRecord(log: TESOutputFileLog(url: "s3://b/2", path: "/2", sizeBytes: 0), checksum: "sha256:2"),
            ]
            end.systemLogs = ["line one", "line two"]
            end.metadata = ["cpu_seconds": "1.000", "image": "sha256:y"]
            end.cause = "completed"
            #expect(try await harness.store.record(end, for: key) == .complete)

            let task = try await harness.full(key.taskID)
            #expect(task.state == .complete && task.logs?.count == 1)
            let stored = try #require(task.logs?.first)
            #expect(stored.logs == [log, TESExecutorLog(exitCode: 1), TESExecutorLog(exitCode: 255)])
            #expect(stored.outputs == end.outputs.map(\.log))
            #expect(stored.systemLogs == ["line one", "line two"])
            #expect(
                stored.metadata == ["host": "here", "backend": "tests", "cpu_seconds": "1.000", "image": "sha256:y"])
            #expect(try #require(stored.endTime) >= (try #require(stored.startTime)))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func theSameRecordTwiceChangesNothing(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let key = try await harness.attempt(in: .running)
            var record = AttemptRecord(state: .executorError, time: harness.time())
            record.executors = [(0, TESExecutorLog(stdout: "o", exitCode: 2))]
            record.outputs = [
                OutputRecord(log: TESOutputFileLog(url: "/o", path: "/p", sizeBytes: 3), checksum: "sha256:x")
            ]
            record.systemLogs = ["a line"]
            record.metadata = ["k": "v"]
            #expect(try await harness.store.record(record, for: key) == .executorError)
            let once = try await harness.full(key.taskID)
            #expect(try await harness.store.record(record, for: key) == .executorError)
            #expect(try await harness.full(key.taskID) == once)
        }
    }

    @Test(arguments: StoreKind.allCases, [TESState.complete, .executorError, .systemError, .canceled, .preempted])
    func anEndIsWrittenOnce(_ kind: StoreKind, _ end: TESState) async throws {
        try await StoreHarness.with(kind) { harness in
            let key = try await harness.attempt(in: end)
            let ended = try await harness.log(key.taskID).endTime
            for other in TESState.allCases {
                let later = AttemptRecord(state: other, time: harness.time())
                #expect(try await harness.store.record(later, for: key) == end)
            }
            #expect(try await harness.state(key.taskID) == end)
            #expect(try await harness.log(key.taskID).endTime == ended)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func onlyTheAttemptThatHoldsTheTaskWrites(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let key = try await harness.attempt(in: .running)
            var wrongToken = key
            wrongToken.token = String(repeating: "0", count: 32)
            var wrongNumber = key
            wrongNumber.number = 2
            var zero = key
            zero.number = 0
            var unknown = key
            unknown.taskID = harness.store.newID()
            for other in [wrongToken, wrongNumber, zero, unknown] {
                var record = AttemptRecord(state: .complete, time: harness.time())
                record.systemLogs = ["forged"]
                await #expect(throws: TaskStoreError.notThisAttempt) {
                    try await harness.store.record(record, for: other)
                }
            }
            #expect(try await harness.state(key.taskID) == .running)
            #expect(try await harness.log(key.taskID).systemLogs == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aRequeuedTaskGetsASecondLogEntryAndTheOldAttemptIsStale(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let worker = harness.worker()
            let first = try await harness.claimed(by: worker, warnings: ["dropped"])
            var lost = AttemptRecord(state: .queued, time: harness.time())
            lost.systemLogs = ["the container is gone"]
            lost.cause = "host-lost"
            #expect(try await harness.store.record(lost, for: first) == .queued)
            #expect(try await harness.store.openAttempts(of: worker).isEmpty)
            #expect(try await harness.store.record(lost, for: first) == .queued)
            var late = AttemptRecord(state: .systemError, time: harness.time())
            late.executors = [(0, TESExecutorLog(exitCode: 0))]
            await #expect(throws: TaskStoreError.notThisAttempt) {
                try await harness.store.record(late, for: first)
            }

            let second = try #require(try await harness.claim(worker))
            #expect(second.key.taskID == first.taskID && second.key.number == 2 && second.key.token != first.token)
            await #expect(throws: TaskStoreError.notThisAttempt) {
                try await harness.store.record(AttemptRecord(state: .complete, time: harness.time()), for: first)
            }
            var end = AttemptRecord(state: .complete, time: harness.time())
            end.executors = [(0, TESExecutorLog(exitCode: 0))]
            #expect(try await harness.store.record(end, for: second.key) == .complete)
            let logs = try #require(try await harness.full(first.taskID).logs)
            #expect(logs.map(\.systemLogs) == [["dropped", "the container is gone"], nil])
            #expect(logs.map(\.logs.count) == [0, 1])
            #expect(logs.allSatisfy { $0.endTime != nil })
        }
    }

    @Test(arguments: StoreKind.allCases)
    func anEndBeforeTheStartIsTheStart(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let key = try await harness.attempt(in: .running)
            try await harness.store.record(AttemptRecord(state: .complete, time: Timestamp(microseconds: 0)), for: key)
            let log = try await harness.log(key.taskID)
            #expect(log.endTime == log.startTime)
        }
    }

    static let texts: [(String, String)] = [
        ("a\0b", "a\u{FFFD}b"), ("\0", "\u{FFFD}"), ("é漢😀", "é漢😀"),
        ("\u{F8FF}\u{1}\u{7F}\u{2028}", "\u{F8FF}\u{1}\u{7F}\u{2028}"),
        ("\\u0000 \"quoted\" \\", "\\u0000 \"quoted\" \\"), ("", ""), ("\r\n\t", "\r\n\t"),
        (
            String(decoding: [0xFF, 0x41, 0xED, 0xA0, 0x80], as: UTF8.self),
            String(decoding: [0xFF, 0x41, 0xED, 0xA0, 0x80], as: UTF8.self)
        ),
    ]

    @Test(arguments: StoreKind.allCases)
    func anyTextThatAProgramPrintsIsRecorded(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            for (text, stored) in Self.texts {
                let key = try await harness.attempt(in: .running)
                var record = AttemptRecord(state: .complete, time: harness.time())
                record.executors = [(0, TESExecutorLog(stdout: text, stderr: text, exitCode: 0))]
                record.systemLogs = ["line " + text]
                record.metadata = ["k": text]
                #expect(try await harness.store.record(record, for: key) == .complete)
                let log = try await harness.log(key.taskID)
                #expect(log.logs.first?.stdout == stored && log.logs.first?.stderr == stored)
                #expect(log.systemLogs == ["line " + stored] && log.metadata?["k"] == stored)
            }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func largeRecordsAreKept(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let key = try await harness.attempt(in: .running)
            let large = String(repeating: "\"\\é\n", count: 200_000)
            var record = AttemptRecord(state: .complete, time: harness.time())
            record.executors = (0..<20).map { ($0, TESExecutorLog(stdout: large, exitCode: 0)) }
            record.outputs = (0..<2000).map { index in
                OutputRecord(
                    log: TESOutputFileLog(url: "/o/\(index)", path: "/p/\(index)", sizeBytes: Int64(index)),
                    checksum: "sha256:x")
            }
            try await harness.store.record(record, for: key)
            let log = try await harness.log(key.taskID)
            #expect(log.logs.count == 20 && log.logs.allSatisfy { $0.stdout == large })
            #expect(log.outputs == record.outputs.map(\.log))
        }
    }
}
