package import Filer
package import LocalSystem
package import Logging
import Synchronization
import TES
package import TaskCore

/// The attempts that run on this machine's engine, and how to end each: what a backend on one machine is made of.
package final class ContainerRuns: Sendable {
    private let store: any TaskStore
    private let engine: any ContainerEngine
    private let filer: Filer
    private let configuration: OrchestratorConfiguration
    private let attempts: Folder
    private let logger: Logger
    private let stops = Mutex<[AttemptKey: AsyncStream<Void>.Continuation]>([:])

    /// - Parameter attempts: the data folder's part for attempts.
    package init(
        store: any TaskStore, engine: any ContainerEngine, filer: Filer, configuration: OrchestratorConfiguration,
        attempts: Folder, logger: Logger
    ) {
        self.store = store
        self.engine = engine
        self.filer = filer
        self.configuration = configuration
        self.attempts = attempts
        self.logger = logger
    }

    package func run(_ attempt: Attempt) async {
        let (stop, continuation) = AsyncStream<Void>.makeStream()
        stops.withLock { $0[attempt.key] = continuation }
        var logger = logger
        logger[metadataKey: "task"] = "\(attempt.key.taskID)"
        logger[metadataKey: "attempt"] = "\(attempt.key.number)"
        let runner = AttemptRunner(
            attempt: attempt, store: store, engine: engine, filer: filer, configuration: configuration,
            attempts: attempts, logger: logger)
        await runner.run(stop: stop)
        stops.withLock { $0[attempt.key] = nil }
    }

    package func stop(_ key: AttemptKey) {
        stops.withLock { $0[key] }?.finish()
    }

    /// Removes containers and folders of attempts that are none of `open`.
    package func cleanUp(except open: [AttemptKey]) async {
        let prefixes = open.map { "poiesis-\(AttemptFolder.name($0))-" }
        do throws(EngineError) {
            for name in try await engine.list([Label.instance: configuration.instance])
            where !prefixes.contains(where: name.hasPrefix) {
                do throws(EngineError) { try await engine.remove(name) } catch {
                    logger.warning(
                        "a container left behind could not be removed",
                        metadata: ["container": "\(name)", "reason": "\(error)"])
                }
            }
        } catch {
            logger.warning("containers left behind could not be listed", metadata: ["reason": "\(error)"])
        }
        let names = Set(open.map(AttemptFolder.name))
        let removal = AttemptRemoval(
            engine: engine, configuration: configuration, attempts: attempts, logger: logger)
        for entry in (try? attempts.list()) ?? [] where !names.contains(entry.name) {
            await removal.remove(entry.name)
        }
    }
}
