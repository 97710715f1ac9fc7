import LocalSystem
import TES
import TaskCore

/// TExAM: runs and watches the executors of one attempt, in order.
///
/// Every step looks first at what is already there, so that the same calls run a fresh attempt and take up one that a process
/// before this one left: an executor with a result is never run again.
struct ExecutorRunner: Sendable {
    let attempt: Attempt
    let folder: AttemptFolder
    let engine: any ContainerEngine
    let configuration: OrchestratorConfiguration
    let mounts: MountPlan
    /// By name.
    let images: [String: ImageFacts]

    static func containerName(_ key: AttemptKey, _ position: Int) -> String {
        "poiesis-\(key.taskID)-\(key.number)-exec-\(position)"
    }

    /// Runs one executor to its end.
    ///
    /// - Returns: its result, or why there is none. Nil where the Swift task was cancelled: the container goes on.
    func run(_ position: Int) async -> Result<ExecutorResult, EndedAttempt>? {
        if let result = folder.result(position) { return .success(result) }
        let name = Self.containerName(attempt.key, position)
        var pause = Duration.milliseconds(200)
        while !Task.isCancelled {
            do throws(EngineError) {
                return try await step(position, name)
            } catch {
                if Task.isCancelled { return nil }
                switch error {
                case .unreachable:
                    // The engine may come back: containers outlive its restart, or are found ended.
                    try? await Task.sleep(for: pause)
                    pause = min(pause * 2, .seconds(5))
                case .missing(let reason), .refused(let reason):
                    if folder.wasStarted(position) { return .failure(EndedAttempt(.hostLost(reason: reason))) }
                    return .failure(EndedAttempt(.engineFailed(position: position, reason: reason)))
                }
            }
        }
        return nil
    }

    private func step(_ position: Int, _ name: String) async throws(EngineError) -> Result<
        ExecutorResult, EndedAttempt
    >? {
        switch try await engine.state(name) {
        case nil:
            if folder.wasStarted(position) {
                return .failure(EndedAttempt(.hostLost(reason: "the container of executor \(position) is gone")))
            }
            do throws(FileError) { try folder.prepare(position, plan(position)) } catch {
                return .failure(EndedAttempt(Cause(error, while: "executor \(position) was prepared")))
            }
            try await engine.create(spec(position, name))
            try await engine.start(name)
        case .created: try await engine.start(name)
        case .running, .ended: break
        }
        let state = try await engine.wait(name)
        if Task.isCancelled { return nil }
        return judge(position, state)
    }

    /// What an ended container means.
    private func judge(_ position: Int, _ state: ContainerState) -> Result<ExecutorResult, EndedAttempt> {
        guard case .ended(let code, let isOutOfMemory, let message) = state else {
            return .failure(
                EndedAttempt(.hostLost(reason: "the container of executor \(position) is in no known state")))
        }
        if let result = folder.result(position) { return .success(result) }
        if isOutOfMemory {
            // The shim itself was killed: all that is known is what the engine saw.
            let now = Machine.clock()
            var result = ExecutorResult(exitCode: 137, startTime: now, endTime: now)
            result.isOutOfMemory = true
            result.reason = "the executor needed more memory than its limit: ask for more with ram_gb"
            return .success(result)
        }
        let said = message.isEmpty ? "" : ": \(message)"
        if folder.wasStarted(position) {
            return .failure(
                EndedAttempt(
                    .hostLost(
                        reason:
                            "the container of executor \(position) was stopped from outside (exit code \(code))\(said)")
                ))
        }
        return .failure(
            EndedAttempt(
                .shimFailed(
                    position: position,
                    reason: "its container ended with exit code \(code) before the program was started\(said)")))
    }

    // MARK: Plan and container

    private func plan(_ position: Int) -> ExecutorPlan {
        let executor = attempt.task.executors[position]
        var plan = ExecutorPlan(arguments: arguments(executor))
        plan.environment = executor.env ?? [:]
        plan.workingDirectory = executor.workdir
        plan.stdin = executor.stdin
        plan.stdout = executor.stdout
        plan.stderr = executor.stderr
        plan.carried = mounts.carried
        plan.captureLimit = configuration.captureLimit
        return plan
    }

    /// A command whose first word starts with `-` can be no program: the image's ENTRYPOINT is put before it.
    private func arguments(_ executor: TESExecutor) -> [String] {
        guard executor.command.first?.hasPrefix("-") == true, let image = images[executor.image] else {
            return executor.command
        }
        return image.entrypoint + executor.command
    }

    private func spec(_ position: Int, _ name: String) -> ContainerSpec {
        let executor = attempt.task.executors[position]
        var spec = ContainerSpec(
            name: name, image: executor.image, entrypoint: ["/.poiesis/bin/poiesis-exec", "/.poiesis/exec-\(position)"])
        spec.mounts = mounts.mounts.map { ContainerSpec.Mount(source: folder.workspacePath + $0.path, target: $0.path) }
        spec.mounts += mounts.carryDirectories.map {
            ContainerSpec.Mount(
                source: folder.workspacePath + ($0 == "/" ? "" : $0), target: "/.poiesis/carry" + ($0 == "/" ? "" : $0))
        }
        spec.mounts.append(.init(source: configuration.shimFolder, target: "/.poiesis/bin", isReadOnly: true))
        spec.mounts.append(.init(source: folder.executorFolder(position), target: "/.poiesis/exec-\(position)"))
        spec.labels = [
            Label.instance: configuration.instance, Label.task: attempt.key.taskID.description,
            Label.attempt: "\(attempt.key.number)", Label.part: "exec-\(position)",
        ]
        if let ram = attempt.task.resources?.ramGb, ram > 0 {
            spec.memoryLimit = max(configuration.memoryFloor, attempt.task.demand.memory)
        }
        if let cores = attempt.task.resources?.cpuCores, cores > 0 { spec.cpuLimit = Int(cores) }
        return spec
    }
}

/// Why an attempt ended before its executors did.
struct EndedAttempt: Error {
    var cause: Cause
    init(_ cause: Cause) { self.cause = cause }
}

extension Cause {
    /// A file operation of the server's own that failed.
    init(_ error: FileError, while doing: String) {
        self =
            error.isDiskFull
            ? .diskFull(what: "while \(doing)") : .internalError(reason: "\(error.description), while \(doing)")
    }
}
