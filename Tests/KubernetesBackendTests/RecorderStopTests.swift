import Filer
import Foundation
import KubernetesBackend
import LocalSystem
import Orchestrator
import Synchronization
import TES
import TaskCore
import TaskStore
import Testing

/// TRec when its Pod is stopped, its task cancelled, its store or its folder away.
@Suite("Recorder: stops")
struct RecorderStopTests {
    // MARK: Cancels

    @Test func aCancelWhileAProgramTidiesUpIsRecorded() async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            let store = ScriptedStore(pod.store)
            pod.start(store, grace: 600)
            try await pod.passInputs()
            try pod.begin(0)
            _ = try await pod.store.cancel(pod.submission.taskID, for: .everyone)
            pod.sight.withLock { $0 = PodSight(ended: []) }
            pod.flag.raise()
            try await Task.sleep(for: .seconds(1.5))
            // It is still there: the executor was started and has left no result.
            #expect(try await pod.state() == .canceling)
            try pod.end(0, code: 9, stdout: "tidied up", stopSignal: 15)
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .canceled)
            let log = try await pod.log()
            #expect(log.logs.map(\.exitCode) == [9] && log.logs.map(\.stdout) == ["tidied up"])
            #expect(log.systemLogs == nil && log.endTime != nil)
            #expect(store.records.compactMap(\.cause) == ["canceled"])
            #expect(try pod.folder.verdict() == 1)
            #expect(try pod.turns() == ["run", "skip"])
        }
    }

    @Test func aCancelBeforeAProgramWasStartedIsRecorded() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            let store = ScriptedStore(pod.store)
            pod.start(store)
            try await pod.passInputs()
            _ = try await pod.store.cancel(pod.submission.taskID, for: .everyone)
            let start = ContinuousClock.now
            #expect(await pod.stop() == .recorded)
            #expect(ContinuousClock.now - start > .milliseconds(900))
            #expect(try await pod.state() == .canceled)
            #expect(store.records.last?.cause == "canceled")
        }
    }

    /// The row is CANCELING before the Pod is told to stop.
    @Test func aCancelThatIsSeenEarlyIsRecordedOnceThePodIsStopped() async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            pod.start()
            try await pod.passInputs()
            _ = try await pod.store.cancel(pod.submission.taskID, for: .everyone)
            try pod.end(0, code: 0, stdout: "one")
            try await pod.wait("the executor's log") { try await pod.log().logs.count == 1 }
            try await Task.sleep(for: .milliseconds(200))
            #expect(try pod.turns() == ["run"])
            #expect(try await pod.state() == .canceling)
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .canceled)
            #expect(try await pod.log().logs.map(\.stdout) == ["one"])
        }
    }

    @Test func aCancelWhileInputsAreStagedStartsNothing() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            pod.start()
            try await pod.waitForPlan(.tif)
            _ = try await pod.store.cancel(pod.submission.taskID, for: .everyone)
            try pod.folder.write(FilerResult(), of: .tif)
            try await Task.sleep(for: .milliseconds(200))
            #expect(try pod.turns().isEmpty)
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .canceled)
        }
    }

    // MARK: Other stops

    /// A full workspace, a deadline, an eviction: the cluster knows which, the recorder does not.
    @Test(arguments: [false, true])
    func whyAProgramWasToldToStopIsTheControllersToSay(_ isOutOfMemory: Bool) async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            let store = ScriptedStore(pod.store)
            pod.start(store)
            try await pod.passInputs()
            try pod.begin(0)
            pod.flag.raise()
            try pod.end(0, code: 137, stdout: "one", isOutOfMemory: isOutOfMemory, stopSignal: 15)
            #expect(await pod.stop() == .left)
            #expect(try await pod.state() == .running)
            let log = try await pod.log()
            #expect(log.logs.map(\.exitCode) == [137] && log.logs.map(\.stdout) == ["one"])
            #expect(log.systemLogs == nil && log.endTime == nil)
            #expect(store.records.allSatisfy { $0.cause == nil })
            #expect(try pod.folder.verdict() == nil)
        }
    }

    /// What a recorder cannot know is the controller's.
    @Test func aProgramThatVanishedIsLeftToTheController() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            pod.start(grace: 600)
            try await pod.passInputs()
            try pod.begin(0)
            pod.sight.withLock { $0 = PodSight(ended: [0]) }
            let start = ContinuousClock.now
            #expect(await pod.stop() == .left)
            #expect(ContinuousClock.now - start < .seconds(60))
            #expect(try await pod.state() == .running)
        }
    }

    @Test func afterAFailureAnEvictionIsStillTheExecutorsError() async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            pod.start()
            try await pod.passInputs()
            try pod.end(0, code: 7)
            try await pod.waitForPlan(.tof)
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .executorError)
            let lines = ["outputs were not uploaded: the Pod was stopped before", "executor 0 ended with exit code 7"]
            #expect(try await pod.log().systemLogs == lines)
        }
    }

    @Test func afterItsWalltimeAStopIsStillTheTasksOwn() async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            pod.start()
            try await pod.passInputs()
            try pod.end(0, code: 143, isOverWalltime: true)
            try await pod.waitForPlan(.tof)
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .systemError)
            #expect(try await pod.log().systemLogs?.last?.contains("walltime") == true)
        }
    }

    // MARK: What is away

    @Test func anAPIServerThatDoesNotAnswerHoldsUpNothing() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            pod.start(grace: 600) {
                try? await Task.sleep(for: .seconds(600))
                return nil
            }
            try await pod.passInputs()
            try pod.begin(0)
            _ = try await pod.store.cancel(pod.submission.taskID, for: .everyone)
            pod.flag.raise()
            try pod.end(0, code: 9, stopSignal: 15)
            let start = ContinuousClock.now
            #expect(await pod.stop() == .recorded)
            #expect(ContinuousClock.now - start < .seconds(60))
            #expect(try await pod.state() == .canceled)
        }
    }

    @Test func aStoreThatIsAwayAtTheEndIsAskedForAsLongAsThePodHas() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            let isAway = Mutex(false)
            let store = ScriptedStore(pod.store) { _ in isAway.withLock { $0 } ? .fails : .passes }
            pod.start(store, grace: 600)
            try await pod.passInputs()
            isAway.withLock { $0 = true }
            try pod.end(0, code: 7)
            let calls = store.calls
            try await pod.wait("a try") { store.calls > calls }
            pod.flag.raise()
            try await Task.sleep(for: .seconds(2))
            isAway.withLock { $0 = false }
            #expect(await pod.stop() == .recorded)
            #expect(try await pod.state() == .executorError)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aStoreThatStaysAwayIsLeftBeforeThePodIsKilled() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            let store = ScriptedStore(pod.store) { $0 > 1 ? .fails : .passes }
            pod.start(store)
            try await pod.passInputs()
            try pod.end(0, code: 7)
            let start = ContinuousClock.now
            #expect(await pod.stop() == .left)
            #expect(ContinuousClock.now - start > .seconds(6))
            var configuration = RecorderConfiguration()
            configuration.podGrace = 10
            #expect(configuration.stay == .seconds(8))
        }
    }

    @Test func aFolderThatCannotBeUsedNowIsTriedAgain() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            pod.start()
            try await pod.waitForPlan(.tif)
            let folder = pod.folder.control.folder
            try folder.rename("exec-0", "away")
            try pod.folder.write(FilerResult(), of: .tif)
            try await pod.wait("the running state") { try await pod.state() == .running }
            try await Task.sleep(for: .milliseconds(100))
            try folder.rename("away", "exec-0")
            try await pod.wait("the turn") { try pod.folder.hasTurn(0) }
            #expect(try pod.turns() == ["run"])
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aFolderThatStaysUnusableIsLeftBeforeThePodIsKilled() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            pod.start()
            try await pod.waitForPlan(.tif)
            try pod.folder.control.folder.rename("exec-0", "away")
            try pod.folder.write(FilerResult(), of: .tif)
            try await pod.wait("the running state") { try await pod.state() == .running }
            #expect(await pod.stop() == .left)
        }
    }

    /// A task may do with its own folder what its user may.
    @Test func aProgramThatClosesItsFolderToOthersHasHadItsTurn() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            pod.start()
            try await pod.passInputs()
            let folder = pod.folder.control.folder
            try folder.rename("exec-0", "away")
            // Neither may be followed, nor may a folder be entered that is closed to the recorder's user.
            #expect(symlink("away", folder.path + "/exec-0") == 0)
            #expect(try pod.folder.hasTurn(0))
            try await Task.sleep(for: .milliseconds(100))
            try folder.remove("exec-0")
            try folder.rename("away", "exec-0")
            try pod.end(0, code: 0)
            try await pod.waitForPlan(.tof)
            #expect(try pod.turns() == ["run"])
        }
    }

    /// Without what it keeps another recorder could not go on.
    @Test func aClaimThatCannotBeKeptIsAnError() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            let folder = pod.folder.control.folder
            try folder.write("trec", [])
            pod.start()
            try await pod.wait("the claim") { try await pod.state() == .initializing }
            try await Task.sleep(for: .milliseconds(100))
            #expect(try pod.folder.hasPlan(of: .tif) == false)
            try folder.remove("trec")
            try await pod.waitForPlan(.tif)
            #expect(try pod.folder.kept() != nil)
            #expect(try await pod.task().logs?.count == 1)
        }
    }

    // MARK: Kills

    /// Each write to the store, before and after it is there: the recorder is gone at once, and another goes on.
    @Test(arguments: 0..<5, [false, true])
    func aRecorderThatWasKilledAtAWriteIsReplaced(_ number: Int, _ isAfter: Bool) async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            let cut = ScriptedStore(pod.store) { call in
                if call < number { return .passes }
                return isAfter && call == number ? .cutAfter : .cutBefore
            }
            pod.start(cut)
            let steps: [() async throws -> Bool] = [
                {
                    guard try pod.folder.hasPlan(of: .tif) else { return false }
                    try pod.folder.write(FilerResult(), of: .tif)
                    return true
                },
                {
                    guard try pod.folder.hasTurn(0) else { return false }
                    try pod.end(0, code: 0, stdout: "one")
                    return true
                },
                {
                    guard try pod.folder.hasTurn(1) else { return false }
                    try pod.end(1, code: 3, stdout: "two")
                    return true
                },
                {
                    guard try pod.folder.hasPlan(of: .tof) else { return false }
                    try pod.folder.write(FilerResult(), of: .tof)
                    return true
                },
            ]
            var step = 0
            var isReplaced = false
            try await pod.wait("the verdict") {
                if step < steps.count, try await steps[step]() { step += 1 }
                if !isReplaced, cut.calls > number {
                    try await Task.sleep(for: .milliseconds(50))
                    #expect(cut.calls == number + 1)
                    #expect(try pod.folder.verdict() == nil)
                    pod.start()
                    isReplaced = true
                }
                return try pod.folder.verdict() != nil
            }
            #expect(isReplaced && step == steps.count)
            #expect(await pod.stop() == .recorded)
            #expect(try pod.folder.verdict() == 1)
            #expect(try pod.turns() == ["run", "run"])
            #expect(try await pod.state() == .executorError)
            let task = try await pod.task()
            #expect(task.logs?.count == 1)
            let log = try await pod.log()
            #expect(log.logs.map(\.exitCode) == [0, 3] && log.logs.map(\.stdout) == ["one", "two"])
            #expect(log.systemLogs == ["executor 1 ended with exit code 3"])
        }
    }
}
