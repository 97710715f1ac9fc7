import Foundation
package import LocalSystem
package import Orchestrator
package import TaskCore

/// Tasks as containers of one machine's engine.
package struct ContainerBackend: Backend {
    private let engine: DockerEngine
    private let runs: ContainerRuns
    private let settings: OrchestratorConfiguration
    private let folder: Folder

    /// - Parameter folder: the server's data folder.
    package init(engine: DockerEngine, runs: ContainerRuns, settings: OrchestratorConfiguration, folder: Folder) {
        self.engine = engine
        self.runs = runs
        self.settings = settings
        self.folder = folder
    }

    package var name: String { "container" }

    package func capacity() async throws(BackendError) -> Capacity {
        do throws(EngineError) {
            let info = try await engine.info()
            return Capacity(
                cpuCores: engine.configuration.cpuCores ?? max(1, info.nCPU),
                memory: engine.configuration.memory ?? info.memTotal)
        } catch { throw BackendError(error.description) }
    }

    /// Runs the shim in a container of its own, which writes into the data folder: bind paths, write-back and ownership work.
    package func preflight() async throws(BackendError) {
        let name = "poiesis-preflight-\(UUID().uuidString.lowercased())"
        let part = "preflight"
        do {
            try folder.makeFolders(part, mode: 0o777)
            let image = try await engine.helperImage(shim: settings.shimFolder + "/poiesis-exec")
            var spec = ContainerSpec(name: name, image: image, entrypoint: ["/poiesis-exec", "--check", "/check"])
            spec.mounts = [.init(source: folder.path + "/" + part, target: "/check")]
            spec.labels = [Label.instance: settings.instance, Label.part: part]
            try await engine.create(spec)
            try await engine.start(name)
            let state = try await engine.wait(name)
            try? await engine.remove(name)
            let written = try folder.read(part + "/check", limit: 64)
            try folder.remove(part)
            guard case .ended(0, _, _) = state, written != nil else {
                throw BackendError(
                    "a container of the engine at \(engine.configuration.socket) cannot write into \(folder.path): "
                        + "use a data folder on a disk that the engine sees under the same path, and that its containers may write to"
                )
            }
        } catch let error as BackendError {
            throw error
        } catch {
            try? await engine.remove(name)
            throw BackendError("\(error)")
        }
    }

    package func run(_ attempt: Attempt) async { await runs.run(attempt) }
    package func stop(_ key: AttemptKey) async { runs.stop(key) }
    package func cleanUp(except open: [AttemptKey]) async { await runs.cleanUp(except: open) }
}
