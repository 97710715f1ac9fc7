import Foundation
import Synchronization

/// Runs a Pod's containers on an engine of this machine: folders for its volumes, the host's network for all of them, so that they
/// reach a fake API server and a database on 127.0.0.1. The clock must run as the machine's does, `.scaled(1)`.
///
/// Not played: probes, ports, `hostAliases`, DNS, and cpu limits.
package final class DockerRuntime: ContainerRuntime {
    private let docker: DockerCommand
    private let folder: String
    private let files: [String: String]
    private let present = Mutex<Set<String>>([])
    /// What was sent to containers that the engine has not started yet: a kubelet tells a container nothing before it runs.
    private let unsent = Mutex<[String: [ContainerSignal]]>([:])
    /// Of each container, with its Pod's UID.
    package static let podLabel = "poiesis-kubernetes-fake"
    /// Of each container, with its name in the Pod.
    package static let nameLabel = "poiesis-kubernetes-fake-container"

    /// Whether the `docker` command is there.
    package static var isInstalled: Bool { DockerCommand.path != nil }

    /// - Parameters:
    ///   - host: the engine, `unix://SOCKET`.
    ///   - folder: where volumes are kept; the engine must see it under the same path. It is made if it is missing.
    ///   - files: files of this machine, by their paths in containers named `trec`: how to reach an API server that has no certificate,
    ///     which a real one tells by variables.
    package init(host: String, folder: String, files: [String: String] = [:]) throws {
        docker = DockerCommand(host: host)
        self.folder = folder
        self.files = files
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    /// The folder of a Pod's volume: an emptyDir, or what a claim is bound to.
    package func volumeFolder(_ volume: JSON, pod uid: String, namespace: String) -> String? {
        if let claim = volume["persistentVolumeClaim"]["claimName"].text {
            return "\(folder)/claims/\(namespace)/\(claim)"
        }
        if let path = volume["hostPath"]["path"].text { return path }
        guard let name = volume["name"].text else { return nil }
        return volume["emptyDir"] == nil ? nil : "\(folder)/pods/\(uid)/volumes/\(name)"
    }

    package func image(_ name: String) -> ImageState {
        if present.withLock({ $0.contains(name) }) { return .present }
        if docker.runBlocking(["image", "inspect", "--format", "{{.Id}}", name]).status == 0 {
            present.withLock { _ = $0.insert(name) }
            return .present
        }
        return .missing(
            "rpc error: code = NotFound desc = failed to pull and unpack image \"\(name)\": failed to resolve image: "
                + "\(name): not found")
    }

    package func start(
        _ container: ContainerStart, on timeline: Timeline, ended: @escaping @Sendable (ContainerEnd) -> Void
    ) {
        unsent.withLock { $0[container.id] = [] }
        Task {
            do {
                defer { unsent.withLock { _ = $0.removeValue(forKey: container.id) } }
                ended(try await run(container))
            } catch {
                ended(.startError("\(error)"))
            }
        }
    }

    private struct Failure: Error, CustomStringConvertible { var description: String }

    private func run(_ container: ContainerStart) async throws -> ContainerEnd {
        let message = "\(folder)/pods/\(container.podUID)/messages/\(container.name)-\(container.restarts)"
        try makeFile(message, [], mode: 0o666)
        let made = await docker.run(try arguments(container, message))
        guard made.status == 0 else { throw Failure(description: made.error) }
        let begun = await docker.run(["start", container.id])
        guard begun.status == 0 else { throw Failure(description: Self.plain(begun.error)) }
        let waited = unsent.withLock { $0.removeValue(forKey: container.id) } ?? []
        for signal in waited { self.signal(container.id, signal) }
        _ = await docker.run(["wait", container.id])
        let format = "{{.State.ExitCode}} {{.State.OOMKilled}}"
        let state = await docker.run(["inspect", "--format", format, container.id])
        let words = state.text.split(separator: " ")
        guard words.count == 2, let code = Int(words[0]) else {
            return ContainerEnd(137, reason: "ContainerStatusUnknown")
        }
        var end = ContainerEnd(code, reason: words[1] == "true" ? "OOMKilled" : nil)
        end.message = Array(FileManager.default.contents(atPath: message) ?? Data())
        if end.message.isEmpty, code != 0, container.spec["terminationMessagePolicy"] == "FallbackToLogsOnError" {
            let log = await docker.run(["logs", "--tail", "80", container.id])
            end.message = Array((log.output + Array(log.error.utf8)).suffix(2048))
        }
        return end
    }

    /// An engine's message without its frame, as containerd words it.
    private static func plain(_ text: String) -> String {
        let line = text.split(separator: "\n").first.map(String.init) ?? text
        return String(line.trimmingPrefix("Error response from daemon: "))
    }

    private func arguments(_ container: ContainerStart, _ message: String) throws -> [String] {
        let spec = container.spec
        let pod = container.pod["spec"]
        var result = [
            "create", "--name", container.id, "--label", "\(Self.podLabel)=\(container.podUID)",
            "--label", "\(Self.nameLabel)=\(container.name)", "--network", "host", "--log-driver", "json-file",
        ]
        for (name, value) in container.environment { result += ["--env", "\(name)=\(value)"] }
        let security = spec["securityContext"]
        func setting(_ name: String) -> Int? { security[name].int ?? pod["securityContext"][name].int }
        if let user = setting("runAsUser") {
            result += ["--user", "\(user)" + (setting("runAsGroup").map { ":\($0)" } ?? "")]
        }
        if let group = pod["securityContext"]["fsGroup"].int { result += ["--group-add", "\(group)"] }
        for name in security["capabilities"]["drop"].items { result += ["--cap-drop", name.text ?? ""] }
        for name in security["capabilities"]["add"].items { result += ["--cap-add", name.text ?? ""] }
        if security["readOnlyRootFilesystem"] == true { result.append("--read-only") }
        if security["allowPrivilegeEscalation"] == false { result += ["--security-opt", "no-new-privileges"] }
        if let limit = Quantity.value(spec["resources"]["limits"]["memory"]) {
            result += ["--memory", "\(Int(limit))", "--memory-swap", "\(Int(limit))"]
        }
        if let path = spec["workingDir"].text { result += ["--workdir", path] }
        let log = spec["terminationMessagePath"].text ?? "/dev/termination-log"
        result += ["--mount", "type=bind,source=\(message),target=\(log)"]
        for mount in spec["volumeMounts"].items {
            var source = try source(of: mount["name"].text ?? "", container)
            if let path = mount["subPath"].text {
                source += "/" + path
                if !FileManager.default.fileExists(atPath: source) { try makeFolder(source, mode: 0o750) }
                // As a kubelet does, though it says so otherwise: no link leads out of a volume.
                guard URL(filePath: source).resolvingSymlinksInPath() == URL(filePath: source) else {
                    throw Failure(description: "failed to prepare subPath: \(path) is not within its volume")
                }
            }
            let ending = mount["readOnly"] == true ? ",readonly" : ""
            result += ["--mount", "type=bind,source=\(source),target=\(mount["mountPath"].text ?? "")\(ending)"]
        }
        if container.name == "trec" {
            for (path, file) in files { result += ["--mount", "type=bind,source=\(file),target=\(path),readonly"] }
        }
        // `command` stands for the image's ENTRYPOINT and CMD, `args` alone for its CMD.
        let words = (container.command.map { Array($0.dropFirst()) } ?? []) + (container.arguments ?? [])
        if let first = container.command?.first { result += ["--entrypoint", first] }
        return result + [spec["image"].text ?? ""] + words
    }

    /// The folder of a volume, made at its first use.
    private func source(of name: String, _ container: ContainerStart) throws -> String {
        let pod = container.pod["spec"]
        guard let volume = pod["volumes"].items.first(where: { $0["name"].text == name }) else {
            throw Failure(description: "no volume \(name)")
        }
        if let path = volumeFolder(volume, pod: container.podUID, namespace: container.namespace) {
            if volume["hostPath"] == nil && !FileManager.default.fileExists(atPath: path) {
                let group = volume["emptyDir"] == nil ? nil : pod["securityContext"]["fsGroup"].int
                try makeFolder(path, mode: group == nil ? 0o777 : 0o2777, group: group)
            }
            return path
        }
        let path = "\(folder)/pods/\(container.podUID)/files/\(name)"
        let mode = ["projected", "secret", "configMap"].compactMap { volume[$0]["defaultMode"].int }.first ?? 0o644
        try makeFolder(path, mode: 0o755)
        for (file, bytes) in container.files[name] ?? [:] { try makeFile("\(path)/\(file)", bytes, mode: mode) }
        return path
    }

    private func makeFolder(_ path: String, mode: Int, group: Int? = nil) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        if let group { try FileManager.default.setAttributes([.groupOwnerAccountID: group], ofItemAtPath: path) }
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    private func makeFile(_ path: String, _ bytes: [UInt8], mode: Int) throws {
        let parent = URL(filePath: path).deletingLastPathComponent().path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    package func signal(_ id: String, _ signal: ContainerSignal) {
        let waits = unsent.withLock { waiting in
            waiting[id]?.append(signal)
            return waiting[id] != nil
        }
        if waits { return }
        Task { _ = await docker.run(["kill", "--signal", signal == .kill ? "KILL" : "TERM", id]) }
    }

    package func log(_ id: String, follow: Bool) -> AsyncStream<[LogLine]> {
        let lines = docker.lines(["logs", "--timestamps"] + (follow ? ["--follow"] : []) + [id])
        let (stream, continuation) = AsyncStream<[LogLine]>.makeStream()
        let task = Task {
            var batch: [LogLine] = []
            for await line in lines {
                guard let parsed = Self.logLine(line) else { continue }
                if follow { continuation.yield([parsed]) } else { batch.append(parsed) }
            }
            if !follow { continuation.yield(batch) }
            continuation.finish()
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    /// `2026-11-21T06:08:29.193695835Z text`.
    private static func logLine(_ line: [UInt8]) -> LogLine? {
        let parts = line.split(separator: 32, maxSplits: 1, omittingEmptySubsequences: false)
        let stamp = String(decoding: parts[0], as: UTF8.self)
        guard parts.count == 2, let whole = Timeline.seconds(stamp.prefix(19) + "Z") else { return nil }
        let digits = stamp.dropFirst(20).prefix { $0.isNumber }
        let nanos = Int(digits + String(repeating: "0", count: max(0, 9 - digits.count))) ?? 0
        return LogLine(nanoseconds: Int(whole) * 1_000_000_000 + nanos, bytes: Array(parts[1]))
    }

    package func removePod(_ uid: String) {
        Task {
            await removeContainers("\(Self.podLabel)=\(uid)")
            try? FileManager.default.removeItem(atPath: "\(folder)/pods/\(uid)")
        }
    }

    private func removeContainers(_ filter: String) async {
        let found = await docker.run(["ps", "--all", "--quiet", "--filter", "label=\(filter)"])
        let ids = found.text.split(separator: "\n").map(String.init)
        if !ids.isEmpty { _ = await docker.run(["rm", "--force", "--volumes"] + ids) }
    }

    /// Removes the containers of the given Pods and everything in the folder.
    package func removeAll() async {
        let uids = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/pods")) ?? []
        for uid in uids { await removeContainers("\(Self.podLabel)=\(uid)") }
        try? FileManager.default.removeItem(atPath: folder)
    }
}
