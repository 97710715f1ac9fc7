import ContainerBackend
import Filer
import Foundation
import HTTPClient
import KubernetesFake
import LocalSystem
import Logging
import Orchestrator
import TES
import TaskCore
import TaskStore
import Testing

/// Where a backend's tasks run.
enum BackendPlace: Sendable {
    case memory
    case engine(socket: String)
    /// A played cluster, whose Pods' containers run on an engine.
    case cluster(socket: String)

    /// The engine that `POIESIS_TEST_ENGINE=unix://SOCKET` names.
    static let real: BackendPlace? = ProcessInfo.processInfo.environment["POIESIS_TEST_ENGINE"]
        .flatMap(ContainerConfiguration.init(url:)).map { .engine(socket: $0.socket) }

    /// Where the docker command is there, too.
    static let playedCluster: BackendPlace? = {
        guard case .engine(let socket) = real, DockerRuntime.isInstalled else { return nil }
        return .cluster(socket: socket)
    }()
}

struct TimedOut: Error, CustomStringConvertible {
    var description: String
}

/// Asks again and again until there is an answer.
func eventually<Value>(
    _ what: String, within limit: Duration = .seconds(300), _ condition: () async throws -> Value?
) async throws -> Value {
    let deadline = ContinuousClock.now + limit
    while true {
        if let value = try await condition() { return value }
        guard ContinuousClock.now < deadline else { throw TimedOut(description: "not within \(limit): \(what)") }
        try await Task.sleep(for: .milliseconds(10))
    }
}

/// One backend with an empty store, and a folder that its file URLs may reach.
struct BackendHarness: Sendable {
    static let image = "poiesis-test/busybox:1"

    let store: any TaskStore
    let engine: any ContainerEngine
    /// Nil on a cluster.
    let backend: (any Backend)?
    private let cluster: PlayedCluster?
    let worker: WorkerID
    let settings: OrchestratorConfiguration
    /// For `file` URLs, and the data folder in it.
    let folder: String
    private var faults: Faults?
    private let wakeUp = WakeUp()

