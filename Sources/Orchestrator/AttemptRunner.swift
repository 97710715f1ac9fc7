import Filer
import LocalSystem
import Logging
import TES
import TaskCore

/// TOrc: one attempt from its inputs to its recorded end.
///
/// It can be called again at any point, by this process or the next: every phase leaves on disk, in the engine or in the store
/// what shows that it is done.
struct AttemptRunner: Sendable {
    let attempt: Attempt
    let store: any TaskStore
    let engine: any ContainerEngine
    let filer: Filer
    let configuration: OrchestratorConfiguration
    let attempts: Folder
    let logger: Logger

    private var key: AttemptKey { attempt.key }
    private var task: TESTask { attempt.task }

    private var removal: AttemptRemoval {
        AttemptRemoval(engine: engine, configuration: configuration, attempts: attempts, logger: logger)
    }

    /// What a finished attempt leaves to be recorded.
    private struct Ending {
        var cause: Cause
        var record: AttemptRecord
        /// Whether a process after this one would upload from the workspace again, should this one not get to record the end.
        var needsWorkspace = false
    }

    /// How the phases ended.
    private enum PhasesEnd {
        case ended(Ending)
        /// Another attempt holds the task.
        case lost
        /// The Swift task was cancelled.
        case interrupted
    }

    /// Runs the attempt and records its end.
    ///
    /// - Parameter stop: finishes when the attempt is to be ended, because its task was cancelled or is no longer this one's.
    func run(stop: AsyncStream<Void>) async {
        // Cancelled before this process took it up: nothing is started any more.
        if attempt.state == .canceling { return await finish(ending(.canceled)) }
        let end = await withTaskGroup(of: PhasesEnd?.self) { group in
            group.addTask { await phases() }
            group.addTask {
                for await _ in stop {}
                return nil
            }
            // A stop ends the phases; the end of the phases ends the wait for a stop.
            let first = await group.next() ?? nil
            group.cancelAll()
            let second = await group.next() ?? nil
            return first ?? second ?? .interrupted
        }
        switch end {
        case .ended(let ending): await finish(ending)
        case .lost: await giveUp()
        case .interrupted:
            // The server stops: the next process takes the attempt up. Otherwise it was stopped itself.
            if !Task.isCancelled { await finish(ending(.canceled)) }
        }
    }

    private func record(_ state: TESState?) -> AttemptRecord { AttemptRecord(state: state, time: store.now()) }

    private func ending(_ cause: Cause) -> Ending { Ending(cause: cause, record: record(nil)) }

    // MARK: Phases

    private func phases() async -> PhasesEnd {
        let folder: AttemptFolder
        let mounts = MountPlan(task)
        do throws(FileError) {
            folder = try AttemptFolder(attempts: attempts, key: key)
        } catch {
            return .ended(ending(Cause(error, while: "the attempt's folder was made")))
        }
        guard let isStaged = await looked({ () throws(FileError) in try folder.isStaged() }) else {
            return .interrupted
        }
        if !isStaged {
            do throws(FileError) { try folder.makeMountPoints(mounts) } catch {
                return .ended(ending(Cause(error, while: "the attempt's folder was made")))
            }
        }
        let images: [String: ImageFacts]
        switch await pullImages(folder) {
        case .success(let found): images = found
        case .failure(let cause): return Task.isCancelled ? .interrupted : .ended(ending(cause))
        }
        if !isStaged {
            if let cause = await filer.acting(for: attempt.principal).stage(task.inputs ?? [], into: folder.workspace) {
                return Task.isCancelled ? .interrupted : .ended(ending(cause))
            }
            if Task.isCancelled { return .interrupted }
            do throws(FileError) { try folder.markStaged() } catch {
                return .ended(ending(Cause(error, while: "the inputs were staged")))
            }
        }
        if Task.isCancelled { return .interrupted }
        if attempt.state == .initializing {
            var running = record(.running)
            running.metadata = Self.digests(images)
            if let end = await note(running) { return end }
        }
        let runner = ExecutorRunner(
            attempt: attempt, folder: folder, engine: engine, configuration: configuration, mounts: mounts,
            images: images)
        switch await executors(runner) {
        case .ran(let cause, let usage): return await uploadOutputs(cause, usage, folder)
        case .broke(let end): return end
        }
    }

