import ContainerBackend
import Foundation
import HTTPClient
import KubernetesAPI
import KubernetesBackend
import KubernetesFake
import LocalSystem
import Logging
import Orchestrator
import Postgres
import TES
import TaskCore
import TaskStore
import TestServers
import Testing

/// A played cluster whose kubelet runs the parts of TaskPods on a container engine: what is real is all that is ours, the programs in
/// the Pods, the database, the controller and the client.
struct PlayedCluster: Sendable {
    /// The built programs; `scripts/image poiesis` makes it.
    static let image = "poiesis-test/poiesis:1"
    private static let namespace = "poiesis"

    let store: PostgresTaskStore
    /// With the rights of a controller, and no more.
    private let controllerStore: PostgresTaskStore
    private let controllerPool: PostgresPool
    private let cluster: Cluster
    private let server: APIServer
    private let runtime: DockerRuntime
    private let folder: String
    private let pool: PostgresPool
    private let client: KubernetesClient
    private let configuration: KubernetesConfiguration
    private let instance: String
    private let logger: Logger

    /// - Parameter folder: for volumes, and what `file` URLs reach.
    static func start(
        socket: String, folder: String, settings: Setting?, http: HTTPClient, logger: Logger
    ) async throws -> PlayedCluster {
        let postgres = try PostgresCluster.sharedOnTCP.get()
        let name = "t\(UInt64.random(in: 0 ... .max))"
        let maker = PostgresPool(url: postgres.url(), connections: 1)
        _ = try await maker.run("CREATE DATABASE \(name)")
        await maker.close()
        let pool = PostgresPool(url: postgres.url(name), connections: 4)
        try await SchemaSetup.prepare(pool)
        try await SchemaRoles.make(pool)
        let store = PostgresTaskStore(
            pool: pool, metadata: [:], logger: logger, localClock: { Timestamp(microseconds: Machine.clock()) })
        try await store.maintain()
        let controllerPool = PostgresPool(
            url: postgres.url(name).replacing("user=tests", with: "user=poiesis_tctl"), connections: 4)
        let controllerStore = PostgresTaskStore(
            pool: controllerPool, metadata: [:], logger: logger,
            localClock: { Timestamp(microseconds: Machine.clock()) })
        try await controllerStore.maintain()

        let kubeconfig = "/etc/poiesis/kubeconfig"
        let runtime = try DockerRuntime(
            host: "unix://" + socket, folder: folder + "/cluster", files: [kubeconfig: folder + "/kubeconfig"])
        let cluster = Cluster(timeline: Timeline(.scaled(1)), runtime: runtime)
        let server = try await APIServer.start(cluster)
        let text = """
            {"kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": "\(server.url)"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "\(namespace)"}}],
            "users": [{"name": "u", "user": {}}]}
            """
        try Data(text.utf8).write(to: URL(filePath: folder + "/kubeconfig"))
        let url = try postgres.tcpURL(name).replacing("tests@", with: "poiesis_recorder@")
        await cluster.configure {
            $0.insert(
                .secrets,
                [
                    "metadata": ["name": "poiesis-recorder", "namespace": .string(namespace)],
                    "data": ["url": .string(Data(url.utf8).base64EncodedString())],
                ])
        }
        var place = ClusterConfiguration(server: server.url)
        place.namespace = namespace
        var options = KubernetesClient.Options()
        options.requestsPerSecond = 1000
        var configuration = KubernetesConfiguration(image: image)
        configuration.gracePeriod = 10
        // The fake has no certificate, as a Pod's own configuration would have it.
        configuration.environment = [
            "KUBECONFIG": kubeconfig, "POIESIS_LOG_LEVEL": "debug",
        ]
        configuration.fileRoots = [
            MountedVolume(path: folder, source: .hostPath(folder), isWritable: true)
        ]
        switch settings {
        case .missingOutputsFail: configuration.environment["POIESIS_OUTPUTS_MISSING"] = "fail"
        case .memoryFloor(let bytes): configuration.resources.memoryFloor = bytes
        case .leastFreeSpace, nil: break
        }
        return PlayedCluster(
            store: store, controllerStore: controllerStore, controllerPool: controllerPool, cluster: cluster,
            server: server, runtime: runtime, folder: folder, pool: pool,
            client: KubernetesClient(place, http: http, options: options), configuration: configuration,
            instance: try await store.instanceID(), logger: logger)
    }

    func stop() async {
        await server.stop()
        await runtime.removeAll()
        await controllerPool.close()
        await pool.close()
    }

    /// Leads until the Swift task is cancelled.
    func control() async {
        var options = Controller.Options(instance: instance)
        options.eventsEvery = 1
        options.limits.obstacles[.image] = 3
        options.limits.podless = 2
        let election = LeaderElection(
            client, options: LeaderElection.Options(name: "tctl", identity: "tests"), now: { store.now() },
            logger: logger)
        let controller = Controller(
            client: client, store: controllerStore, election: election, options: options, logger: logger
        ) { submission throws(Cause) in
            do throws(TaskRefusal) {
                let pod = try TaskPod(submission, configuration: configuration, instance: instance)
                return SubmissionObjects(job: pod.job, volumeClaim: pod.volumeClaim)
            } catch { throw .tooLarge(reason: error.description) }
        }
        await controller.lead()
    }

    /// As the API does.
    func cancel(_ id: TaskID) async {
        await JobCancellation(client: client, store: store, logger: logger).cancel(id)
    }

    /// A path in a task's workspace, on this machine; nil where its Pod is not there yet.
    func workspace(_ id: TaskID, submission: Int, _ path: String) async -> String? {
        let job = SubmissionKey(taskID: id, number: submission).objectName
        let pods = await cluster.all(.pods)
        let pod = pods.first { $0["metadata"]["labels"]["batch.kubernetes.io/job-name"].text == job }
        guard let uid = pod?["metadata"]["uid"].text else { return nil }
        return "\(folder)/cluster/pods/\(uid)/volumes/workspace/fs\(path)"
    }

    /// The names of containers that run executors now.
    func executors(_ engine: any ContainerEngine) async throws -> [String] {
        var names: [String] = []
        for pod in await cluster.all(.pods) {
            for status in pod["status"]["initContainerStatuses"].items where status["state"]["running"] != nil {
                guard let uid = pod["metadata"]["uid"].text, let name = status["name"].text, name.hasPrefix("exec-")
                else { continue }
                names += try await engine.list([DockerRuntime.podLabel: uid, DockerRuntime.nameLabel: name])
            }
        }
        return names
    }

    /// Lets the database's log name each new connection.
    func noteConnections() async throws {
        _ = try await pool.run("ALTER SYSTEM SET log_connections = on")
        _ = try await pool.run("SELECT pg_reload_conf()")
    }

    /// How many connections a role has made to this cluster's database since they are noted.
    func connections(of role: String) async throws -> Int {
        var row = try #require(try await pool.run("SELECT current_database()::text").rows.first)
        let name = try row.text() ?? ""
        let log = try String(contentsOfFile: PostgresCluster.sharedOnTCP.get().folder + ".log", encoding: .utf8)
        return log.split(separator: "\n").count {
            $0.contains("connection authorized: user=\(role) database=\(name)")
        }
    }

    /// What was asked of the API server, `GET /api/v1/…`.
    var requests: [String] { server.requests }

    /// Whether Jobs, Pods or submissions are left.
    func isEmpty() async throws -> Bool {
        let objects = await cluster.all(.jobs).count + cluster.all(.pods).count
        let submissions = try await store.openSubmissions(after: nil, limit: 1)
        return objects == 0 && submissions.isEmpty
    }
}
