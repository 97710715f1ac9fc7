import LocalSystem
import Logging
import Orchestrator
import TES
import TaskCore

/// One recorder's way through its attempt: each step looks at what is there and does what has become possible.
struct RecorderRun {
    let attempt: Attempt
    let folder: PodFolder
    let store: any RecorderStore
    let configuration: RecorderConfiguration
    let stop: StopFlag
    let watch: PodWatch
    let logger: Logger

    private var outcome: AttemptOutcome
    /// Executors whose results are recorded.
    private var recorded = 0
    /// The executor that was told to run last.
    private var told: Int?
    private var isStaged = false
    /// Why no executor runs any more.
    private var cause: Cause?
    /// Somebody cancelled the task: nothing new is started.
    private var isCanceling = false
    /// The executor that ran out of memory.
    private var exhausted: Int?

    private var task: TESTask { attempt.task }

    init(
        attempt: Attempt, folder: PodFolder, store: any RecorderStore, configuration: RecorderConfiguration,
        stop: StopFlag, watch: PodWatch, logger: Logger
    ) {
        self.attempt = attempt
        self.folder = folder
        self.store = store
        self.configuration = configuration
        self.stop = stop
        self.watch = watch
        self.logger = logger
        outcome = AttemptOutcome(
            attempt.task, mounts: MountPlan(attempt.task), missingOutputsFail: configuration.missingOutputsFail)
    }

    /// Goes as far as it can; the end where there is one.
    mutating func step() async throws(FileError) -> Recorder.End? {
        if try folder.verdict() != nil {
            try? skipTheRest()
            return .recorded
        }
        if !isStaged {
            guard let result = try folder.result(of: .tif) else { return nil }
            if let failure = result.failure { return try await finish(failure, AttemptRecord(time: store.now())) }
            if let end = try await note(AttemptRecord(state: .running, time: store.now())) { return end }
            isStaged = true
        }
        while recorded < task.executors.count, cause == nil {
            guard try giveTurn() else { return nil }
            if let result = try folder.control.result(recorded) {
                if let end = try await take(result) { return end }
                continue
            }
            // Its shim has written a result.
            guard try folder.isOver(recorded, of: task.executors.count) else { return nil }
            if let result = try folder.lateResult(recorded) {
                if let end = try await take(result) { return end }
            } else {
                cause = .shimFailed(
                    position: recorded, reason: "its program, or what that left running, closed or removed its result")
                // It has had its turn.
                recorded += 1
            }
        }
        if let exhausted {
            // The shim ends with 1 after an OOM kill, so that no container of the Pod runs after it. A program can write such a
            // result itself: it counts once its container has ended, which is why this recorder is told to leave a second later.
            guard stop.isRaised || watch.latest()?.ended.contains(exhausted) == true else { return nil }
        }
        let cause = cause ?? .completed
        guard exhausted == nil, AttemptOutcome.uploads(after: cause) else { return try await finish(cause, nil) }
        if try !folder.hasPlan(of: .tof) {
            guard mayStart else { return nil }
            try skipTheRest()
            try folder.write(FilerPlan(principal: attempt.principal, task: task), for: .tof)
            // Until the outputs are uploaded it knows which images ran.
            watch.glance()
        }
        guard let uploads = try folder.result(of: .tof) else { return nil }
        return try await finish(cause, uploads)
    }

    /// Nothing new is started once this recorder has to leave, or the task is cancelled and its Pod about to be deleted.
    private var mayStart: Bool { !stop.isRaised && !isCanceling }

    /// Tells the next executor to run; false where that may not be.
    private mutating func giveTurn() throws(FileError) -> Bool {
        if told == recorded { return true }
        if try !folder.hasTurn(recorded) {
            let wasNoted = try folder.wasNoted(turnOf: recorded)
            if mayStart {
                try folder.noteTurn(of: recorded)
                do throws(FileError) { try folder.control.give(.run, to: recorded) } catch {
                    // It ran already, and made its folder unusable; a full disk is another matter.
                    if !wasNoted || !error.isUnusable { throw error }
                }
            } else if !wasNoted {
                return false
            }
        }
        told = recorded
        return true
    }

    private mutating func take(_ result: ExecutorResult) async throws(FileError) -> Recorder.End? {
        let position = recorded
        let streams = folder.control.streams(position, limit: configuration.captureLimit)
        switch outcome.step(position, result, streams: streams, at: store.now()) {
        case .stopped(let record, _):
            // Why is the controller's to say, unless somebody cancelled the task.
            if let end = try await note(record) { return end }
            return isCanceling ? try await finish(.canceled, nil) : .left
        case .goesOn(let record):
            if let end = try await note(record) { return end }
        case .ends(let record, let found):
            if let end = try await note(record) { return end }
            cause = found
        }
        recorded += 1
        guard result.isOutOfMemory, result.stopSignal == nil else { return nil }
        exhausted = position
        cause = .executorFailed(
            position: position, exitCode: result.exitCode == 0 ? 137 : result.exitCode,
            reason: "its container ran out of memory: ask for more with ram_gb; outputs are not uploaded")
        return nil
    }