    /// What cannot be read says nothing of what is there: looks again until it can. Nil where the Swift task was cancelled.
    private func looked<Value>(_ body: () throws(FileError) -> Value) async -> Value? {
        while !Task.isCancelled {
            do throws(FileError) { return try body() } catch {
                logger.error("the attempt's folder cannot be read; trying again", metadata: ["reason": "\(error)"])
                try? await Task.sleep(for: .seconds(2))
            }
        }
        return nil
    }

    /// Writes what happened on the way; nil where the attempt goes on.
    private func note(_ record: AttemptRecord) async -> PhasesEnd? {
        switch await stored(record) {
        case .state(.initializing), .state(.running): return nil
        // The task was cancelled meanwhile: nothing more is started.
        case .state: return .ended(ending(.canceled))
        case .lost: return .lost
        case .refused: return .ended(ending(Self.unrecordable))
        case .interrupted: return .interrupted
        }
    }

    private static let unrecordable = Cause.internalError(
        reason: "what happened in this attempt could not be recorded; the server's log says why")

    private static func digests(_ images: [String: ImageFacts]) -> [String: String] {
        Dictionary(uniqueKeysWithValues: images.map { ("image_digest[\($0.key)]", $0.value.digest) })
    }

    /// Makes sure that the engine has every image before anything is staged or run.
    private func pullImages(_ folder: AttemptFolder) async -> Result<[String: ImageFacts], Cause> {
        var images: [String: ImageFacts] = [:]
        for (position, executor) in task.executors.enumerated() where images[executor.image] == nil {
            // An executor that has a result needs no image any more.
            if ((try? folder.result(position)) ?? nil) != nil { continue }
            var pause = Duration.milliseconds(200)
            var retries = configuration.pullPauses[...]
            while images[executor.image] == nil {
                do throws(EngineError) {
                    images[executor.image] = try await image(executor.image)
                } catch {
                    if case .unreachable = error, !Task.isCancelled {
                        try? await Task.sleep(for: pause)
                        pause = min(pause * 2, .seconds(5))
                        continue
                    }
                    if case .busy = error, !Task.isCancelled, let retry = retries.popFirst() {
                        try? await Task.sleep(for: retry)
                        continue
                    }
                    if error.isDiskFull {
                        let what = "the container engine's, while the image \"\(executor.image)\" was pulled"
                        return .failure(.diskFull(what: what))
                    }
                    return .failure(
                        .imageUnavailable(position: position, image: executor.image, reason: error.description))
                }
            }
        }
        return .success(images)
    }

    private func image(_ name: String) async throws(EngineError) -> ImageFacts {
        if let facts = try await engine.image(name) { return facts }
        logger.info("pulling an image", metadata: ["image": "\(name)"])
        try await engine.pull(name)
        guard let facts = try await engine.image(name) else {
            throw .refused("the engine says that it pulled the image, but does not have it")
        }
        return facts
    }

    /// CPU seconds and peak memory of all executors.
    private struct Usage {
        var cpuTime: Int64 = 0
        var peakMemory: Int64 = 0
    }

    private enum ExecutorsEnd {
        case ran(Cause, Usage)
        case broke(PhasesEnd)
    }

