import LocalSystem
package import Logging
import Orchestrator
import TES
package import TaskCore

/// Settings of a recorder.
package struct RecorderConfiguration: Sendable {
    /// Bytes kept of each output stream of an executor.
    package var captureLimit = 16 * 1024
    /// Whether a declared output that does not exist fails a task whose executors succeeded.
    package var missingOutputsFail = false
    /// Seconds from a SIGTERM to the Pod's SIGKILL.
    package var podGrace = 30
    /// Seconds that each executor's program may run; nil without a limit.
    package var walltime: Int?
    /// How often the recorder says that it lives.
    package var beat = Duration.seconds(15)
    /// Seconds without that, after which the Pod's other parts give up.
    package var patience = PodFolder.patience
    /// How often the control folder is looked at.
    package var poll = Duration.milliseconds(100)
    /// The first pause before a store that is away is asked again; they double up to a minute, and vary by half.
    package var pause = Duration.seconds(1)
    /// Added to the attempt's metadata: node, Pod.
    package var metadata: [String: String] = [:]

    package init() {}

    /// The shim's grace: it has to be done before the Pod's is over.
    var programGrace: Int { max(1, podGrace - 5) }
    /// How long a recorder stays at most after it was told to leave: 2 s less than its Pod.
    package var stay: Duration { .seconds(max(1, podGrace - 2)) }
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
    private let watch: PodWatch
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
        watch = PodWatch(sight)
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
        let heart = Task { await beat() }
        defer { heart.cancel() }
        let end = await record()
        // Nothing more comes from it: whoever waits gives up, and the controller ends the attempt.
        if end == .left { heart.cancel() }
        logger.info("the recorder's work is done", metadata: ["end": "\(end.rawValue)"])
        while !stop.isRaised { await stop.wait(for: .seconds(60)) }
        return end
    }

    /// Says that the recorder lives, also while a store that is away keeps it from all else.
    private func beat() async {
        while !Task.isCancelled {
            do throws(FileError) { try folder.beat() } catch {
                logger.error("no sign of life can be written", metadata: ["reason": "\(error)"])
            }
            try? await Task.sleep(for: configuration.beat)
        }
    }

    private func record() async -> End {
        var run: RecorderRun?
        var pause = Backoff(configuration.pause, limit: .seconds(60))
        while true {
            do throws(FileError) {
                if run == nil {
                    guard let attempt = try await claim() else { return stop.isRaised ? .left : .refused }
                    run = try begin(attempt)
                }
                // What is seen before the results: an executor whose container has ended leaves none later.
                let seen = stop.isRaised ? watch.latest() : nil
                if let end = try await run?.step() {
                    guard end == .lost, let attempt = try await claimAgain() else { return end }
                    run = try begin(attempt)
                }
                if let run, try mayLeave(run, seen), let end = try await run.end() { return end }
                pause = Backoff(configuration.pause, limit: .seconds(60))
                await rest(configuration.poll)
            } catch {
                logger.error("the control folder cannot be used; trying again", metadata: ["reason": "\(error)"])
                if let raised = stop.raised, .now - raised >= configuration.stay { return .left }
                await rest(pause.next())
            }
        }
    }

    /// Waits, and no longer than a second once it was told to leave.
    private func rest(_ time: Duration) async {
        if stop.isRaised { try? await Task.sleep(for: min(time, .seconds(1))) } else { await stop.wait(for: time) }
    }

    /// After a SIGTERM it stays at least a second, as the end of `ack` is told at the same moment; longer while an executor tidies up
    /// and will leave a result.
    private func mayLeave(_ run: RecorderRun, _ seen: PodSight?) throws(FileError) -> Bool {
        guard let raised = stop.raised else { return false }
        let stayed = ContinuousClock.now - raised
        if stayed < .seconds(1) { return false }
        guard stayed < configuration.stay, let running = try run.runningExecutor() else { return true }
        return seen?.ended.contains(running) ?? false
    }

    /// The attempt: the one that a recorder before this one claimed, or a new one. Nil where there is none, or where it was told to
    /// stop before the store answered.
    private func claim() async throws(FileError) -> Attempt? {
        if let kept = try folder.kept() { return kept }
        if try folder.refusal() != nil { return nil }
        var pause = Backoff(configuration.pause, limit: .seconds(60))
        while !stop.isRaised {
            let claimed: Attempt?
            do throws(TaskStoreError) {
                claimed = try await store.claim(submission, pod: pod, metadata: configuration.metadata)
            } catch {
                logger.error("the task could not be claimed; trying again", metadata: ["reason": "\(error)"])
                await stop.wait(for: pause.next())
                continue
            }
            guard var attempt = claimed, attempt.state != .canceling else {
                try folder.refuse("the task was cancelled, has ended, or was submitted again\n")
                return nil
            }
            attempt.task.state = nil
            try folder.keep(attempt)
            return attempt
        }
        return nil
    }

    private func begin(_ attempt: Attempt) throws(FileError) -> RecorderRun {
        logger.info("claimed", metadata: ["attempt": "\(attempt.key.number)"])
        try writePlans(attempt)
        return RecorderRun(
            attempt: attempt, folder: folder, store: store, configuration: configuration, stop: stop, watch: watch,
            logger: logger)
    }

    /// After its attempt was lost: a new one where the store was restored from an older state, in which nobody has claimed for this Pod. It
    /// takes the controller a while to open the submission there. In all other cases the store gives none, and the Pod is about to go.
    private func claimAgain() async throws(FileError) -> Attempt? {
        var pause = Backoff(configuration.pause, limit: .seconds(60))
        while true {
            await stop.wait(for: pause.next())
            if stop.isRaised { return nil }
            let claimed = try? await store.claim(submission, pod: pod, metadata: configuration.metadata)
            guard var attempt = claimed ?? nil, attempt.state != .canceling else { continue }
            attempt.task.state = nil
            try folder.keep(attempt)
            return attempt
        }
    }

    private func writePlans(_ attempt: Attempt) throws(FileError) {
        if try folder.hasPlan(of: .tif) { return }
        let mounts = MountPlan(attempt.task)
        for (position, executor) in attempt.task.executors.enumerated() {
            var plan = ExecutorPlan(executor, mounts: mounts, captureLimit: configuration.captureLimit)
            plan.grace = configuration.programGrace
            plan.walltime = configuration.walltime
            plan.patience = configuration.patience
            try folder.control.prepare(position, plan)
        }
        try folder.write(FilerPlan(principal: attempt.principal, task: attempt.task), for: .tif)
    }
}
