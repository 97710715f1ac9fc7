import ContainerBackend
import Filer
import Foundation
import HTTPClient
import LocalSystem
import Logging
import Orchestrator
import Server
import TES
import TaskCore

/// What the settings say, composed in one place for `serve`, `api` and `run`.
struct Composition {
    let settings: Settings
    let logger: Logger
    let client: HTTPClient
    let filer: Filer
    let rules: TaskRules

    /// - Parameters:
    ///   - roots: folders that `file` URLs may reach.
    ///   - closedFolders: those in them that they may not.
    init(settings: Settings, logger: Logger, roots: [FileRoot], closedFolders: [String]) throws {
        self.settings = settings
        self.logger = logger
        client = HTTPClient(renewing: try settings.authorities())
        var configuration = FilerConfiguration()
        configuration.roots = roots
        configuration.closedFolders = closedFolders + settings.secretPlaces
        configuration.s3 = try settings.s3()
        filer = Filer.standard(configuration, client: client)
        var rules = TaskRules(schemes: filer.schemes)
        if let limit = try settings.integer("content_limit") { rules.contentLimit = max(limit, 128 * 1024) }
        self.rules = rules
    }

    /// The first lines of every attempt's metadata: where it runs, and what Cromwell waits for.
    var metadata: [String: String] {
        ["host": Machine.hostName, "vm_price_per_hour_usd": settings.text("vm_price_per_hour_usd") ?? "0"]
    }

    static func clock() -> Timestamp { Timestamp(microseconds: Machine.clock()) }

    /// The engine's backend, checked by a container of its own.
    func backend(store: any TaskStore, worker: WorkerID, data: DataFolder) async throws -> ContainerBackend {
        let container = try containerConfiguration()
        let engine = DockerEngine(configuration: container, client: HTTPClient())
        var orchestrator = OrchestratorConfiguration(shimFolder: try data.installShim(), instance: worker.description)
        if let floor = try settings.integer("resources.memory_floor") { orchestrator.memoryFloor = Int64(floor) }
        orchestrator.missingOutputsFail = try settings.choice("outputs.missing", ["warn", "fail"]) == "fail"
        let attempts = try data.attempts()
        let runs = ContainerRuns(
            store: store, engine: engine, filer: filer, configuration: orchestrator, attempts: attempts, logger: logger)
        let backend = ContainerBackend(engine: engine, runs: runs, settings: orchestrator, folder: data.folder)
        do throws(BackendError) {
            try await backend.preflight()
        } catch {
            throw StartError("the container engine cannot be used: \(error)")
        }
        return backend
    }

    private func containerConfiguration() throws -> ContainerConfiguration {
        var found: ContainerConfiguration
        if let url = settings.text("engine") {
            guard let given = ContainerConfiguration(url: url) else {
                throw StartError(usage: "the engine \(url) is no socket: write unix:///path/to/docker.sock")
            }
            guard FileManager.default.fileExists(atPath: given.socket) else {
                throw StartError(
                    "there is no container engine at \(given.socket): start Docker or Podman, or correct --engine")
            }
            found = given
        } else {
            guard let usual = ContainerConfiguration.find(environment: settings.variables) else {
                let places = ContainerConfiguration.candidates(environment: settings.variables).joined(separator: ", ")
                throw StartError(
                    "no container engine was found at \(places): start Docker or Podman, or give its socket with --engine unix://SOCKET"
                )
            }
            found = usual
        }
        guard FileManager.default.isWritableFile(atPath: found.socket) else {
            throw StartError(
                "this user may not use the container engine at \(found.socket): join its group (for Docker: sudo usermod -aG docker $USER, then log in again), or give another with --engine"
            )
        }
        found.registries = RegistryLogins(
            file: settings.text("registry.config"), environment: settings.variables)
        found.cpuCores = try settings.integer("resources.cpu_cores")
        found.memory = try settings.integer("resources.memory").map { Int64($0) }
        return found
    }

    /// What service-info says.
    func serviceConfiguration() -> ServiceConfiguration {
        var service = ServiceConfiguration(version: Poiesis.version, storage: filer.storage, rules: rules)
        service.id = settings.text("service.id") ?? service.id
        service.name = settings.text("service.name") ?? service.name
        service.description = settings.text("service.description") ?? service.description
        service.organizationName = settings.text("service.organization.name") ?? service.organizationName
        service.organizationURL = settings.text("service.organization.url") ?? service.organizationURL
        service.contactURL = settings.text("service.contact_url")
        service.documentationURL = settings.text("service.documentation_url")
        service.environment = settings.text("service.environment")
        return service
    }
}
