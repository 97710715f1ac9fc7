import Foundation
import HTTPClient
import KubernetesAPI
import KubernetesBackend
import KubernetesFake
import LocalSystem
import Logging
import Postgres
import TES
import TaskCore
import TaskStore
import TestServers
import Testing

/// A played cluster on the machine's own time whose Pods have real recorders, and a database of its own on a real PostgreSQL.
struct DatabaseHarness: Sendable {
    /// Seconds from a Pod's SIGTERM to its SIGKILL.
    static let grace = 10

    let cluster: Cluster
    let server: APIServer
    let http: HTTPClient
    let pods: PlayedPods
    let store: PostgresTaskStore
    let pool: PostgresPool
    /// The database's name.
    let database: String
    /// The database's, and the label of all objects.
    let instance: String

    /// Databases of this process at one time: the server takes 200 connections.
    private static let room = Semaphore(4)

    /// - Parameter recorderStore: what the recorders ask; the same store unless a test says otherwise.
    static func with(
        recorderStore: (PostgresTaskStore) -> any RecorderStore = { $0 },
        program: @escaping @Sendable (SubmissionKey, _ position: Int) -> PlayedPods.Program = { _, _ in .init() },
        _ body: (DatabaseHarness) async throws -> Void
    ) async throws {
        await room.wait()
        defer { room.signal() }
        let postgres = try PostgresCluster.shared.get()
        let name = "k\(UInt64.random(in: 0 ... .max))"
        try await run("CREATE DATABASE \(name)")
        let pool = PostgresPool(url: postgres.url(name), connections: 4)
        try await SchemaSetup.prepare(pool)
        let store = PostgresTaskStore(
            pool: pool, metadata: [:], logger: logger("store"),
            localClock: { TES.Timestamp(microseconds: Machine.clock()) })
        try await store.maintain()

        let pods = PodsBox()
        let runtime = ScriptedRuntime { start in pods.pods?.play(start) ?? .ends(1, after: 0) }
        var timing = Timing()
        // A kubelet that looks twenty times a second.
        (timing.sandbox, timing.start, timing.notice, timing.finish, timing.jobSync) = (0.02, 0.01, 0.05, 0.1, 0.05)
        let cluster = Cluster(timeline: Timeline(.scaled(1)), runtime: runtime, timing: timing)
        let server = try await APIServer.start(cluster)
        let http = HTTPClient()
        pods.pods = try PlayedPods(
            store: recorderStore(store), client: client(server, http), grace: grace, program: program)
        let harness = DatabaseHarness(
            cluster: cluster, server: server, http: http, pods: try #require(pods.pods), store: store, pool: pool,
            database: name, instance: try await store.instanceID())
        var failure: (any Error)?
        do { try await body(harness) } catch { failure = error }
        harness.pods.close()
        await server.stop()
        http.close()
        await pool.close()
        if let failure { throw failure }
    }

    /// The runtime is made before what plays on it.
    private final class PodsBox: @unchecked Sendable { var pods: PlayedPods? }

    static func logger(_ label: String) -> Logger { Logger(label: label) { _ in SwiftLogNoOpLogHandler() } }

    /// One statement in the server's own database.
    static func run(_ sql: String) async throws {
        let pool = PostgresPool(url: try PostgresCluster.shared.get().url(), connections: 1)
        do { _ = try await pool.run(sql) } catch {
            await pool.close()
            throw error
        }
        await pool.close()
    }

    private static func client(_ server: APIServer, _ http: HTTPClient) -> KubernetesClient {
        var place = ClusterConfiguration(server: server.url)
        place.namespace = "poiesis"
        var options = KubernetesClient.Options()
        options.requestsPerSecond = 1000
        return KubernetesClient(place, http: http, options: options)
    }

    var client: KubernetesClient { Self.client(server, http) }

    // MARK: Controllers

