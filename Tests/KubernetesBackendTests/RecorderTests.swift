import Filer
import Foundation
import KubernetesBackend
import LocalSystem
import Logging
import Orchestrator
import Synchronization
import TES
import TaskCore
import TaskStore
import Testing

/// TRec on a control folder that a test fills as the other parts would.
@Suite("Recorder")
struct RecorderTests {
    @Test func aCleanRunIsRecordedInOrder() async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            pod.start()
            try await pod.waitForPlan(.tif)
            #expect(try pod.folder.hasTurn(0) == false)
            #expect(try await pod.state() == .initializing)
            try pod.folder.write(FilerResult(), of: .tif)
            try await pod.wait("the turn of executor 0") { try pod.folder.hasTurn(0) }
            #expect(try await pod.state() == .running)
            try pod.end(0, code: 0, stdout: "one")
            try await pod.wait("the turn of executor 1") { try pod.folder.hasTurn(1) }
            #expect(try await pod.log().logs.map(\.stdout) == ["one"])
            try pod.end(1, code: 0, stdout: "two")
            try await pod.waitForPlan(.tof)
            var uploads = FilerResult()
            uploads.records = [
                OutputRecord(log: TESOutputFileLog(url: "s3://b/o", path: "/o", sizeBytes: 3), checksum: "sha256:1")
            ]
            uploads.lines = ["a line"]
            try pod.folder.write(uploads, of: .tof)
            try await pod.wait("the verdict") { try pod.folder.verdict() != nil }
            #expect(await pod.stop() == .recorded)
            #expect(try pod.folder.verdict() == 0)
            #expect(try await pod.state() == .complete)
            let log = try await pod.log()
            #expect(log.logs.map(\.exitCode) == [0, 0] && log.outputs.map(\.sizeBytes) == [3])
            #expect(log.systemLogs == ["a line"] && log.endTime != nil)
            #expect(log.metadata?["node"] == "n1" && log.metadata?["backend"] == "kubernetes")
        }
    }

    @Test func afterAFailureTheOthersAreSkippedAndOutputsUploaded() async throws {
        try await RecorderHarness.with(executors: 3) { pod in
            pod.start()
            try await pod.passInputs()
            try pod.end(0, code: 42)
            try await pod.waitForPlan(.tof)
            #expect(try pod.turns() == ["run", "skip", "skip"])
            try pod.folder.write(FilerResult(), of: .tof)
            try await pod.wait("the verdict") { try pod.folder.verdict() == 1 }
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .executorError)
            let lines = try await pod.log().systemLogs
            #expect(lines == ["executor 0 ended with exit code 42"])
        }
    }

    /// The container has ended with 0: what comes after it in the Pod would wait in vain.
    @Test func whenAnAttemptEndsWithoutUploadsAllThatWaitIsLetGo() async throws {
        try await RecorderHarness.with(executors: 3) { pod in
            pod.start()
            try await pod.passInputs()
            try pod.end(0, code: 0, failure: "a file could not be copied out of the container")
            try await pod.wait("the others are skipped") { try pod.turns() == ["run", "skip", "skip"] }
            #expect(try pod.folder.verdict() == 1)
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .systemError)
        }
    }

    @Test func anIgnoredErrorGoesOn() async throws {
        try await RecorderHarness.with(executors: 2, ignores: true) { pod in
            pod.start()
            try await pod.passInputs()
            try pod.end(0, code: 3)
            try await pod.wait("the turn of executor 1") { try pod.folder.hasTurn(1) }
            try pod.end(1, code: 0)
            try await pod.waitForPlan(.tof)
            try pod.folder.write(FilerResult(), of: .tof)
            try await pod.wait("the verdict") { try pod.folder.verdict() == 0 }
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .complete)
            #expect(try await pod.log().logs.map(\.exitCode) == [3, 0])
        }
    }

    @Test(arguments: [0, 3, 137] as [Int32])
    func anOOMKillEndsTheTaskOnceTheContainerHasEnded(_ code: Int32) async throws {
        try await RecorderHarness.with(executors: 2, ignores: true) { pod in
            pod.start()
            try await pod.passInputs()
            // A program can write that itself.
            try pod.end(0, code: code, isOutOfMemory: true)
            try await pod.wait("the executor's log") { try await pod.log().logs.count == 1 }
            try await Task.sleep(for: .milliseconds(300))
            #expect(try await pod.state() == .running)
            pod.sight.withLock { $0 = PodSight(ended: [0]) }
            try await pod.wait("the verdict") { try pod.folder.verdict() == 1 }
            #expect(try await pod.state() == .executorError)
            #expect(await pod.stop() == .recorded)
            #expect(try pod.turns() == ["run", "skip"])
            #expect(try pod.folder.hasPlan(of: .tof) == false)
            let log = try await pod.log()
            #expect(log.logs.map(\.exitCode) == [code])
            let expected = "executor 0 ended with exit code \(code == 0 ? 137 : code): its container ran out of memory"
            #expect(log.systemLogs?.last?.hasPrefix(expected) == true)
        }
    }

    @Test func anInputThatCannotBeHadEndsTheTask() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            pod.start()
            try await pod.waitForPlan(.tif)
            let cause = Cause.inputUnavailable(position: 0, url: "s3://b/i", path: "/i", reason: "404")
            try pod.folder.write(FilerResult(failure: CauseSummary(cause)), of: .tif)
            try await pod.wait("the end") { try await pod.state() == .systemError }
            #expect(await pod.stop() == .recorded)
            #expect(try pod.turns() == ["skip"])
            #expect(try await pod.log().systemLogs == ["input 0 (s3://b/i for /i) cannot be had: 404"])
        }
    }

    @Test func anOutputThatCannotBeUploadedEndsTheTask() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            pod.start()
            try await pod.passInputs()
            try pod.end(0, code: 0)
            try await pod.waitForPlan(.tof)
            let cause = Cause.outputFailed(position: 0, url: "s3://b/o", path: "/o", reason: "403")
            try pod.folder.write(FilerResult(failure: CauseSummary(cause)), of: .tof)
            try await pod.wait("the verdict") { try pod.folder.verdict() == 1 }
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .systemError)
        }
    }

    @Test func overItsWalltimeATaskFailsAndItsOutputsAreUploaded() async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            pod.start()
            try await pod.passInputs()
            try pod.end(0, code: 143, isOverWalltime: true)
            try await pod.waitForPlan(.tof)
            try pod.folder.write(FilerResult(), of: .tof)
            try await pod.wait("the verdict") { try pod.folder.verdict() == 1 }
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .systemError)
            #expect(try await pod.log().logs.map(\.exitCode) == [143])
            #expect(try await pod.log().systemLogs?.last?.contains("walltime") == true)
        }
    }

    @Test func plansSayHowLongAProgramMayRunAndTidyUp() async throws {
        // What the operator refused of the task's own words does not count.
        try await RecorderHarness.with(executors: 1, parameters: ["Walltime": "90d"]) { pod in
            pod.start(walltime: 5400)
            try await pod.waitForPlan(.tif)
            let bytes = try #require(try pod.folder.control.folder.read("exec-0/plan", limit: 1 << 20))
            let plan = try #require(ExecutorPlan(encoded: bytes))
            #expect(plan.walltime == 5400 && plan.grace == 5 && plan.arguments == ["true"])
        }
    }

    @Test func aCancelledTaskIsRefused() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            _ = try await pod.store.cancel(pod.submission.taskID, for: .everyone)
            pod.start()
            try await pod.wait("the refusal") { try pod.folder.refusal() != nil }
            #expect(try pod.folder.hasPlan(of: .tif) == false)
            #expect(await pod.stop() == .refused)
            #expect(try await pod.state() == .canceled)
        }
    }

    /// Another recorder of the Pod goes on with what lies in the folder, from any moment on; the first one still works beside it.
    @Test(arguments: 0..<6)
    func aSecondRecorderGoesOnFromAnyMoment(_ moment: Int) async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            let steps: [() async throws -> Void] = [
                { try await pod.waitForPlan(.tif) },
                { try await pod.passInputs() },
                { try pod.begin(0) },
                {
                    try pod.end(0, code: 0)
                    try await pod.wait("the turn of executor 1") { try pod.folder.hasTurn(1) }
                },
                {
                    try pod.end(1, code: 0)
                    try await pod.waitForPlan(.tof)
                },
                { try pod.folder.write(FilerResult(), of: .tof) },
            ]
            pod.start()
            for (number, step) in steps.enumerated() {
                try await step()
                if number == moment { pod.start() }
            }
            try await pod.wait("the verdict") { try pod.folder.verdict() == 0 }
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .complete)
            let task = try await pod.task()
            #expect(task.logs?.count == 1 && task.logs?.first?.logs.count == 2)
        }
    }

    @Test func anotherAttemptEndsTheRecordersWork() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            pod.start()
            try await pod.waitForPlan(.tif)
            _ = try await pod.store.claim(pod.submission, pod: "another", metadata: [:])
            try pod.folder.write(FilerResult(), of: .tif)
            #expect(await pod.stop() == .lost)
            #expect(try pod.turns().isEmpty)
        }
    }
}