    /// The executor that was started and has no result, if there is one.
    func runningExecutor() throws(FileError) -> Int? {
        guard recorded < task.executors.count, try folder.control.wasStarted(recorded),
            try folder.control.result(recorded) == nil
        else { return nil }
        return recorded
    }

    /// What can be said at the last moment: after an executor failed or ran too long that is the cause, whatever ended the Pod; a
    /// cancelled task is CANCELED; all else is the controller's.
    func end() async throws(FileError) -> Recorder.End? {
        if let cause {
            var ending = outcome.ending(cause, uploads: nil, at: store.now())
            ending.record.systemLogs.append("outputs were not uploaded: the Pod was stopped before")
            return try await finish(ending.cause, ending.record)
        }
        if !isCanceling {
            // Where nobody cancelled the task this changes nothing.
            guard case .state(.canceled) = await stored(AttemptRecord(state: .canceled, time: store.now())) else {
                return .left
            }
        }
        return try await finish(.canceled, nil)
    }

    // MARK: Writing

    /// Writes what happened on the way; nil where the attempt goes on.
    private mutating func note(_ record: AttemptRecord) async throws(FileError) -> Recorder.End? {
        switch await stored(record) {
        case .state(let state):
            isCanceling = state == .canceling
            guard state.isTerminal else { return nil }
            // The recorder before this one was killed before it could say so, or somebody else ended the task.
            try decide(state)
            return .recorded
        case .lost: return .lost
        case .interrupted: return .left
        }
    }

    private func finish(_ cause: Cause, _ uploads: FilerResult?) async throws(FileError) -> Recorder.End {
        let ending = outcome.ending(cause, uploads: uploads, at: store.now())
        return try await finish(ending.cause, ending.record)
    }

    private func finish(_ cause: CauseSummary, _ record: AttemptRecord) async throws(FileError) -> Recorder.End {
        var record = record
        for (position, digest) in watch.seen?.digests ?? [:] where position < task.executors.count {
            record.metadata["image_digest[\(task.executors[position].image)]"] = digest
        }
        AttemptOutcome.close(&record, cause: cause, attempt: attempt.key.number)
        switch await stored(record) {
        case .lost: return .lost
        case .interrupted: return .left
        case .state(let state):
            logger.info("attempt ended", metadata: ["state": "\(state.rawValue)", "cause": "\(cause.name)"])
            try decide(state)
            return .recorded
        }
    }

    private func decide(_ state: TESState) throws(FileError) {
        try folder.decide(state == .complete ? 0 : 1)
        // The last container may have ended well, as the Pod sees it.
        try? skipTheRest()
    }

    /// Lets executors that wait for their turn end at once, and with them the Pod.
    private func skipTheRest() throws(FileError) {
        // What ran may have removed its turn.
        for position in task.executors.indices[recorded...] where try !folder.hasTurn(position) {
            try folder.control.give(.skip, to: position)
        }
    }

    private enum Stored {
        case state(TESState)
        case lost
        /// It was told to stop, and the store stayed away for as long as it may stay.
        case interrupted
    }

    private func stored(_ record: AttemptRecord) async -> Stored {
        var record = record
        var pause = Backoff(configuration.pause, limit: .seconds(60))
        while true {
            do throws(TaskStoreError) {
                return .state(try await store.record(record, for: attempt.key))
            } catch {
                switch error {
                case .notThisAttempt, .keyOfAnotherTask, .searchTooLong: return .lost
                case .refused(let reason):
                    logger.error(
                        "the store refuses to write a record, whatever it says; trying again until somebody mends that",
                        metadata: ["reason": "\(reason)"])
                case .corrupt(let reason):
                    logger.error("the store refuses a record", metadata: ["reason": "\(reason)"])
                    // The least that ends the attempt.
                    if record.cause == Self.unrecordable.name { return .lost }
                    record = AttemptRecord(state: .systemError, time: store.now())
                    record.cause = Self.unrecordable.name
                    record.systemLogs = [Self.unrecordable.sentence].compactMap { $0 }
                    continue
                case .unavailable(let reason):
                    logger.error("a record could not be written; trying again", metadata: ["reason": "\(reason)"])
                }
            }
            if let raised = stop.raised {
                let next = min(pause.next(), .seconds(1))
                guard .now + next < raised + configuration.stay else { return .interrupted }
                try? await Task.sleep(for: next)
            } else {
                await stop.wait(for: pause.next())
            }
        }
    }

    private static let unrecordable = Cause.internalError(
        reason: "what happened in this attempt could not be recorded; its recorder's log says why")
}
