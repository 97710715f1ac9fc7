package import LocalSystem
import TES
package import TaskCore

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
    func run(_ position: Int) async -> Result<ExecutorResult, Cause>? {
        let name = Self.containerName(attempt.key, position)
        var pause = Duration.milliseconds(200)
        while !Task.isCancelled {
            do throws(EngineError) {
                return try await step(position, name)
            } catch {
                if Task.isCancelled { return nil }
                switch error {
                case .unreachable, .busy:
                    // The engine may come back: containers outlive its restart, or are found ended.
                    try? await Task.sleep(for: pause)
                    pause = min(pause * 2, .seconds(5))
                case .missing, .refused:
                    if error.isDiskFull {
                        return .failure(
                            .diskFull(what: "the container engine's, while executor \(position) was run"))
                    }
                    let reason = error.description
                    guard let wasStarted = try? folder.control.wasStarted(position) else {
                        try? await Task.sleep(for: pause)
                        continue
                    }
                    if wasStarted { return .failure(.hostLost(reason: reason)) }
                    return .failure(.engineFailed(position: position, reason: reason))
                }
            }
        }
        return nil
    }

    private func step(_ position: Int, _ name: String) async throws(EngineError) -> Result<
        ExecutorResult, Cause
    >? {
        let state: ContainerState
        switch try await engine.state(name) {
        case nil:
            if let result = try looked({ () throws(FileError) in try folder.control.result(position) }) {
                return .success(result)
            }
            if try looked({ () throws(FileError) in try folder.control.wasStarted(position) }) {
                return .failure(.hostLost(reason: "the container of executor \(position) is gone"))
            }
            do throws(FileError) {
                try folder.control.prepare(position, plan(position))
                try folder.control.give(.run, to: position)
            } catch {
                return .failure(Cause(error, while: "executor \(position) was prepared"))
            }
            if let ended = try replacedMount(position) { return .failure(ended) }
            try await engine.create(spec(position, name))
            try await engine.start(name)
            state = try await engine.wait(name)
        case .created:
            if let ended = try replacedMount(position) { return .failure(ended) }
            try await engine.start(name)
            state = try await engine.wait(name)
        case .running: state = try await engine.wait(name)
        case .some(let ended): state = ended
        }
        if Task.isCancelled { return nil }
        return try judge(position, state)
    }

    /// A disk that cannot be read now, or a process without a free descriptor, says nothing of what is there.
    private func looked<Value>(_ body: () throws(FileError) -> Value) throws(EngineError) -> Value {
        do throws(FileError) { return try body() } catch { throw .unreachable(error.description) }
    }

    private func replacedMount(_ position: Int) throws(EngineError) -> Cause? {
        guard let path = try looked({ () throws(FileError) in try folder.workspace.replacedMount(mounts) }) else {
            return nil
        }
        return .shimFailed(
            position: position, reason: "an earlier executor replaced the mounted directory or file \(path)")
    }

    /// What an ended container means.
    private func judge(
        _ position: Int, _ state: ContainerState
    ) throws(EngineError) -> Result<ExecutorResult, Cause> {
        guard case .ended(let code, let isOutOfMemory, let message) = state else {
            throw .unreachable("the container of executor \(position) is in no known state")
        }
        let result = try looked { () throws(FileError) in try folder.control.result(position) }
        // The shim leaves none where it could not do its work: what lies there is the program's.
        if let result, code != Self.shimsOwnTrouble || result.exitCode == code { return .success(result) }
        if isOutOfMemory { return .success(try killedForMemory(position)) }
        let said = message.isEmpty ? "" : ": \(message)"
        if folder.freeSpace < configuration.leastFreeSpace, code == Self.shimsOwnTrouble {
            return .failure(.diskFull(what: "the data folder's, while executor \(position) ran"))
        }
        let wasStarted = try looked { () throws(FileError) in try folder.control.wasStarted(position) }
        // Told to stop before its turn, the shim ends with 128 and the signal, and leaves no marker.
        if (wasStarted && code != Self.shimsOwnTrouble) || (129...159).contains(code) {
            return .failure(
                .hostLost(
                    reason:
                        "the container of executor \(position) was stopped from outside (exit code \(code))\(said)"))
        }
        let moment = wasStarted ? "without a result" : "before the program was started"
        return .failure(
            .shimFailed(
                position: position, reason: "its container ended with exit code \(code) \(moment)\(said)"))
    }

    /// The shim's exit code where it could not do its work; a program that ends with it has a result.
    private static let shimsOwnTrouble: Int32 = 125

    /// The shim itself was killed: all that is known is what the engine saw. It is kept, so that whoever takes the attempt up later
    /// comes to the same end.
    private func killedForMemory(_ position: Int) throws(EngineError) -> ExecutorResult {
        let now = Machine.clock()
        var result = ExecutorResult(exitCode: 137, startTime: now, endTime: now)
        result.isOutOfMemory = true
        result.reason = "the executor needed more memory than its limit: ask for more with ram_gb"
        do throws(FileError) { try folder.control.store(result, position) } catch {
            if !error.isDiskFull { throw .unreachable(error.description) }
        }
        return result
    }

    // MARK: Plan and container

    private func plan(_ position: Int) -> ExecutorPlan {
        let executor = attempt.task.executors[position]
        var plan = ExecutorPlan(executor, mounts: mounts, captureLimit: configuration.captureLimit)
        plan.arguments = arguments(executor)
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

extension Cause {
    /// A file operation of the server's own that failed.
    package init(_ error: FileError, while doing: String) {
        self =
            error.isDiskFull
            ? .diskFull(what: "while \(doing)") : .internalError(reason: "\(error.description), while \(doing)")
    }
}
