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
        var cause: CauseSummary
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

    private func ending(_ cause: Cause) -> Ending { Ending(cause: CauseSummary(cause), record: record(nil)) }

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
            do throws(FileError) { try folder.workspace.makeMountPoints(mounts) } catch {
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
        var outcome = AttemptOutcome(
            task, mounts: mounts, missingOutputsFail: configuration.missingOutputsFail)
        switch await executors(runner, &outcome) {
        case .ran(let cause): return await uploadOutputs(cause, outcome, folder)
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
            if ((try? folder.control.result(position)) ?? nil) != nil { continue }
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

    private enum ExecutorsEnd {
        case ran(Cause)
        case broke(PhasesEnd)
    }

    private func executors(_ runner: ExecutorRunner, _ outcome: inout AttemptOutcome) async -> ExecutorsEnd {
        for position in task.executors.indices {
            let result: ExecutorResult
            switch await runner.run(position) {
            case nil: return .broke(.interrupted)
            case .failure(let cause): return .ran(cause)
            case .success(let value): result = value
            }
            let streams = runner.folder.control.streams(position, limit: configuration.captureLimit)
            let end: Cause?
            switch outcome.step(position, result, streams: streams, at: store.now()) {
            case .stopped(_, let signal):
                return .ran(
                    .hostLost(reason: "the container of executor \(position) was told to stop by signal \(signal)"))
            case .ends(let record, let cause):
                if let end = await note(record) { return .broke(end) }
                end = cause
            case .goesOn(let record):
                if let end = await note(record) { return .broke(end) }
                end = nil
            }
            try? await engine.remove(ExecutorRunner.containerName(key, position))
            if let end { return .ran(end) }
        }
        return .ran(.completed)
    }

    private func uploadOutputs(
        _ cause: Cause, _ outcome: AttemptOutcome, _ folder: AttemptFolder
    ) async -> PhasesEnd {
        let mayUpload = AttemptOutcome.uploads(after: cause)
        var uploads: FilerResult?
        if mayUpload, let outputs = task.outputs, !outputs.isEmpty {
            await removal.openUp(AttemptFolder.name(key))
            uploads = FilerResult(await filer.acting(for: attempt.principal).upload(outputs, from: folder.workspace))
            if Task.isCancelled { return .interrupted }
        }
        let ending = outcome.ending(cause, uploads: uploads, at: store.now())
        return .ended(Ending(cause: ending.cause, record: ending.record, needsWorkspace: mayUpload))
    }

    // MARK: The end

    private func finish(_ ending: Ending) async {
        var record = ending.record
        AttemptOutcome.close(&record, cause: ending.cause, attempt: key.number)
        // Before the end is recorded nothing may run any more; a cancelled task's programs get their grace.
        guard await removeContainers(stopping: ending.cause.state == .canceled) else { return }
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
                case .unavailable(let reason), .refused(let reason):
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
