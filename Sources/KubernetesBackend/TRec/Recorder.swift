package import KubernetesAPI
import LocalSystem
package import Logging
import Orchestrator
import TES
package import TaskCore

/// What a recorder sees of its own Pod, when it is told to stop.
package struct PodSight: Hashable, Sendable {
    /// Somebody deletes it: a cancel, an eviction through the API, a deadline.
    package var isBeingDeleted: Bool
    /// Executors whose container has ended.
    package var ended: Set<Int>

    package init(isBeingDeleted: Bool, ended: Set<Int>) {
        self.isBeingDeleted = isBeingDeleted
        self.ended = ended
    }

    package init(_ pod: Pod) {
        isBeingDeleted = pod.metadata?.deletionTimestamp != nil
        ended = Set(
            (pod.status?.initContainerStatuses ?? []).compactMap { status in
                guard status.state?.terminated != nil, status.name.hasPrefix("exec-") else { return nil }
                return Int(status.name.dropFirst(5))
            })
    }
}

/// Settings of a recorder.
package struct RecorderConfiguration: Sendable {
    /// Bytes kept of each output stream of an executor.
    package var captureLimit = 16 * 1024
    /// Whether a declared output that does not exist fails a task whose executors succeeded.
    package var missingOutputsFail = false
    /// Seconds from a SIGTERM to the Pod's SIGKILL.
    package var podGrace = 30
    /// How often the control folder is looked at.
    package var poll = Duration.milliseconds(100)
    /// The first pause before a store that is away is asked again; they double up to a minute, and vary by half.
    package var pause = Duration.seconds(1)
    /// Added to the attempt's metadata: node, Pod.
    package var metadata: [String: String] = [:]

    package init() {}

    /// The shim's grace: it has to be done before the Pod's is over.
    var programGrace: Int { max(1, podGrace - 5) }
}

/// TRec: the sidecar that claims a TaskPod's attempt, lets its parts run one after the other, and records what happens.
///
/// Everything that it knows lies in the control folder, so that one that was killed goes on where it was. A record that is written
/// twice changes nothing the second time.
package struct Recorder: Sendable {
    private let submission: SubmissionKey
    /// The Pod's UID.
    private let pod: String
    private let folder: PodFolder
    private let store: any RecorderStore
    private let configuration: RecorderConfiguration
    private let sight: @Sendable () async -> PodSight?
    private let stop: StopFlag
    private let logger: Logger

    /// - Parameters:
    ///   - stop: raised by SIGTERM.
    ///   - sight: reads this Pod; nil where that is not possible.
    package init(
        submission: SubmissionKey, pod: String, folder: PodFolder, store: any RecorderStore,
        configuration: RecorderConfiguration, stop: StopFlag, logger: Logger,
        sight: @escaping @Sendable () async -> PodSight?
    ) {
        self.submission = submission
        self.pod = pod
        self.folder = folder
        self.store = store
        self.configuration = configuration
        self.stop = stop
        self.logger = logger
        self.sight = sight
    }

    /// How a recorder's work ended.
    package enum End: String, Sendable {
        /// The outcome is recorded.
        case recorded
        /// There was nothing to run.
        case refused
        /// Another attempt holds the task.
        case lost
        /// It was told to leave; what it did not record is the controller's.
        case left
    }

    /// Runs until there is nothing left to record, or until it was told to stop and has to leave. Then waits for that, as a
    /// sidecar that ends before it is told to would be started again.
    package func run() async -> End {
        let end = await record()
        logger.info("the recorder's work is done", metadata: ["end": "\(end.rawValue)"])
        while !stop.isRaised { await stop.wait(for: .seconds(60)) }
        return end
    }

    private func record() async -> End {
        do throws(FileError) {
            guard let attempt = try await claim() else { return stop.isRaised ? .left : .refused }
            logger.info("claimed", metadata: ["attempt": "\(attempt.key.number)"])
            try writePlans(attempt)
            var run = RecorderRun(
                attempt: attempt, folder: folder, store: store, configuration: configuration, stop: stop, logger: logger
            )
            while true {
                if let end = try await run.step() { return end }
                if stop.isRaised { return try await leave(&run) }
                await stop.wait(for: configuration.poll)
            }
        } catch {
            // A restart goes on; the controller sees one that never gets further.
            logger.critical("the control folder cannot be used", metadata: ["reason": "\(error)"])
            return .left
        }
    }

    /// The attempt: the one that a recorder before this one claimed, or a new one. Nil where there is none, or where it was told to
    /// stop before the store answered.
    private func claim() async throws(FileError) -> Attempt? {
        if let kept = try folder.kept() { return kept }
        if try folder.refusal() != nil { return nil }
        var pause = Pause(configuration.pause)
        while !stop.isRaised {
            do throws(TaskStoreError) {
                guard var attempt = try await store.claim(submission, pod: pod, metadata: configuration.metadata),
                    attempt.state != .canceling
                else {
                    try? folder.refuse("the task was cancelled, has ended, or was submitted again\n")
                    return nil
                }
                attempt.task.state = nil
                do throws(FileError) { try folder.keep(attempt) } catch {
                    logger.error("the claim could not be kept", metadata: ["reason": "\(error)"])
                }
                return attempt
            } catch {
                logger.error("the task could not be claimed; trying again", metadata: ["reason": "\(error)"])
            }
            await stop.wait(for: pause.next())
        }
        return nil
    }

    private func writePlans(_ attempt: Attempt) throws(FileError) {
        if try folder.hasPlan(of: .tif) { return }
        let mounts = MountPlan(attempt.task)
        let parameters = attempt.task.resources?.backendParameters ?? [:]
        let walltime = parameters.first { $0.key.lowercased() == "walltime" }
            .flatMap { BackendParameters.seconds($0.value) }.flatMap(Int.init(exactly:))
        for (position, executor) in attempt.task.executors.enumerated() {
            var plan = ExecutorPlan(executor, mounts: mounts, captureLimit: configuration.captureLimit)
            plan.grace = configuration.programGrace
            plan.walltime = walltime
            try folder.control.prepare(position, plan)
        }
        try folder.write(FilerPlan(principal: attempt.principal, task: attempt.task), for: .tif)
    }

    // MARK: Leaving

    /// After a SIGTERM: at least a second, as the end of `ack` is told at the same moment; longer while an executor tidies up and
    /// will leave a result.
    private func leave(_ run: inout RecorderRun) async throws(FileError) -> End {
        let start = ContinuousClock.now
        let limit = Duration.seconds(max(1, configuration.podGrace - 2))
        var seen = await sight()
        var nextSight = start + .seconds(1)
        while true {
            if let end = try await run.step() { return end }
            let stayed = ContinuousClock.now - start
            let running = try run.runningExecutor()
            let tidiesUp = running.map { !(seen?.ended.contains($0) ?? false) } ?? false
            if stayed >= limit || (stayed >= .seconds(1) && !tidiesUp) { break }
            try? await Task.sleep(for: configuration.poll)
            if ContinuousClock.now >= nextSight {
                seen = await sight() ?? seen
                nextSight = ContinuousClock.now + .seconds(1)
            }
        }
        return await run.end(isBeingDeleted: seen?.isBeingDeleted ?? false)
    }
}

/// Pauses that double up to a minute, each longer by up to a half, so that many do not come back at once.
struct Pause {
    private var current: Duration

    init(_ first: Duration) { current = first }

    mutating func next() -> Duration {
        defer { current = min(current * 2, .seconds(60)) }
        return current + current * Double.random(in: 0..<0.5)
    }
}
