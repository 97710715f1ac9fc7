import Filer
import Foundation
import HTTPClient
import KubernetesBackend
import LocalSystem
import Orchestrator
import Synchronization
import TES
import TaskCore
import TaskStore
import Testing

/// What would hold up a recorder, or what waits for it: hostile folders, a store that refuses, a recorder that is dead.
@Suite("Recorder: what holds it up", .timeLimit(.minutes(5)))
struct RecorderHoldTests {
    /// What a program can do to the files that it was started by.
    private func spoilTurn(_ pod: RecorderHarness, _ position: Int) throws {
        try pod.folder.control.folder.remove("exec-\(position)/turn")
        // Neither can be replaced by a file.
        try pod.folder.control.folder.makeFolders("exec-\(position)/turn.new/x", mode: 0o777)
    }

    @Test(arguments: [false, true])
    func aProgramThatSpoilsItsTurnHoldsUpNobody(_ isRestarted: Bool) async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            pod.start()
            try await pod.passInputs()
            try pod.begin(0)
            try spoilTurn(pod, 0)
            if isRestarted {
                #expect(await pod.stop() == .left)
                pod.start()
            }
            try pod.end(0, code: 0)
            try await pod.wait("the turn of executor 1") { try pod.folder.hasTurn(1) }
            try spoilTurn(pod, 1)
            // What it is told now must not be `skip`, which nobody could write.
            try pod.end(1, code: 5)
            try await pod.waitForPlan(.tof)
            try pod.folder.write(FilerResult(), of: .tof)
            try await pod.wait("the verdict") { try pod.folder.verdict() == 1 }
            #expect(try await pod.log().logs.map(\.exitCode) == [0, 5])
        }
    }

    /// Containers run one after the other: the next one says that the result will not come.
    @Test(arguments: [0, 1])
    func aResultThatIsGoneEndsTheTask(_ position: Int) async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            pod.start()
            try await pod.passInputs()
            if position == 1 {
                try pod.end(0, code: 0)
                try await pod.wait("the turn of executor 1") { try pod.folder.hasTurn(1) }
            }
            try pod.begin(position)
            if position == 0 {
                try pod.folder.control.folder.write("exec-1/waiting", [])
            } else {
                try pod.folder.noteWaiting()
            }
            try await pod.wait("the verdict") { try pod.folder.verdict() == 1 }
            #expect(try await pod.state() == .systemError)
            let line = try await pod.log().systemLogs?.last ?? ""
            #expect(line.contains("executor \(position)") && line.contains("closed or removed its result"), "\(line)")
        }
    }

    @Test(arguments: [0, 1])
    func aResultThatIsThereCountsWhoeverWaits(_ code: Int32) async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            pod.start()
            try await pod.passInputs()
            try pod.end(0, code: code)
            try pod.folder.noteWaiting()
            try await pod.waitForPlan(.tof)
            #expect(try await pod.log().logs.map(\.exitCode) == [code])
        }
    }

    /// A right that is missing says nothing of the record: 0 is the claim, 1 RUNNING, 2 the executor's end, 3 the end.
    @Test(arguments: [1, 2, 3])
    func aRecordIsKeptWhileTheStoreRefusesTheWork(_ call: Int) async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            let store = ScriptedStore(pod.store) { (call..<call + 3).contains($0) ? .refuses : .passes }
            pod.start(store)
            try await pod.passInputs()
            try pod.end(0, code: 0, stdout: "kept")
            try await pod.waitForPlan(.tof)
            try pod.folder.write(FilerResult(), of: .tof)
            try await pod.wait("the verdict") { try pod.folder.verdict() == 0 }
            #expect(try await pod.log().logs.map(\.stdout) == ["kept"])
            #expect(try await pod.state() == .complete)
        }
    }

    // MARK: Signs of life

    @Test func aRecorderWhoseStoreIsAwayLives() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            pod.start(ScriptedStore(pod.store) { _ in .fails })
            var pulses: Set<[UInt8]> = []
            try await pod.wait("three signs of life") {
                if let pulse = try pod.folder.pulse() { pulses.insert(pulse) }
                return pulses.count >= 3
            }
        }
    }

    /// A program can write that it was stopped: the recorder then leaves all to the controller, and holds up no other part.
    @Test func aRecorderThatHasLeftLivesNoMore() async throws {
        try await RecorderHarness.with(executors: 2) { pod in
            pod.start()
            try await pod.passInputs()
            try pod.end(0, code: 1, stopSignal: 15)
            try await pod.wait("no sign of life") {
                let last = try pod.folder.pulse()
                try await Task.sleep(for: .seconds(1))
                return try last != nil && pod.folder.pulse() == last
            }
            #expect(try await pod.state() == .running)
            #expect(await pod.stop() == .left)
        }
    }

    @Test func aPartWaitsAsLongAsTheRecorderLives() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            let isOver = Atomic(false)
            // Tests hold Swift's own threads.
            let folder = pod.folder
            let beats = Thread {
                while !isOver.load(ordering: .relaxed) {
                    try? folder.beat()
                    usleep(20_000)
                }
            }
            beats.start()
            // Three times the patience; then there is a verdict.
            let verdict = Task {
                try await Task.sleep(for: .seconds(15))
                try pod.folder.decide(0)
            }
            #expect(await pod.folder.acknowledge(patience: .seconds(5)) == PartEnd(0, "0"))
            try await verdict.value
            isOver.store(true, ordering: .relaxed)
        }
    }

    @Test func aPartDoesNotWaitForADeadRecorder() async throws {
        try await RecorderHarness.with(executors: 1) { pod in
            try pod.folder.beat()
            let end = await pod.folder.acknowledge(patience: .milliseconds(100))
            #expect(end.status == 1 && end.message == "1 no verdict came")
            #expect(try pod.folder.saysThatAllEnded() == false)
            let client = HTTPClient()
            defer { client.close() }
            let path = pod.folder.control.folder.path + "/workspace"
            let part = try FilerPart(
                folder: pod.folder, workspace: try Folder.make(path, mode: 0o777),
                filer: .standard(FilerConfiguration(), client: client), patience: .milliseconds(100))
            #expect(await part.upload() == PartEnd(1, "1 no plan came"))
            #expect(try pod.folder.saysThatAllEnded())
        }
    }
}

extension PodFolder {
    /// Whether `tof` has said that all executors have ended.
    fileprivate func saysThatAllEnded() throws -> Bool { try isOver(0, of: 1) }
}
