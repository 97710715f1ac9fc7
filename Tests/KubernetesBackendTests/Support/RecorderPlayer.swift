import Filer
import Foundation
import KubernetesAPI
import KubernetesBackend
import LocalSystem
import Logging
import Orchestrator
import Synchronization
import TES
import TaskCore
import TaskStore
import Testing

/// Plays the Pods of one recording to recorders: each Pod has a control folder, into which goes what our parts would have written when a
/// container of the recording was seen to start or to end.
final class RecorderPlayer {
    /// One Pod's folder and its recorder, the last one that was started.
    private final class PlayedPod {
        let folder: PodFolder
        let path: String
        var flag = StopFlag()
        var isDead = Box(false)
        var running: Task<Recorder.End, Never>?
        let sight = Box<PodSight?>(nil)
        var restarts = 0
        var staged = false
        var uploaded = false
        var ended: Set<Int> = []

        init() throws {
            path = "/tmp/trec-\(UUID().uuidString.lowercased())"
            folder = PodFolder(try Folder.make(path, mode: 0o777))
        }
    }

    /// A value that a recorder reads while a test writes it.
    private final class Box<Value: Sendable>: Sendable {
        private let content: Mutex<Value>
        init(_ value: Value) { content = Mutex(value) }
        var value: Value {
            get { content.withLock { $0 } }
            set { content.withLock { $0 = newValue } }
        }
    }

    private let recording: Recording
    private let store: InMemoryTaskStore
    /// Executors whose container says at its end that the program never ran.
    private let neverRan: Set<Int>
    private var pods: [String: PlayedPod] = [:]
    /// How the recorders ended, in order.
    private(set) var ends: [Recorder.End] = []
    /// Every state that the store has answered with, in order.
    let states = StateNotes()

    init(_ recording: Recording, _ store: InMemoryTaskStore) {
        self.recording = recording
        self.store = store
        var neverRan: Set<Int> = []
        for case .pod(.changed(let pod?)) in recording.steps.map(\.step) {
            for (position, container) in pod.executors where container.end?.report?.neverRan == true {
                neverRan.insert(position)
            }
        }
        self.neverRan = neverRan
    }

    // MARK: Recorders

    private func start(_ pod: PlayedPod, _ uid: String) async throws {
        let isDead = Box(false)
        pod.isDead = isDead
        pod.flag = StopFlag()
        var configuration = RecorderConfiguration()
        configuration.poll = .milliseconds(5)
        configuration.pause = .milliseconds(5)
        configuration.podGrace = 20
        let recorder = Recorder(
            submission: Recording.key, pod: uid, folder: pod.folder,
            store: ScriptedStore(store, states) { _ in isDead.value ? .cutBefore : .passes },
            configuration: configuration,
            stop: pod.flag, logger: Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() },
            sight: { [sight = pod.sight] in sight.value })
        pod.running = Task { await recorder.run() }
        let deadline = ContinuousClock.now + .seconds(300)
        while try pod.folder.kept() == nil, try pod.folder.refusal() == nil, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// It writes nothing more, and tells nobody how it ended.
    private func kill(_ pod: PlayedPod) {
        pod.isDead.value = true
        pod.running = nil
    }

    private func stop(_ pod: PlayedPod) async {
        guard let running = pod.running else { return }
        pod.running = nil
        pod.flag.raise()
        ends.append(await running.value)
    }

    /// Stops what still runs, and removes the folders.
    func close() async {
        for pod in pods.values {
            await stop(pod)
            try? Folder("/tmp").remove(ContainerPath.name(pod.path))
        }
    }

    // MARK: Parts

    /// What is seen of a Pod now; nil once it is gone.
    func show(_ reading: PodReading, isGone: Bool) async throws {
        if pods[reading.uid] == nil { pods[reading.uid] = try PlayedPod() }
        guard let pod = pods[reading.uid] else { return }
        pod.sight.value = PodSight(ended: Set(reading.executors.filter { $0.container.end != nil }.map(\.position)))
        let trec = reading[.trec]
        let restarts = trec?.restarts ?? 0
        let isTold = reading.isDeleting || reading.hasEnded || isGone
        if let trec, trec.isRunning, !isTold, pod.running == nil, !pod.flag.isRaised {
            pod.restarts = restarts
            try await start(pod, reading.uid)
        } else if pod.running != nil, !isTold, restarts > pod.restarts || trec?.end.map({ $0.code != 0 }) == true {
            // Another may take its place.
            kill(pod)
            pod.restarts = restarts
            if trec?.isRunning == true { try await start(pod, reading.uid) }
        }
        if reading.isDeleting { pod.flag.raise() }
        try await play(reading, pod)
        if trec?.end?.isMadeUp == true || (isGone && trec?.end == nil) {
            kill(pod)
        } else if trec?.end != nil, isTold || trec?.end?.code == 0 {
            await stop(pod)
        }
    }

