import Foundation
import Orchestrator
import Synchronization
import TaskCore

/// Containers without isolation: each is the real shim as a process of this machine, its plan's paths turned from the container's
/// into the workspace's. So the shim, its results and captures are real; image, limits and mounts are not.
///
/// What needs a file system of its own (files carried out of an image's folders) cannot run here.
final class InMemoryEngine: ContainerEngine {
    private struct Container {
        var spec: ContainerSpec
        var state = ContainerState.created
        var pid: Int32?
        var waiters: [UUID: CheckedContinuation<ContainerState?, Never>] = [:]
    }

    private let images: Set<String>
    private let containers = Mutex<[String: Container]>([:])

    /// - Parameter images: those that it has; it can pull none.
    init(images: Set<String>) { self.images = images }

    func image(_ name: String) async throws(EngineError) -> ImageFacts? {
        images.contains(name) ? ImageFacts(digest: "sha256:\(name)", entrypoint: ["/bin/sh"]) : nil
    }

    func pull(_ name: String) async throws(EngineError) { throw .refused("there is no registry for \(name)") }

    func helperImage(shim: String) async throws(EngineError) -> String {
        throw .refused("there are no helper containers here")
    }

    func create(_ spec: ContainerSpec) async throws(EngineError) {
        guard images.contains(spec.image) else { throw .missing("no such image: \(spec.image)") }
        containers.withLock { if $0[spec.name] == nil { $0[spec.name] = Container(spec: spec) } }
    }

    func start(_ name: String) async throws(EngineError) {
        guard let container = containers.withLock({ $0[name] }) else { throw .missing("no such container: \(name)") }
        guard container.state == .created else { return }
        let spec = container.spec
        guard spec.entrypoint.count == 2, let shim = host(spec.entrypoint[0], spec),
            let control = host(spec.entrypoint[1], spec)
        else { throw .refused("only the shim can be run here, not \(spec.entrypoint)") }
        do {
            try translatePlan(control + "/plan", spec)
            let process = Process()
            process.executableURL = URL(filePath: shim)
            process.arguments = [control]
            process.environment = ["PATH": "/usr/local/bin:/usr/bin:/bin"]
            process.currentDirectoryURL = URL(filePath: "/")
            for stream in [\Process.standardInput, \.standardOutput, \.standardError] {
                process[keyPath: stream] = FileHandle.nullDevice
            }
            process.terminationHandler = { [self] process in
                let code =
                    process.terminationReason == .uncaughtSignal
                    ? 128 + process.terminationStatus : process.terminationStatus
                end(name, .ended(code: code, isOutOfMemory: false, message: ""))
            }
            // The end may come before the next line: the lock is taken by the handler, too.
            try containers.withLock { containers in
                try process.run()
                containers[name]?.state = .running
                containers[name]?.pid = process.processIdentifier
            }
        } catch { throw .refused("\(error)") }
    }

    private func end(_ name: String, _ state: ContainerState) {
        let waiters = containers.withLock { containers in
            containers[name]?.state = state
            defer { containers[name]?.waiters = [:] }
            return containers[name]?.waiters ?? [:]
        }
        for waiter in waiters.values { waiter.resume(returning: state) }
    }

    func wait(_ name: String) async throws(EngineError) -> ContainerState {
        let key = UUID()
        let ended: ContainerState? = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now: ContainerState?? = containers.withLock { containers in
                    guard let container = containers[name] else { return .some(nil) }
                    if case .ended = container.state { return .some(container.state) }
                    if Task.isCancelled { return .some(nil) }
                    containers[name]?.waiters[key] = continuation
                    return nil
                }
                if let now { continuation.resume(returning: now) }
            }
        } onCancel: {
            containers.withLock { $0[name]?.waiters.removeValue(forKey: key) }?.resume(returning: nil)
        }
        if let ended { return ended }
        throw Task.isCancelled ? .unreachable("cancelled") : .missing("no such container: \(name)")
    }

    func state(_ name: String) async throws(EngineError) -> ContainerState? { containers.withLock { $0[name]?.state } }

    func stop(_ name: String, grace: Duration) async throws(EngineError) {
        guard let pid = runningPID(name) else { return }
        kill(pid, SIGTERM)
        let deadline = ContinuousClock.now + grace
        while runningPID(name) != nil, ContinuousClock.now < deadline { try? await Task.sleep(for: .milliseconds(10)) }
        if runningPID(name) != nil { Self.killTree(pid) }
        while runningPID(name) != nil { try? await Task.sleep(for: .milliseconds(10)) }
    }

    func remove(_ name: String) async throws(EngineError) {
        if let pid = runningPID(name) { Self.killTree(pid) }
        let waiters = containers.withLock { $0.removeValue(forKey: name)?.waiters ?? [:] }
        for waiter in waiters.values { waiter.resume(returning: nil) }
    }

    func list(_ labels: [String: String]) async throws(EngineError) -> [String] {
        containers.withLock { containers in
            containers.values.map(\.spec).filter { spec in labels.allSatisfy { spec.labels[$0.key] == $0.value } }.map(
                \.name
            ).sorted()
        }
    }

    private func runningPID(_ name: String) -> Int32? {
        containers.withLock { containers in
            guard let container = containers[name], container.state == .running else { return nil }
            return container.pid
        }
    }

    /// A process with all that descend from it: what the end of a container does.
    private static func killTree(_ pid: Int32) {
        kill(pid, SIGSTOP)
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let child = Int32(name), let status = FileManager.default.contents(atPath: "/proc/\(name)/stat")
            else { continue }
            // PID (NAME) STATE PARENT …; the name may hold anything.
            let rest = String(decoding: status, as: UTF8.self).split(separator: ")").last ?? ""
            if rest.split(separator: " ").dropFirst().first.flatMap({ Int32($0) }) == pid { killTree(child) }
        }
        kill(pid, SIGKILL)
    }

    // MARK: Paths

    /// Where a container's path lies on this machine.
    private func host(_ path: String, _ spec: ContainerSpec) -> String? {
        spec.mounts.first { ContainerPath.contains($0.target, path) }.map {
            $0.source + path.dropFirst($0.target.count)
        }
    }

    private func translatePlan(_ path: String, _ spec: ContainerSpec) throws {
        guard let bytes = FileManager.default.contents(atPath: path), var plan = ExecutorPlan(encoded: Array(bytes))
        else {
            throw EngineError.refused("there is no plan at \(path)")
        }
        guard plan.carried.isEmpty else { throw EngineError.refused("files cannot be carried here") }
        func translated(_ text: String) -> String {
            spec.mounts.filter { !$0.target.hasPrefix("/.poiesis") }.reduce(text) {
                $0.replacing($1.target, with: $1.source)
            }
        }
        plan.arguments = plan.arguments.map(translated)
        plan.environment = plan.environment.mapValues(translated)
        plan.workingDirectory = plan.workingDirectory.map(translated)
        plan.stdin = plan.stdin.map(translated)
        plan.stdout = plan.stdout.map(translated)
        plan.stderr = plan.stderr.map(translated)
        try FileManager.default.removeItem(atPath: path)
        try Data(plan.encoded).write(to: URL(filePath: path))
    }
}
