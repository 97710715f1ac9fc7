import LocalSystem
import Logging

/// Removes attempts' folders, also what a container's user left closed to this server.
struct AttemptRemoval: Sendable {
    let engine: any ContainerEngine
    let configuration: OrchestratorConfiguration
    let attempts: Folder
    let logger: Logger

    /// Removes an attempt's folder or a part of it, such as `TASK-N/workspace`.
    func remove(_ name: String) async {
        do throws(FileError) { return try await removeOnce(name) } catch {
            if error.code == FileError.cancelled { return }
            await openUp(name)
        }
        do throws(FileError) { try await removeOnce(name) } catch {
            logger.warning("an attempt's folder could not be removed", metadata: ["reason": "\(error)"])
        }
    }

    private func removeOnce(_ name: String) async throws(FileError) {
        let attempts = attempts
        try await onDisk { isCancelled throws(FileError) in try attempts.remove(name, isCancelled: isCancelled) }
    }

    /// A server that is not root cannot read what a container's user made private: a helper container opens it up.
    func openUp(_ name: String) async {
        if Machine.isRoot || ((try? attempts.kind(name)) ?? nil) == nil { return }
        let helper = "poiesis-open-up-" + String(UInt64.random(in: 0 ... .max), radix: 16)
        do throws(EngineError) {
            let image = try await engine.helperImage(shim: configuration.shimFolder + "/poiesis-exec")
            var spec = ContainerSpec(
                name: helper, image: image, entrypoint: ["/poiesis-exec", "--open-up", "/attempt"])
            spec.mounts = [.init(source: attempts.path + "/" + name, target: "/attempt")]
            spec.labels = [Label.instance: configuration.instance, Label.part: "helper"]
            spec.user = "0"
            try await engine.create(spec)
            try await engine.start(helper)
            _ = try await engine.wait(helper)
        } catch {
            logger.warning("files of a container's user may stay unreadable", metadata: ["reason": "\(error)"])
        }
        try? await engine.remove(helper)
    }
}