    private func play(_ reading: PodReading, _ pod: PlayedPod) async throws {
        guard pod.running != nil else { return }
        if let tif = reading[.tif] {
            if let end = tif.end, !pod.staged, !end.isMadeUp, end.report?.neverRan != true {
                pod.staged = true
                try await stage(Self.failure(end), pod)
            }
        } else if !pod.staged, let first = reading[.executor(0)], first.state != .waiting(nil) {
            pod.staged = true
            try await stage(nil, pod)
        }
        for (position, container) in reading.executors where position < recording.executors.count {
            guard !pod.ended.contains(position), !neverRan.contains(position) else { continue }
            if container.isRunning {
                try await wait(pod) { try pod.folder.hasTurn(position) }
                if try isToRun(position, pod) { try begin(position, pod) }
            } else if let end = container.end {
                pod.ended.insert(position)
                guard let result = Self.result(end, isDeleting: reading.isDeleting) else { continue }
                try await wait(pod) { try pod.folder.hasTurn(position) }
                guard try isToRun(position, pod) else { continue }
                try begin(position, pod)
                try write("stdout.head", Array("stdout of \(position)".utf8), position, pod)
                try write("stderr.head", Array("stderr of \(position)".utf8), position, pod)
                try write("result", result.encoded, position, pod)
                try await wait(pod) { [self] in
                    try await store.task(Recording.key.taskID, view: .full, for: .everyone)?.logs?.last?.logs.count
                        == position + 1
                }
            }
        }
        // Small recordings have neither tif nor tof: what comes after those has seen them end well.
        let hasPassedTof = reading[.tof] == nil && reading[.ack].map { $0.isRunning || $0.end != nil } == true
        if !pod.uploaded, hasPassedTof || reading[.tof]?.end?.isMadeUp == false {
            pod.uploaded = true
            try await upload(reading[.tof]?.end.flatMap { Self.failure($0) }, pod)
        }
    }

    private static func failure(_ end: ContainerEnd) -> String? {
        if end.code == 0 { return nil }
        return end.message.isEmpty ? "exit code \(end.code)" : end.message
    }

    /// - Parameter failure: nil where the inputs were staged.
    private func stage(_ failure: String?, _ pod: PlayedPod) async throws {
        try await wait(pod) { try pod.folder.hasPlan(of: .tif) || pod.folder.refusal() != nil }
        guard try pod.folder.hasPlan(of: .tif) else { return }
        let cause = failure.map { Cause.inputUnavailable(position: 0, url: "s3://b/i", path: "/i", reason: $0) }
        try pod.folder.write(FilerResult(failure: cause.map { CauseSummary($0) }), of: .tif)
        try await wait(pod) { try pod.folder.hasTurn(0) || pod.folder.verdict() != nil }
    }

    /// - Parameter failure: nil where the outputs were uploaded.
    private func upload(_ failure: String?, _ pod: PlayedPod) async throws {
        try await wait(pod) { try pod.folder.hasPlan(of: .tof) }
        guard try pod.folder.hasPlan(of: .tof) else { return }
        let cause = failure.map { Cause.outputFailed(position: 0, url: "s3://b/o", path: "/o", reason: $0) }
        try pod.folder.write(FilerResult(failure: cause.map { CauseSummary($0) }), of: .tof)
        try await wait(pod) { try pod.folder.verdict() != nil }
    }

    private func isToRun(_ position: Int, _ pod: PlayedPod) throws -> Bool {
        try pod.folder.control.folder.read("exec-\(position)/turn", limit: 16) == Array("run\n".utf8)
    }

    private func begin(_ position: Int, _ pod: PlayedPod) throws { try write("started", [], position, pod) }

    private func write(_ name: String, _ bytes: [UInt8], _ position: Int, _ pod: PlayedPod) throws {
        try pod.folder.control.folder.write("exec-\(position)/\(name)", bytes)
    }

    /// What the shim leaves where a container ended so; nil where it was killed or never began.
    private static func result(_ end: ContainerEnd, isDeleting: Bool) -> ExecutorResult? {
        if end.isMadeUp || end.neverStarted { return nil }
        // Nobody but the kubelet of a Pod that is being deleted waits for the shim's own grace.
        if end.report == nil, end.code == 137, !end.isOutOfMemory, !isDeleting { return nil }
        let time = (end.finishedAt ?? Timestamp(microseconds: 0)).microseconds
        var result = ExecutorResult(
            exitCode: end.report?.exitCode ?? end.code, startTime: end.startedAt?.microseconds ?? time, endTime: time)
        result.isOutOfMemory = end.isOutOfMemory
        if end.code == 143 || (isDeleting && end.code == 137) { result.stopSignal = SIGTERM }
        return result
    }

    /// Waits until the recorder has done something, or can do nothing more.
    private func wait(_ pod: PlayedPod, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(300)
        while try await !condition(), !pod.flag.isRaised {
            let state = try await store.task(Recording.key.taskID, view: .minimal, for: .everyone)?.state
            if state == .canceling || state?.isTerminal == true { break }
            guard ContinuousClock.now < deadline else {
                Issue.record("\(recording.name): the recorder does not go on")
                return
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