    private static let logger = Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }

    /// Runs a test; a worker claims tasks meanwhile unless the test starts one itself.
    static func with(
        _ place: BackendPlace, settings changed: Setting? = nil, startsWorker: Bool = true, faults: Faults? = nil,
        _ body: (BackendHarness) async throws -> Void
    ) async throws {
        let folder = "/tmp/backend-\(UUID().uuidString.lowercased())"
        let data = try Folder.make(folder + "/data", mode: 0o755)
        chmod(folder, 0o755)
        defer { try? Folder("/tmp").remove(ContainerPath.name(folder)) }
        let client = HTTPClient()
        defer { client.close() }
        let store = InMemoryTaskStore(clock: { Timestamp(microseconds: Machine.clock()) })
        let worker = WorkerID(id: store.newID(), host: "tests")
        var settings = OrchestratorConfiguration(shimFolder: try shimFolder(), instance: worker.description)
        settings.stopGrace = .seconds(1)
        changed?.apply(to: &settings)
        settings.pullPauses = [.milliseconds(1), .milliseconds(1)]
        var made = try await make(place, store, client, worker, settings, changed, folder, data, faults)
        made.faults = faults
        let harness = made
        do {
            try await harness.backend?.preflight()
            if startsWorker {
                try await harness.withWorker { try await body(harness) }
            } else {
                try await body(harness)
            }
        } catch {
            await harness.cleanUp()
            throw error
        }
        await harness.cleanUp()
    }

    private func cleanUp() async {
        await backend?.cleanUp(except: [])
        await cluster?.stop()
    }

    private static func make(
        _ place: BackendPlace, _ store: InMemoryTaskStore, _ client: HTTPClient, _ worker: WorkerID,
        _ settings: OrchestratorConfiguration, _ changed: Setting?, _ folder: String, _ data: Folder, _ faults: Faults?
    ) async throws -> BackendHarness {
        var files = FilerConfiguration()
        files.roots = [FileRoot(path: folder, isWritable: true)]
        files.retryPauses = []
        try data.makeFolders("attempts", mode: 0o711)
        let attempts = try Folder(data.path + "/attempts")
        let filer = Filer.standard(files, client: client)
        func runs(_ engine: any ContainerEngine) -> ContainerRuns {
            ContainerRuns(
                store: faults.map { FaultyStore(store: store, faults: $0) } ?? store, engine: engine, filer: filer,
                configuration: settings, attempts: attempts, logger: logger)
        }
        switch place {
        case .memory:
            let plain = InMemoryEngine(images: [image])
            let engine: any ContainerEngine = faults.map { FaultyEngine(engine: plain, faults: $0) } ?? plain
            let backend = InMemoryBackend(runs: runs(engine))
            return BackendHarness(
                store: store, engine: engine, backend: backend, worker: worker, settings: settings, folder: folder)
        case .cluster(let socket):
            let cluster = try await PlayedCluster.start(
                socket: socket, folder: folder, settings: changed, http: client, logger: logger)
            return BackendHarness(
                store: cluster.store,
                engine: DockerEngine(configuration: ContainerConfiguration(socket: socket), client: client),
                backend: nil, cluster: cluster, worker: worker, settings: settings, folder: folder)
        case .engine(let socket):
            let engine = DockerEngine(configuration: ContainerConfiguration(socket: socket), client: client)
            let backend = ContainerBackend(engine: engine, runs: runs(engine), settings: settings, folder: data)
            return BackendHarness(
                store: store, engine: engine, backend: backend, worker: worker, settings: settings, folder: folder)
        }
    }

    private init(
        store: any TaskStore, engine: any ContainerEngine, backend: (any Backend)?, cluster: PlayedCluster? = nil,
        worker: WorkerID, settings: OrchestratorConfiguration, folder: String
    ) {
        self.cluster = cluster
        self.store = store
        self.engine = engine
        self.backend = backend
        self.worker = worker
        self.settings = settings
        self.folder = folder
    }

    /// The folder of the built programs: the tests' own, or the package's build folder.
    static func shimFolder() throws -> String {
        let package = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..").standardized
        let candidates = [
            ContainerPath.parent(Machine.programPath), ContainerPath.parent(ContainerPath.parent(Machine.programPath)),
            package.appending(path: ".build/debug").path(percentEncoded: false),
        ]
        guard
            let folder = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0 + "/poiesis-exec") })
        else {
            throw TimedOut(description: "the shim poiesis-exec is not built: run swift build")
        }
        return try resolvedPath(folder)
    }

    var backendName: String { backend?.name ?? "kubernetes" }

    // MARK: Running

    private var workersStore: any TaskStore {
        if let faults { FaultyStore(store: store, faults: faults) } else { store }
    }

    /// Claims and runs what waits, as a server does, while the body runs; attempts that still run then are left.
    func withWorker(_ body: () async throws -> Void) async throws {
        guard let backend else {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await cluster?.control() }
                try await body()
                group.cancelAll()
            }
            return
        }
        let service = Worker(id: worker, store: workersStore, backend: backend, wakeUp: wakeUp, logger: Self.logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try? await service.run() }
            try await body()
            group.cancelAll()
        }
    }

    /// Several services read one stream of signals only one after the other: each gets a harness with its own.
    func restarted() -> BackendHarness {
        BackendHarness(
            store: store, engine: engine, backend: backend, cluster: cluster, worker: worker, settings: settings,
            folder: folder)
    }

    func create(_ task: TESTask) async throws -> TaskID {
        let id = store.newID()
        try await store.create(NewTask(id: id, principal: .everyone, task: task))
        wakeUp.signal()
        return id
    }

    func task(_ id: TaskID) async throws -> TESTask {
        try #require(try await store.task(id, view: .full, for: .everyone))
    }

    func end(_ id: TaskID) async throws -> TESTask {
        try await eventually("the task ends") {
            let task = try await task(id)
            return task.state?.isTerminal == true ? task : nil
        }
    }

    /// Runs a task to its end.
    func run(_ task: TESTask) async throws -> TESTask { try await end(try await create(task)) }

    func cancel(_ id: TaskID) async throws {
        _ = try await store.cancel(id, for: .everyone)
        wakeUp.signal()
        await cluster?.cancel(id)
    }

    // MARK: Tasks

    /// A task whose executors each run a script.
    static func script(
        _ scripts: String..., inputs: [TESInput] = [], outputs: [TESOutput] = [], volumes: [String] = ["/task-dir"]
    ) -> TESTask {
        let executors = scripts.map { TESExecutor(image: image, command: ["/bin/sh", "-c", $0]) }
        return TESTask(inputs: inputs, outputs: outputs, executors: executors, volumes: volumes)
    }

    /// Tells that it runs, and then waits until the test lets it go.
    static let waiting = "touch /task-dir/started; while [ ! -e /task-dir/go ]; do sleep 0.02; done"

    /// A path in an attempt's workspace, on this machine. On a cluster each attempt here is a submission.
    private func workspace(_ id: TaskID, attempt: Int, _ path: String) async -> String? {
        guard let cluster else { return "\(folder)/data/attempts/\(id)-\(attempt)/workspace/fs\(path)" }
        return await cluster.workspace(id, submission: attempt, path)
    }

    func waitUntilStarted(_ id: TaskID, attempt: Int = 1) async throws {
        try await eventually("attempt \(attempt) runs its script") {
            let marker = await workspace(id, attempt: attempt, "/task-dir/started")
            return marker.map { FileManager.default.fileExists(atPath: $0) } == true ? () : nil
        }
    }

    func letGo(_ id: TaskID, attempt: Int = 1) async throws {
        let marker = await workspace(id, attempt: attempt, "/task-dir/go")
        guard let marker, FileManager.default.createFile(atPath: marker, contents: nil) else {
            throw TimedOut(description: "no \(marker ?? "workspace")")
        }
    }

    /// The names of this server's containers; on a cluster of executors' alone.
    func containers() async throws -> [String] {
        guard let cluster else { return try await engine.list([Label.instance: settings.instance]) }
        return try await cluster.executors(engine)
    }

    /// That a cancelled task's programs have ended: a cluster tells of the end a moment before.
    func expectNoContainers() async throws {
        guard cluster != nil else {
            #expect(try await containers().isEmpty)
            return
        }
        try await eventually("all containers have ended") { try await containers().isEmpty ? () : nil }
    }

    /// Whether nothing is left of tasks that ended.
    func isEmpty() async throws -> Bool {
        if let cluster { return try await cluster.isEmpty() }
        let folders = try FileManager.default.contentsOfDirectory(atPath: folder + "/data/attempts")
        return try await containers().isEmpty && folders.isEmpty
    }

    func uploaded(_ name: String) -> String? {
        FileManager.default.contents(atPath: folder + "/" + name).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// The same runs without Docker's API around them.
struct InMemoryBackend: Backend {
    let runs: ContainerRuns

    var name: String { "memory" }
    func preflight() async throws(BackendError) {}
    func capacity() async throws(BackendError) -> Capacity { Capacity(cpuCores: 4, memory: 8_000_000_000) }
    func run(_ attempt: Attempt) async { await runs.run(attempt) }
    func stop(_ key: AttemptKey) async { runs.stop(key) }
    func cleanUp(except open: [AttemptKey]) async { await runs.cleanUp(except: open) }
}
