import Filer
import Foundation
import KubernetesAPI
import KubernetesBackend
import KubernetesFake
import LocalSystem
import Logging
import Orchestrator
import Synchronization
import TES
import TaskCore

/// What the containers of TaskPods do on a played cluster: each Pod has a control folder and a real recorder on it, and what our other
/// programs would leave there is written by functions. An executor runs as long as a test says.
final class PlayedPods: Sendable {
    /// What an executor's program does.
    struct Program: Sendable {
        var code: Int32 = 0
        var seconds = 0.01
    }

    private struct State {
        var isClosed = false
        /// Tasks whose executors do not end by themselves.
        var held: Set<TaskID> = []
        /// The UIDs of the Pods of each submission, in order.
        var pods: [SubmissionKey: [String]] = [:]
        /// How the recorders ended.
        var ends: [String: Recorder.End] = [:]
    }

    private let root = "/tmp/pods-\(UUID().uuidString.lowercased())"
    private let store: any RecorderStore
    private let client: KubernetesClient
    /// Seconds from a Pod's SIGTERM to its SIGKILL.
    private let grace: Int
    private let program: @Sendable (SubmissionKey, _ position: Int) -> Program
    private let state = Mutex(State())

    /// - Parameter store: the recorders'.
    init(
        store: any RecorderStore, client: KubernetesClient, grace: Int,
        program: @escaping @Sendable (SubmissionKey, _ position: Int) -> Program = { _, _ in Program() }
    ) throws {
        self.store = store
        self.client = client
        self.grace = grace
        self.program = program
        _ = try Folder.make(root, mode: 0o777)
    }

    /// Ends what still runs, and removes the folders.
    func close() {
        state.withLock { $0.isClosed = true }
        try? Folder("/tmp").remove(ContainerPath.name(root))
    }

    func hold(_ task: TaskID) { state.withLock { _ = $0.held.insert(task) } }
    func release(_ tasks: some Sequence<TaskID>) { state.withLock { $0.held.subtract(tasks) } }
    /// The UIDs of the Pods that a submission has had.
    func pods(of key: SubmissionKey) -> [String] { state.withLock { $0.pods[key] ?? [] } }
    /// Submissions that have had a Pod.
    var submissions: [SubmissionKey] { state.withLock { Array($0.pods.keys) } }
    func end(of pod: String) -> Recorder.End? { state.withLock { $0.ends[pod] } }

    /// What a container does.
    func play(_ start: ContainerStart) -> Play? {
        let labels = start.pod["metadata"]["labels"]
        guard let key = SubmissionKey(objectName: labels["batch.kubernetes.io/job-name"].text ?? "") else { return nil }
        return .program { [self] container in
            do { return try await run(start.name, key, container) } catch {
                return ContainerEnd(1, message: "1 \(error)")
            }
        }
    }

    private func run(
        _ name: String, _ key: SubmissionKey, _ container: RunningContainer
    ) async throws -> KubernetesFake.ContainerEnd {
        let uid = container.start.podUID
        let folder = PodFolder(try Folder.make("\(root)/\(uid)", mode: 0o777))
        switch name {
        case "trec": return await record(folder, key, container)
        case "tif": return try await stage(folder, container)
        case "tof": return try await upload(folder, container)
        case "ack":
            return try await until(container) { try folder.verdict() }.map { ContainerEnd(Int($0), message: "\($0)") }
                ?? ContainerEnd(143)
        default:
            guard let position = Int(name.dropFirst(5)) else { return ContainerEnd(1) }
            return try await execute(folder, key, position, container)
        }
    }

    /// Asks again and again; nil where the container was told to end before.
    private func until<Value>(_ container: RunningContainer, _ value: () throws -> Value?) async throws -> Value? {
        while !container.isTerminated, !state.withLock({ $0.isClosed }) {
            if let value = try value() { return value }
            try await Task.sleep(for: .milliseconds(10))
        }
        return nil
    }

    private func record(
        _ folder: PodFolder, _ key: SubmissionKey, _ container: RunningContainer
    ) async -> KubernetesFake.ContainerEnd {
        let uid = container.start.podUID
        let name = container.start.pod["metadata"]["name"].text ?? ""
        state.withLock { $0.pods[key, default: []].append(uid) }
        let flag = StopFlag()
        var configuration = RecorderConfiguration()
        configuration.poll = .milliseconds(10)
        configuration.pause = .milliseconds(50)
        configuration.podGrace = grace
        let recorder = Recorder(
            submission: key, pod: uid, folder: folder, store: store, configuration: configuration, stop: flag,
            logger: Logger(label: "trec") { _ in SwiftLogNoOpLogHandler() },
            sight: { [client] in (try? await client.get(Pod.self, name)).map { PodSight($0) } })
        let work = Task { await recorder.run() }
        _ = try? await until(container) { nil as Bool? }
        flag.raise()
        let end = await work.value
        state.withLock { $0.ends[uid] = end }
        return ContainerEnd(0)
    }

    private func stage(
        _ folder: PodFolder, _ container: RunningContainer
    ) async throws -> KubernetesFake.ContainerEnd {
        let isRefused = try await until(container) { try folder.refusal() != nil ? true : try plan(folder, .tif) }
        guard let isRefused else { return ContainerEnd(143) }
        if isRefused { return ContainerEnd(1, message: "1 refused") }
        try folder.write(FilerResult(), of: .tif)
        return ContainerEnd(0, message: "0")
    }

    private func upload(
        _ folder: PodFolder, _ container: RunningContainer
    ) async throws -> KubernetesFake.ContainerEnd {
        let isRefused = try await until(container) {
            try plan(folder, .tof) ?? (try folder.refusal() != nil ? true : nil)
        }
        guard let isRefused else { return ContainerEnd(143) }
        if isRefused { return ContainerEnd(1, message: "1 refused") }
        try folder.write(FilerResult(), of: .tof)
        return ContainerEnd(0, message: "0")
    }

    /// False once the plan is there.
    private func plan(_ folder: PodFolder, _ part: PodFolder.Part) throws -> Bool? {
        try folder.hasPlan(of: part) ? false : nil
    }

    private func execute(
        _ folder: PodFolder, _ key: SubmissionKey, _ position: Int, _ container: RunningContainer
    ) async throws -> KubernetesFake.ContainerEnd {
        let control = folder.control.folder
        func write(_ name: String, _ bytes: [UInt8]) throws { try control.write("exec-\(position)/\(name)", bytes) }
        let turn = try await until(container) { try control.read("exec-\(position)/turn", limit: 16) }
        guard let turn else { return ContainerEnd(143, message: "143 never ran") }
        guard turn == Array("run\n".utf8) else { return ContainerEnd(0, message: "0 skipped") }
        try write("started", [])
        let program = program(key, position)
        let start = Machine.clock()
        let end = ContinuousClock.now + .seconds(program.seconds)
        let hasEnded = try await until(container) {
            ContinuousClock.now >= end && !state.withLock { $0.held.contains(key.taskID) } ? true : nil
        }
        var result = ExecutorResult(
            exitCode: hasEnded == nil ? 143 : program.code, startTime: start, endTime: Machine.clock())
        if hasEnded == nil { result.stopSignal = SIGTERM }
        try write("stdout.head", Array("stdout of \(position)".utf8))
        try write("stderr.head", Array("stderr of \(position)".utf8))
        try write("result", result.encoded)
        return ContainerEnd(hasEnded == nil ? 143 : 0, message: "\(result.exitCode) oom=no")
    }
}