    private func executors(_ runner: ExecutorRunner) async -> ExecutorsEnd {
        var usage = Usage()
        for (position, executor) in task.executors.enumerated() {
            guard let outcome = await runner.run(position) else { return .broke(.interrupted) }
            let result: ExecutorResult
            switch outcome {
            case .success(let value): result = value
            case .failure(let cause): return .ran(cause, usage)
            }
            if let signal = result.stopSignal, result.exitCode != 0 {
                let reason = "the container of executor \(position) was told to stop by signal \(signal)"
                return .ran(.hostLost(reason: reason), usage)
            }
            usage.cpuTime += result.cpuTime
            usage.peakMemory = max(usage.peakMemory, result.peakMemory)
            let hasFailed = result.exitCode != 0 && executor.ignoreError != true
            var record = record(nil)
            record.executors = [(position, log(position, result, runner.folder))]
            record.systemLogs = result.warnings.map { "executor \(position): \($0)" }
            // A program's own failure decides; what else went wrong is told.
            if hasFailed, let failure = result.failure { record.systemLogs.append("executor \(position): \(failure)") }
            if let end = await note(record) { return .broke(end) }
            try? await engine.remove(ExecutorRunner.containerName(key, position))
            if hasFailed {
                let reason = reason(position, result, runner.mounts)
                return .ran(.executorFailed(position: position, exitCode: result.exitCode, reason: reason), usage)
            }
            if let failure = result.failure { return .ran(.shimFailed(position: position, reason: failure), usage) }
        }
        return .ran(.completed, usage)
    }

    /// A program that is missing because the task's own directory lies over the image's is told so.
    private func reason(_ position: Int, _ result: ExecutorResult, _ mounts: MountPlan) -> String? {
        guard result.exitCode == 127, let program = task.executors[position].command.first, program.hasPrefix("/"),
            let path = ContainerPath.normalized(program), let hiding = mounts.mount(hiding: path),
            let reason = result.reason
        else { return result.reason }
        return reason + "; the task's own directory at \(hiding) hides what the image has there"
    }

    private func log(_ position: Int, _ result: ExecutorResult, _ folder: AttemptFolder) -> TESExecutorLog {
        // A hostile task can write any result: its times stay within the attempt's.
        let now = store.now().microseconds
        let end = min(max(result.endTime, 0), now)
        let start = min(max(result.startTime, 0), end)
        return TESExecutorLog(
            startTime: Timestamp(microseconds: start), endTime: Timestamp(microseconds: end),
            stdout: folder.captured(position, "stdout", limit: configuration.captureLimit),
            stderr: folder.captured(position, "stderr", limit: configuration.captureLimit), exitCode: result.exitCode)
    }

    private func uploadOutputs(_ cause: Cause, _ usage: Usage, _ folder: AttemptFolder) async -> PhasesEnd {
        var cause = cause
        var ending = record(nil)
        ending.metadata = [
            "cpu_seconds": seconds(usage.cpuTime), "peak_memory_bytes": "\(usage.peakMemory)",
        ]
        let mayUpload =
            switch cause {
            case .completed, .executorFailed: true
            default: false
            }
        if mayUpload, let outputs = task.outputs, !outputs.isEmpty {
            await removal.openUp(AttemptFolder.name(key))
            let report = await filer.acting(for: attempt.principal).upload(outputs, from: folder.workspace)
            if Task.isCancelled { return .interrupted }
            ending.outputs = report.records
            ending.systemLogs = report.lines
            for missing in report.missing {
                if case .outputMissing(let position, let path) = missing {
                    ending.systemLogs.append("output \(position) (\(path)) does not exist and was not uploaded")
                }
            }
            if cause == .completed {
                cause = report.failure ?? (configuration.missingOutputsFail ? report.missing.first : nil) ?? cause
            } else if let line = report.failure?.sentence {
                // After an executor failed, the task ends EXECUTOR_ERROR whatever goes wrong later.
                ending.systemLogs.append(line)
            }
        }
        return .ended(Ending(cause: cause, record: ending, needsWorkspace: mayUpload))
    }