    func controller(_ change: (inout Controller.Options) -> Void = { _ in }) -> Controller {
        var options = Controller.Options(instance: instance)
        options.roundEvery = .milliseconds(100)
        change(&options)
        let client = client
        let election = LeaderElection(
            client, options: LeaderElection.Options(name: "unused", identity: "tests"), now: { store.now() },
            logger: Self.logger("election"))
        var configuration = KubernetesConfiguration(image: "poiesis:test")
        configuration.gracePeriod = Int64(Self.grace)
        let instance = options.instance
        return Controller(
            client: client, store: store, election: election, options: options, logger: Self.logger("tctl")
        ) { [configuration] submission throws(Cause) in
            do throws(TaskRefusal) {
                let pod = try TaskPod(submission, configuration: configuration, instance: instance)
                return SubmissionObjects(job: pod.job, volumeClaim: pod.volumeClaim)
            } catch { throw .tooLarge(reason: error.description) }
        }
    }

    /// Runs controllers that all believe that they lead.
    func led(by controllers: [Controller], _ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for controller in controllers { group.addTask { await controller.lead() } }
            defer { group.cancelAll() }
            try await body()
        }
    }

    /// The secret that recorders mount.
    func addSecret() async {
        await cluster.configure {
            $0.insert(
                .secrets,
                [
                    "metadata": ["name": "poiesis-recorder", "namespace": "poiesis"],
                    "data": ["url": .string(Data("unused".utf8).base64EncodedString())],
                ])
        }
    }

    // MARK: Tasks

    func create(_ executors: Int = 1) async throws -> TaskID {
        let executor = TESExecutor(image: "busybox:1.35", command: ["true"])
        let task = TESTask(executors: Array(repeating: executor, count: executors))
        return try await store.create(NewTask(id: store.newID(), principal: .everyone, task: task))
    }

    func task(_ id: TaskID) async throws -> TESTask? { try await store.task(id, view: .full, for: .everyone) }

    func state(_ id: TaskID) async throws -> TESState? {
        try await store.task(id, view: .minimal, for: .everyone)?.state
    }

    /// As the API does: the row, then the Job.
    func cancel(_ id: TaskID) async throws {
        _ = try await store.cancel(id, for: .everyone)
        await JobCancellation(client: client, store: store, logger: Self.logger("api")).cancel(id)
    }

    /// How often a task ended, by its events.
    func ends(_ id: TaskID) async throws -> Int {
        let sql = """
            SELECT count(*)::int FROM poiesis.task_events WHERE task_id = $1
            AND state IN ('COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED')
            """
        var row = try #require(try await pool.run(sql, [.text(id.description)]).rows.first)
        return Int(try row.int64() ?? 0)
    }

    /// Waits until something holds.
    func eventually(
        _ what: String, within seconds: Double = 300, location: SourceLocation = #_sourceLocation,
        _ condition: () async throws -> Bool
    ) async throws {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            // A database that is being exchanged does not answer.
            if (try? await condition()) == true { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("it never came: \(what)", sourceLocation: location)
        throw CancellationError()
    }

    /// Waits until none of the pool's connections is one that was ended.
    func eventuallyAnswers(location: SourceLocation = #_sourceLocation) async throws {
        try await eventually("the database answers", location: location) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 { group.addTask { _ = try await store.openSubmissions(after: nil, limit: 1) } }
                try await group.waitForAll()
            }
            return true
        }
    }

    func names(_ resource: KubernetesFake.Resource) async -> [String] {
        await cluster.all(resource).compactMap { $0["metadata"]["name"].text }
    }

    /// Whether an executor of a task runs.
    func isRunning(_ id: TaskID) async -> Bool {
        await cluster.all(.pods).contains { pod in
            pod["metadata"]["labels"][ObjectLabel.task].text == id.description
                && pod["status"]["initContainerStatuses"].items.contains {
                    $0["name"].text == "exec-0" && $0["state"]["running"] != nil
                }
        }
    }

    func eventuallyRuns(_ ids: some Sequence<TaskID>, location: SourceLocation = #_sourceLocation) async throws {
        for id in ids {
            try await eventually("an executor of \(id) runs", location: location) {
                let state = try await state(id)
                return await isRunning(id) && state == .running
            }
        }
    }

    /// No object of a task and no submission is left.
    func eventuallyNothingIsLeft(location: SourceLocation = #_sourceLocation) async throws {
        try await eventually("nothing is left", location: location) {
            let rows = try await store.openSubmissions(after: nil, limit: 10)
            let (jobs, pods) = (await names(.jobs), await names(.pods))
            return rows.isEmpty && jobs.isEmpty && pods.isEmpty
        }
    }
}
