import Foundation
import HTTPClient
import KubernetesAPI
import KubernetesBackend
import KubernetesFake
import Logging
import TaskCore

/// The API server of a cluster whose Pods go on as they are.
enum PlayedCluster {
    /// Serves until its input ends. `touch N` changes N Pods, `expire` breaks all watches and forgets what they could go on from.
    static func serve(_ count: Int) async throws {
        let cluster = Cluster(timeline: Timeline(.scaled(1)), runtime: ScriptedRuntime { _ in .runs() })
        await cluster.configure { $0.policy.controllers = false }
        for index in 0..<count {
            for object in try objects(index) { await cluster.seed(object) }
        }
        let server = try await APIServer.start(cluster)
        say(server.url)
        while let line = readLine() {
            let words = line.split(separator: " ")
            switch words.first {
            case "touch":
                let count = words.last.flatMap { Int($0) } ?? 0
                for index in 0..<count {
                    let key = ObjectKey("poiesis", "\(ManyTasks.key(index).objectName)-abcde")
                    await cluster.configure { cluster in
                        cluster.update(.pods, key) { $0["metadata"]["annotations"] = ["touched": "yes"] }
                    }
                    // As fast as a thousand Pods that start a container each second.
                    if index % 10 == 9 { try await Task.sleep(for: .milliseconds(10)) }
                }
                say("touched")
            case "expire":
                await cluster.compact()
                server.breakConnections()
                say("expired")
            default: break
            }
        }
        await server.stop()
    }

    /// A Job whose Pod runs its first executor.
    private static func objects(_ index: Int) throws -> [JSON] {
        var job = try JSON(parsing: try ManyTasks.job(index).json)
        let name = ManyTasks.key(index).objectName
        job["metadata"]["uid"] = .string("job-\(index)")
        job["metadata"]["resourceVersion"] = "4500"
        job["metadata"]["creationTimestamp"] = "2026-01-31T11:00:00Z"
        job["status"] = ["active": 1, "ready": 0, "startTime": "2026-01-31T11:00:00Z"]
        var pod = job["spec"]["template"] ?? [:]
        pod["kind"] = "Pod"
        pod["apiVersion"] = "v1"
        pod["metadata"]["name"] = .string("\(name)-abcde")
        pod["metadata"]["namespace"] = "poiesis"
        pod["metadata"]["uid"] = .string("pod-\(index)")
        pod["metadata"]["resourceVersion"] = "4501"
        pod["metadata"]["creationTimestamp"] = "2026-01-31T11:00:00Z"
        pod["metadata"]["ownerReferences"] = [
            ["apiVersion": "batch/v1", "kind": "Job", "name": .string(name), "uid": .string("job-\(index)")]
        ]
        pod["spec"]["nodeName"] = .string("node-\(index % 100)")
        let ended: JSON = [
            "terminated": [
                "exitCode": 0, "reason": "Completed", "message": "0", "startedAt": "2026-01-31T11:00:02Z",
                "finishedAt": "2026-01-31T11:00:03Z", "containerID": "containerd://0123456789abcdef0123456789abcdef",
            ]
        ]
        let running: JSON = ["running": ["startedAt": "2026-01-31T11:00:04Z"]]
        let states = ["trec": running, "tif": ended, "exec-0": running]
        func statuses(_ list: String) -> JSON {
            .array(
                (pod["spec"][list]?.items ?? []).map { container in
                    [
                        "name": container["name"] ?? "", "image": container["image"] ?? "",
                        "imageID": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                        "ready": false, "restartCount": 0,
                        "state": states[container["name"].text ?? ""] ?? ["waiting": ["reason": "PodInitializing"]],
                    ]
                })
        }
        let conditions = ["PodReadyToStartContainers", "PodScheduled"].map { type -> JSON in
            ["type": .string(type), "status": "True", "lastTransitionTime": "2026-01-31T11:00:01Z"]
        }
        pod["status"] = [
            "phase": "Pending", "hostIP": "192.0.2.2", "podIP": "198.51.100.7", "qosClass": "Burstable",
            "startTime": "2026-01-31T11:00:01Z", "conditions": .array(conditions),
            "initContainerStatuses": statuses("initContainers"), "containerStatuses": statuses("containers"),
        ]
        return [job, pod]
    }
}

/// The controller.
enum Controlling {
    static func client(_ url: String, _ http: HTTPClient) -> KubernetesClient {
        var configuration = ClusterConfiguration(server: url)
        configuration.namespace = "poiesis"
        var options = KubernetesClient.Options()
        options.requestsPerSecond = 100_000
        options.burst = 100_000
        return KubernetesClient(configuration, http: http, options: options)
    }

    /// Leads until its input ends. Says how long the lists took, or how long the submission of all waiting tasks.
    static func run(_ url: String, live: Int, waiting: Int) async throws {
        let http = HTTPClient()
        let client = client(url, http)
        let store = ManyTasks(live: live, waiting: waiting)
        var options = Controller.Options(instance: ManyTasks.instance)
        options.maxLiveJobs = live + waiting
        let logger = Logger(label: "tctl", factory: { StreamLogHandler.standardError(label: $0) })
        let election = LeaderElection(
            client, options: .init(name: "tctl", identity: "a"), now: { store.now() }, logger: logger)
        let controller = Controller(
            client: client, store: store, election: election, options: options, logger: quiet(logger)
        ) { submission throws(Cause) in
            do throws(TaskRefusal) {
                let pod = try ManyTasks.pod(Int(submission.key.taskID.low))
                return SubmissionObjects(job: pod.job, volumeClaim: pod.volumeClaim)
            } catch { throw .cannotStart(reason: "\(error)") }
        }
        let work = Task { await controller.lead() }
        if live > 0 {
            let start = ContinuousClock.now
            while !controller.isReady { try await Task.sleep(for: .milliseconds(2)) }
            say("ready \(seconds(since: start))")
        }
        if waiting > 0 {
            while controller.followed < waiting { try await Task.sleep(for: .milliseconds(1)) }
            say("submitted \(seconds(since: store.start ?? .now))")
        }
        await Task.detached { while readLine() != nil {} }.value
        work.cancel()
        await work.value
        http.close()
    }

    private static func quiet(_ logger: Logger) -> Logger {
        var logger = logger
        logger.logLevel = .error
        return logger
    }

    private static func seconds(since start: ContinuousClock.Instant) -> Double {
        ((ContinuousClock.now - start) / .milliseconds(1)).rounded() / 1000
    }
}

/// Writes a line for the program that started this one.
private func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
