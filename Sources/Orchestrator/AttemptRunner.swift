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

    /// What a finished attempt leaves to be recorded.
    private struct Ending {
        var cause: Cause
        var record: AttemptRecord
    }

    /// Runs the attempt and records its end.
    ///
    /// - Parameter stop: finishes when the attempt is to be ended, because its task was cancelled or is no longer this one's.
    func run(stop: AsyncStream<Void>) async {
        let ending = await withTaskGroup(of: Ending?.self) { group in
            group.addTask { await phases() }
            group.addTask {
                for await _ in stop {}
                return nil
            }
            // A stop ends the phases; the end of the phases ends the wait for a stop.
            let first = await group.next() ?? nil
            group.cancelAll()
            let second = await group.next() ?? nil
            return first ?? second
        }
        if let ending {
            await finish(ending)
        } else if !Task.isCancelled {
            await finish(Ending(cause: .canceled, record: record(nil)))
        }
    }

    private func record(_ state: TESState?) -> AttemptRecord { AttemptRecord(state: state, time: store.now()) }

    // MARK: Phases. Nil where the Swift task was cancelled.

    private func phases() async -> Ending? {
        let folder: AttemptFolder
        let mounts = MountPlan(task)
        do throws(FileError) {
            folder = try AttemptFolder(attempts: attempts, key: key)
            try folder.makeMountPoints(mounts)
        } catch {
            return Ending(cause: Cause(error, while: "the attempt's folder was made"), record: record(nil))
        }
        let images: [String: ImageFacts]
        switch await pullImages() {
        case .success(let found): images = found
        case .failure(let ended): return Task.isCancelled ? nil : Ending(cause: ended.cause, record: record(nil))
        }
        if !folder.isStaged {
            if let cause = await filer.acting(for: attempt.principal).stage(task.inputs ?? [], into: folder.workspace) {
                return Task.isCancelled ? nil : Ending(cause: cause, record: record(nil))
            }
            do throws(FileError) { try folder.markStaged() } catch {
                return Ending(cause: Cause(error, while: "the inputs were staged"), record: record(nil))
            }
        }
        if Task.isCancelled { return nil }
        if attempt.state == .initializing {
            var running = record(.running)
            running.metadata = Self.digests(images)
            guard await stored(running) else { return nil }
        }
        let runner = ExecutorRunner(
            attempt: attempt, folder: folder, engine: engine, configuration: configuration, mounts: mounts,
            images: images)
        guard let (cause, usage) = await executors(runner) else { return nil }
        return await uploadOutputs(cause, usage, folder)
    }

    private static func digests(_ images: [String: ImageFacts]) -> [String: String] {
        Dictionary(uniqueKeysWithValues: images.map { ("image_digest[\($0.key)]", $0.value.digest) })
    }

    /// Makes sure that the engine has every image before anything is staged or run.
    private func pullImages() async -> Result<[String: ImageFacts], EndedAttempt> {
        var images: [String: ImageFacts] = [:]
        for (position, executor) in task.executors.enumerated() where images[executor.image] == nil {
            if folderHasResult(position) { continue }
            var pause = Duration.milliseconds(200)
            while images[executor.image] == nil {
                do throws(EngineError) {
                    if let facts = try await engine.image(executor.image) {
                        images[executor.image] = facts
                        continue
                    }
                    logger.info("pulling an image", metadata: ["image": "\(executor.image)"])
                    try await engine.pull(executor.image)
                    guard let facts = try await engine.image(executor.image) else {
                        throw .refused("the engine says that it pulled the image, but does not have it")
                    }
                    images[executor.image] = facts
                } catch {
                    if case .unreachable = error, !Task.isCancelled {
                        try? await Task.sleep(for: pause)
                        pause = min(pause * 2, .seconds(5))
                        continue
                    }
                    return .failure(
                        EndedAttempt(
                            .imageUnavailable(position: position, image: executor.image, reason: error.description)))
                }
            }
        }
        return .success(images)
    }

    /// An executor that has a result needs no image any more.
    private func folderHasResult(_ position: Int) -> Bool {
        (try? AttemptFolder(attempts: attempts, key: key))?.result(position) != nil
    }

    /// CPU seconds and peak memory of all executors.
    private struct Usage {
        var cpuTime: Int64 = 0
        var peakMemory: Int64 = 0
    }

    private func executors(_ runner: ExecutorRunner) async -> (Cause, Usage)? {
        var usage = Usage()
        for (position, executor) in task.executors.enumerated() {
            guard let outcome = await runner.run(position) else { return nil }
            let result: ExecutorResult
            switch outcome {
            case .success(let value): result = value
            case .failure(let ended): return (ended.cause, usage)
            }
            if let signal = result.stopSignal, result.exitCode != 0 {
                return (
                    .hostLost(reason: "the container of executor \(position) was told to stop by signal \(signal)"),
                    usage
                )
            }
            usage.cpuTime += result.cpuTime
            usage.peakMemory = max(usage.peakMemory, result.peakMemory)
            var record = record(nil)
            record.executors = [(position, log(position, result, runner.folder))]
            record.systemLogs = result.warnings.map { "executor \(position): \($0)" }
            guard await stored(record) else { return nil }
            try? await engine.remove(ExecutorRunner.containerName(key, position))
            if let failure = result.failure { return (.shimFailed(position: position, reason: failure), usage) }
            if result.exitCode != 0, executor.ignoreError != true {
                return (
                    .executorFailed(
                        position: position, exitCode: result.exitCode, reason: reason(position, result, runner.mounts)),
                    usage
                )
            }
        }
        return (.completed, usage)
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

    private func uploadOutputs(_ cause: Cause, _ usage: Usage, _ folder: AttemptFolder) async -> Ending? {
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
            await openUp(folder)
            let report = await filer.acting(for: attempt.principal).upload(outputs, from: folder.workspace)
            if Task.isCancelled { return nil }
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
        return Ending(cause: cause, record: ending)
    }

    /// `1.250`
    private func seconds(_ microseconds: Int64) -> String {
        let digits = String(microseconds / 1000 % 1000)
        return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 3 - digits.count) + digits
    }

    /// A server that is not root cannot read what a container's user made private: a helper container opens it up.
    private func openUp(_ folder: AttemptFolder) async {
        if Machine.isRoot { return }
        let name = "poiesis-\(key.taskID)-\(key.number)-open-up"
        do throws(EngineError) {
            let image = try await engine.helperImage(shim: configuration.shimFolder + "/poiesis-exec")
            var spec = ContainerSpec(name: name, image: image, entrypoint: ["/poiesis-exec", "--open-up", "/attempt"])
            spec.mounts = [.init(source: folder.path, target: "/attempt")]
            spec.labels = [Label.instance: configuration.instance, Label.part: "helper"]
            spec.user = "0"
            try await engine.create(spec)
            try await engine.start(name)
            _ = try await engine.wait(name)
        } catch {
            logger.warning("files of a container's user may stay unreadable", metadata: ["reason": "\(error)"])
        }
        try? await engine.remove(name)
    }

    // MARK: The end

    private func finish(_ ending: Ending) async {
        var record = ending.record
        let mayRetry = ending.cause.retryHelps && key.number < configuration.maximumAttempts
        record.state = mayRetry ? .queued : ending.cause.state
        record.cause = ending.cause.name
        if let sentence = ending.cause.sentence {
            record.systemLogs.append(mayRetry ? sentence + "; the task is queued again" : sentence)
        }
        record.time = store.now()
        // Before the end is recorded nothing may run any more; a cancelled task's programs get their grace.
        await removeContainers(stopping: ending.cause == .canceled)
        guard await stored(record) else { return }
        if let folder = try? AttemptFolder(attempts: attempts, key: key) {
            do throws(FileError) { try folder.remove(from: attempts) } catch {
                await openUp(folder)
                try? folder.remove(from: attempts)
            }
        }
        logger.info(
            "attempt ended", metadata: ["state": "\(record.state?.rawValue ?? "")", "cause": "\(ending.cause.name)"])
    }

    private func removeContainers(stopping: Bool) async {
        for position in task.executors.indices {
            let name = ExecutorRunner.containerName(key, position)
            do throws(EngineError) {
                guard let state = try await engine.state(name) else { continue }
                if stopping, state == .running { try await engine.stop(name, grace: configuration.stopGrace) }
                try await engine.remove(name)
            } catch {
                logger.warning(
                    "a container could not be removed", metadata: ["container": "\(name)", "reason": "\(error)"])
            }
        }
    }

    /// Writes a record, however long the store is away; false where the attempt is no longer this one's, or the server stops.
    private func stored(_ record: AttemptRecord) async -> Bool {
        while true {
            do throws(TaskStoreError) {
                try await store.record(record, for: key)
                return true
            } catch {
                switch error {
                case .notThisAttempt:
                    logger.warning("another attempt holds the task: this one is given up")
                    await removeContainers(stopping: false)
                    return false
                case .keyOfAnotherTask: return false
                case .unavailable(let reason), .corrupt(let reason):
                    logger.error("a record could not be written; trying again", metadata: ["reason": "\(reason)"])
                }
            }
            if Task.isCancelled { return false }
            try? await Task.sleep(for: .seconds(2))
        }
    }
}
