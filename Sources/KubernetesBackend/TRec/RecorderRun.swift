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
    let logger: Logger

    private var outcome: AttemptOutcome
    /// Executors whose results are recorded.
    private var recorded = 0
    private var isStaged = false
    /// Why no executor runs any more.
    private var cause: Cause?

    private var task: TESTask { attempt.task }

    init(
        attempt: Attempt, folder: PodFolder, store: any RecorderStore, configuration: RecorderConfiguration,
        stop: StopFlag, logger: Logger
    ) {
        self.attempt = attempt
        self.folder = folder
        self.store = store
        self.configuration = configuration
        self.stop = stop
        self.logger = logger
        outcome = AttemptOutcome(
            attempt.task, mounts: MountPlan(attempt.task), missingOutputsFail: configuration.missingOutputsFail)
    }

    /// Goes as far as it can; the end where there is one.
    mutating func step() async throws(FileError) -> Recorder.End? {
        if try folder.verdict() != nil { return .recorded }
        if !isStaged {
            guard let result = try folder.result(of: .tif) else { return nil }
            if let failure = result.failure { return await finish(failure, AttemptRecord(time: store.now())) }
            if let end = await note(AttemptRecord(state: .running, time: store.now())) { return end }
            isStaged = true
        }
        while recorded < task.executors.count, cause == nil {
            if try !folder.hasTurn(recorded) {
                // Nothing new is started once this recorder has to leave.
                if stop.isRaised { return nil }
                try folder.control.give(.run, to: recorded)
            }
            guard let result = try folder.control.result(recorded) else { return nil }
            if let end = try await take(result) { return end }
        }
        let cause = cause ?? .completed
        guard AttemptOutcome.uploads(after: cause) else {
            let ending = outcome.ending(cause, uploads: nil, at: store.now())
            return await finish(ending.cause, ending.record)
        }
        if try !folder.hasPlan(of: .tof) {
            if stop.isRaised { return nil }
            for position in task.executors.indices where try !folder.hasTurn(position) {
                try folder.control.give(.skip, to: position)
            }
            try folder.write(FilerPlan(principal: attempt.principal, task: task), for: .tof)
        }
        guard let uploads = try folder.result(of: .tof) else { return nil }
        let ending = outcome.ending(cause, uploads: uploads, at: store.now())
        return await finish(ending.cause, ending.record)
    }

    private mutating func take(_ result: ExecutorResult) async throws(FileError) -> Recorder.End? {
        let position = recorded
        let streams = folder.control.streams(position, limit: configuration.captureLimit)
        let record: AttemptRecord?
        switch outcome.step(position, result, streams: streams, at: store.now()) {
        case .goesOn(let value): record = value
        case .ends(let value, let found):
            record = value
            cause = found
        }
        if let record, let end = await note(record) { return end }
        recorded += 1
        // The shim ends with 1 after an OOM kill, so that no container of the Pod runs after it.
        guard result.isOutOfMemory else { return nil }
        let code = result.exitCode == 0 ? 137 : result.exitCode
        let found = Cause.executorFailed(
            position: position, exitCode: code,
            reason: "its container ran out of memory: ask for more with ram_gb; outputs are not uploaded")
        let ending = outcome.ending(found, uploads: nil, at: store.now())
        return await finish(ending.cause, ending.record)
    }

    /// The executor that was started and has no result, if there is one.
    func runningExecutor() throws(FileError) -> Int? {
        guard recorded < task.executors.count, try folder.control.wasStarted(recorded),
            try folder.control.result(recorded) == nil
        else { return nil }
        return recorded
    }

    /// What can be said at the last moment: after a failed executor the task has failed, whatever ended the Pod; a cancelled task is
    /// CANCELED; all else is the controller's.
    func end(isBeingDeleted: Bool) async -> Recorder.End {
        if let cause, case .executorFailed = cause {
            var ending = outcome.ending(cause, uploads: nil, at: store.now())
            ending.record.systemLogs.append("outputs were not uploaded: the Pod was stopped before")
            return await finish(ending.cause, ending.record)
        }
        guard isBeingDeleted else { return .left }
        // Where nobody cancelled the task this changes nothing.
        var record = AttemptRecord(state: .canceled, time: store.now())
        record.cause = nil
        switch await stored(record) {
        case .state(.canceled): return .recorded
        default: return .left
        }
    }

    // MARK: Writing

    /// Writes what happened on the way; nil where the attempt goes on.
    private func note(_ record: AttemptRecord) async -> Recorder.End? {
        switch await stored(record) {
        // A cancelled task's Pod is deleted, and this recorder told to stop: nothing new is started until then.
        case .state(.canceling): stop.isRaised ? nil : .left
        case .state(let state): state.isTerminal ? .recorded : nil
        case .lost: .lost
        case .interrupted: .left
        }
    }

    private func finish(_ cause: CauseSummary, _ record: AttemptRecord) async -> Recorder.End {
        var record = record
        AttemptOutcome.close(&record, cause: cause, attempt: attempt.key.number)
        switch await stored(record) {
        case .lost: return .lost
        case .interrupted: return .left
        case .state(let state):
            logger.info("attempt ended", metadata: ["state": "\(state.rawValue)", "cause": "\(cause.name)"])
            do throws(FileError) { try folder.decide(state == .complete ? 0 : 1) } catch {
                logger.error("the verdict could not be written", metadata: ["reason": "\(error)"])
            }
            return .recorded
        }
    }

    private enum Stored {
        case state(TESState)
        case lost
        /// It was told to stop, and the store is away.
        case interrupted
    }

    private func stored(_ record: AttemptRecord) async -> Stored {
        var record = record
        var pause = Pause(configuration.pause)
        while true {
            do throws(TaskStoreError) {
                return .state(try await store.record(record, for: attempt.key))
            } catch {
                switch error {
                case .notThisAttempt, .keyOfAnotherTask, .searchTooLong: return .lost
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
            if stop.isRaised { return .interrupted }
            await stop.wait(for: pause.next())
        }
    }

    private static let unrecordable = Cause.internalError(
        reason: "what happened in this attempt could not be recorded; its recorder's log says why")
}
