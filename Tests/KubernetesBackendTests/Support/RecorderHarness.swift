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

/// One TaskPod's control folder and a recorder on it; the test plays the other parts.
final class RecorderHarness: Sendable {
    struct TimedOut: Error, CustomStringConvertible {
        var description: String
    }

    let folder: PodFolder
    let store: InMemoryTaskStore
    let submission: SubmissionKey
    let sight = Mutex<PodSight?>(nil)
    private let stopFlag = Mutex(StopFlag())
    private let running = Mutex<Task<Recorder.End, Never>?>(nil)

    /// The flag of the recorder that runs now.
    var flag: StopFlag { stopFlag.withLock { $0 } }

    private init(_ folder: PodFolder, _ store: InMemoryTaskStore, _ submission: SubmissionKey) {
        self.folder = folder
        self.store = store
        self.submission = submission
    }

    /// - Parameter ignores: whether the first executor's error is ignored.
    static func with(
        executors: Int, ignores: Bool = false, parameters: [String: String]? = nil,
        _ body: (RecorderHarness) async throws -> Void
    ) async throws {
        let path = "/tmp/trec-\(UUID().uuidString.lowercased())"
        let folder = PodFolder(try Folder.make(path, mode: 0o777))
        defer { try? Folder("/tmp").remove(ContainerPath.name(path)) }
        let store = InMemoryTaskStore(clock: { Timestamp(microseconds: Machine.clock()) })
        let task = TESTask(
            resources: TESResources(backendParameters: parameters),
            executors: (0..<executors).map {
                TESExecutor(image: "i", command: ["true"], ignoreError: ignores && $0 == 0)
            })
        let id = store.newID()
        try await store.create(NewTask(id: id, principal: .everyone, task: task))
        let submission = try #require(try await store.submit(id)).key
        let harness = RecorderHarness(folder, store, submission)
        do {
            try await body(harness)
        } catch {
            _ = await harness.stop()
            throw error
        }
        _ = await harness.stop()
    }

    /// Starts a recorder.
    ///
    /// - Parameters:
    ///   - store: in place of the harness' own.
    ///   - grace: the Pod's, in seconds.
    ///   - reading: how the Pod is read, in place of ``sight``.
    func start(
        _ store: (any RecorderStore)? = nil, walltime: Int? = nil, grace: Int = 10,
        reading: (@Sendable () async -> PodSight?)? = nil
    ) {
        let flag = StopFlag()
        stopFlag.withLock { $0 = flag }
        var configuration = RecorderConfiguration()
        configuration.poll = .milliseconds(5)
        configuration.beat = .milliseconds(5)
        configuration.pause = .milliseconds(5)
        configuration.podGrace = grace
        configuration.metadata = ["node": "n1"]
        configuration.walltime = walltime
        let recorder = Recorder(
            submission: submission, pod: "pod-uid", folder: folder, store: store ?? self.store,
            configuration: configuration, stop: flag,
            logger: Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() },
            sight: reading ?? { [self] in sight.withLock { $0 } })
        running.withLock { $0 = Task { await recorder.run() } }
    }

    /// SIGTERM, and how the recorder ended.
    @discardableResult
    func stop() async -> Recorder.End? {
        flag.raise()
        return await running.withLock { $0 }?.value
    }

    // MARK: The other parts

    func passInputs() async throws {
        try await waitForPlan(.tif)
        try folder.write(FilerResult(), of: .tif)
        try await wait("the first turn") { try folder.hasTurn(0) }
    }

    private func path(_ position: Int, _ name: String) -> String { "exec-\(position)/\(name)" }

    /// The shim has started its program.
    func begin(_ position: Int) throws { try folder.control.folder.write(path(position, "started"), []) }

    /// The shim has left a result.
    func end(
        _ position: Int, code: Int32, stdout: String = "", isOutOfMemory: Bool = false, isOverWalltime: Bool = false,
        stopSignal: Int32? = nil, failure: String? = nil
    ) throws {
        try begin(position)
        let now = Machine.clock()
        var result = ExecutorResult(exitCode: code, startTime: now - 1000, endTime: now)
        result.isOutOfMemory = isOutOfMemory
        result.isOverWalltime = isOverWalltime
        result.stopSignal = stopSignal
        result.failure = failure
        try folder.control.folder.write(path(position, "stdout.head"), Array(stdout.utf8))
        try folder.control.folder.write(path(position, "result"), result.encoded)
    }

    func turns() throws -> [String] {
        var turns: [String] = []
        while let bytes = try folder.control.folder.read(path(turns.count, "turn"), limit: 16) {
            turns.append(String(decoding: bytes.dropLast(), as: UTF8.self))
        }
        return turns
    }

    // MARK: Looking

    func task() async throws -> TESTask {
        try #require(try await store.task(submission.taskID, view: .full, for: .everyone))
    }

    func state() async throws -> TESState? { try await task().state }
    func log() async throws -> TESTaskLog { try #require(try await task().logs?.last) }

    func waitForPlan(_ part: PodFolder.Part) async throws {
        try await wait("the plan of \(part)") { try folder.hasPlan(of: part) }
    }

    func wait(_ what: String, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(300)
        while try await !condition() {
            guard ContinuousClock.now < deadline else { throw TimedOut(description: "not within 300 s: \(what)") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