    /// `1.250`
    private func seconds(_ microseconds: Int64) -> String {
        let digits = String(microseconds / 1000 % 1000)
        return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 3 - digits.count) + digits
    }

    // MARK: The end

    private func finish(_ ending: Ending) async {
        var record = ending.record
        let mayRetry = ending.cause.retryHelps && key.number < LifeCycle.mostAttempts
        record.state = mayRetry ? .queued : ending.cause.state
        record.cause = ending.cause.name
        if let sentence = ending.cause.sentence {
            record.systemLogs.append(mayRetry ? sentence + "; the task is queued again" : sentence)
        }
        // Before the end is recorded nothing may run any more; a cancelled task's programs get their grace.
        guard await removeContainers(stopping: ending.cause == .canceled) else { return }
        // On a full disk the end could not be recorded either.
        if !ending.needsWorkspace { await removal.remove(AttemptFolder.name(key) + "/workspace") }
        record.time = store.now()
        switch await stored(record) {
        case .state(let reached):
            logger.info("attempt ended", metadata: ["state": "\(reached.rawValue)", "cause": "\(ending.cause.name)"])
        case .lost: return await giveUp()
        case .refused: guard await storedLeast() else { return }
        case .interrupted: return
        }
        await removal.remove(AttemptFolder.name(key))
    }

    /// Another attempt holds the task: what this one has is removed.
    private func giveUp() async {
        logger.warning("another attempt holds the task: this one is given up")
        guard await removeContainers(stopping: false) else { return }
        await removal.remove(AttemptFolder.name(key))
    }

    /// Removes the attempt's containers, however long the engine is away; false where the Swift task was cancelled before.
    private func removeContainers(stopping: Bool) async -> Bool {
        for position in task.executors.indices {
            let name = ExecutorRunner.containerName(key, position)
            var pause = Duration.milliseconds(200)
            var tries = 0
            while await !remove(name, stopping: stopping) {
                tries += 1
                // What the engine never lets go of, but does not run either, holds up nobody.
                if tries >= 10, let state = try? await engine.state(name), state != .running { break }
                if Task.isCancelled { return false }
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(5))
            }
        }
        return true
    }

    /// Whether the container is gone.
    private func remove(_ name: String, stopping: Bool) async -> Bool {
        do throws(EngineError) {
            guard let state = try await engine.state(name) else { return true }
            if stopping, state == .running { try await engine.stop(name, grace: configuration.stopGrace) }
            try await engine.remove(name)
            return true
        } catch {
            if case .missing = error { return true }
            logger.warning(
                "a container could not be removed; trying again",
                metadata: ["container": "\(name)", "reason": "\(error)"])
            return false
        }
    }

    /// What became of a record.
    private enum Stored {
        /// It was written; the task's state now.
        case state(TESState)
        /// The attempt is no longer this one's.
        case lost
        /// The store will never take it.
        case refused
        /// The server stops.
        case interrupted
    }

    /// Writes a record, however long the store is away.
    private func stored(_ record: AttemptRecord) async -> Stored {
        while true {
            do throws(TaskStoreError) {
                return .state(try await store.record(record, for: key))
            } catch {
                switch error {
                case .notThisAttempt: return .lost
                // Of creations and lists alone.
                case .keyOfAnotherTask, .searchTooLong: return .refused
                case .corrupt(let reason):
                    logger.error("the store refuses a record", metadata: ["reason": "\(reason)"])
                    return .refused
                case .unavailable(let reason):
                    logger.error("a record could not be written; trying again", metadata: ["reason": "\(reason)"])
                }
            }
            if Task.isCancelled { return .interrupted }
            try? await Task.sleep(for: .seconds(2))
        }
    }

    /// Writes the least that ends an attempt, where the store refused more; whether the attempt's folder may go.
    private func storedLeast() async -> Bool {
        while true {
            var least = record(.systemError)
            least.cause = Self.unrecordable.name
            least.systemLogs = [Self.unrecordable.sentence].compactMap { $0 }
            switch await stored(least) {
            case .state, .lost: return true
            case .interrupted: return false
            case .refused: try? await Task.sleep(for: .seconds(60))
            }
            if Task.isCancelled { return false }
        }
    }
}
