import Foundation
import HTTPClient
import KubernetesAPI
import KubernetesBackend
import KubernetesFake
import Logging
import Synchronization
import TES
import TaskCore
import TaskStore
import Testing

/// A controller, or several, on a fake cluster whose time runs faster, with a store in memory on the same clock.
///
/// The Pods' recorders do nothing unless a test says otherwise: what becomes of a task is the controller's doing.
struct ControllerHarness: Sendable {
    /// Cluster seconds of one second.
    static let pace = 10.0
    static let instance = "5f0c6f6e-6f0b-4d0e-9a3b-0d6b6d8c1f10"
    static let allDone = "0 oom=no"

    let timeline: Timeline
    let cluster: Cluster
    let server: APIServer
    let runtime: ScriptedRuntime
    let store: InMemoryTaskStore
    let storeAhead: Ahead
    /// What the controllers ask: the same store, unless a test sends it away.
    let asked: AwayStore
    let http: HTTPClient
    let options: Controller.Options
    var hasVolumeClaim: Bool

    /// Some containers play something else.
    static func playing(_ plays: [String: Play]) -> @Sendable (ContainerStart) -> Play? {
        { plays[$0.name] }
    }

    /// By how much the store's clock is ahead of the cluster's and the controllers'.
    final class Ahead: Sendable {
        private let value = Mutex(0.0)

        var seconds: Double {
            get { value.withLock { $0 } }
            set { value.withLock { $0 = newValue } }
        }
    }

    private static func time(_ seconds: Double) -> TES.Timestamp {
        TES.Timestamp(microseconds: Int64(seconds * 1_000_000))
    }

    static func options(_ change: (inout Controller.Options) -> Void) -> Controller.Options {
        var options = Controller.Options(instance: instance)
        change(&options)
        return options
    }

    static func with(
        volumeClaim: Bool = false, pace: Double = pace,
        options: Controller.Options = Controller.Options(instance: instance),
        play: @escaping @Sendable (ContainerStart) -> Play? = playing([:]),
        _ body: (ControllerHarness) async throws -> Void
    ) async throws {
        let timeline = Timeline(.scaled(pace))
        let runtime = ScriptedRuntime { start in
            if let play = play(start) { return play }
            return start.name == "trec" ? .runs() : .ends(0, after: 0.1, message: allDone)
        }
        let cluster = Cluster(timeline: timeline, runtime: runtime)
        let server = try await APIServer.start(cluster)
        let ahead = Ahead()
        let store = InMemoryTaskStore { Self.time(timeline.now + ahead.seconds) }
        let http = HTTPClient()
        var options = options
        options.roundEvery = .milliseconds(50)
        let harness = ControllerHarness(
            timeline: timeline, cluster: cluster, server: server, runtime: runtime, store: store, storeAhead: ahead,
            asked: AwayStore(store), http: http,
            options: options,
            hasVolumeClaim: volumeClaim)
        do { try await body(harness) } catch {
            await server.stop()
            http.close()
            throw error
        }
        await server.stop()
        http.close()
    }

    func client() -> KubernetesClient {
        var configuration = ClusterConfiguration(server: server.url)
        configuration.namespace = "poiesis"
        var options = KubernetesClient.Options()
        options.retry.firstDelay = .milliseconds(20)
        options.requestsPerSecond = 1000
        return KubernetesClient(configuration, http: http, options: options)
    }

    func election(_ identity: String, _ client: KubernetesClient, duration: Int = 9) -> LeaderElection {
        var options = LeaderElection.Options(name: "poiesis-tctl", identity: identity)
        options.duration = duration
        return LeaderElection(client, options: options, now: { store.now() }, logger: Logger(label: identity))
    }

    func controller(_ identity: String = "a") -> Controller {
        let client = client()
        return Controller(
            client: client, store: asked, election: election(identity, client), options: options,
            logger: Logger(label: "tctl-\(identity)", factory: { _ in SwiftLogNoOpLogHandler() }),
            clock: { [timeline = cluster.timeline] in Self.time(timeline.now) },
            render: { [hasVolumeClaim] submission throws(Cause) in
                if submission.task.name == "impossible" { throw Cause.tooLarge(reason: "it is") }
                return Self.objects(submission, hasVolumeClaim)
            })
    }

    /// Runs a controller without asking who leads.
    func led(_ body: () async throws -> Void) async throws { try await withController { _ in try await body() } }

    /// The same; the test looks at the controller.
    func withController(_ body: (Controller) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let controller = controller()
            group.addTask { await controller.lead() }
            defer { group.cancelAll() }
            try await body(controller)
        }
    }

    /// The most Jobs that were at work at one time so far.
    var mostLiveJobs: Int {
        get async { await cluster.most(.jobs) { $0["status"]["completionTime"] == nil } }
    }

    // MARK: Tasks

    func create(_ executors: Int = 1, name: String? = nil, image: String = "busybox:1.35") async throws -> TaskID {
        let id = store.newID()
        let executor = TESExecutor(image: image, command: ["true"])
        let task = TESTask(name: name, executors: Array(repeating: executor, count: executors))
        return try await store.create(NewTask(id: id, principal: .everyone, task: task))
    }

    func task(_ id: TaskID) async throws -> TESTask {
        try #require(try await store.task(id, view: .full, for: .everyone))
    }

    func state(_ id: TaskID) async throws -> TESState? { try await task(id).state }

    /// The lines of all attempts.
    func lines(_ id: TaskID) async throws -> String {
        try await (task(id).logs ?? []).flatMap { $0.systemLogs ?? [] }.joined(separator: "\n")
    }

    /// Waits on the cluster's clock.
    func pass(_ seconds: Double) async throws {
        let end = timeline.now + seconds
        while timeline.now < end { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// Waits until something holds.
    func eventually(
        _ what: String, within seconds: Double = 300, location: SourceLocation = #_sourceLocation,
        _ condition: () async throws -> Bool
    ) async throws {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("it never came: \(what)", sourceLocation: location)
        throw CancellationError()
    }

    /// Waits until a task has ended and nothing of it is left.
    func eventuallyOver(
        _ id: TaskID, _ state: TESState, within seconds: Double = 300, location: SourceLocation = #_sourceLocation
    ) async throws {
        try await eventually("\(state.rawValue)", within: seconds, location: location) {
            try await self.state(id)?.isTerminal == true
        }
        #expect(try await self.state(id) == state, sourceLocation: location)
        try await eventually("nothing is left", location: location) {
            let isClosed = try await store.openSubmissions(of: [id]).isEmpty
            let jobs = await names(.jobs)
            return isClosed && !jobs.contains { $0.contains(id.description) }
        }
    }

    func names(_ resource: KubernetesFake.Resource) async -> [String] {
        await cluster.all(resource).compactMap { $0["metadata"]["name"].text }
    }

    func pod() async throws -> ObjectKey {
        let pods = await cluster.all(.pods)
        return ObjectKey("poiesis", try #require(pods.first?["metadata"]["name"].text))
    }

    func isRunning(_ container: String) async -> Bool {
        await cluster.all(.pods).contains { pod in
            pod["status"]["initContainerStatuses"].items.contains {
                $0["name"].text == container && $0["state"]["running"] != nil
            }
        }
    }

    func requests(_ prefix: String) -> Int { server.requests.count { $0.hasPrefix(prefix) } }

    // MARK: Objects

    private static func objects(_ submission: Submission, _ hasVolumeClaim: Bool) -> SubmissionObjects {
        let name = submission.key.objectName
        let labels = [ObjectLabel.instance: instance, ObjectLabel.task: submission.key.taskID.description]
        func container(_ name: String, image: String = "poiesis:test") -> Container {
            Container(name: name, image: image, command: ["/bin/\(name)"])
        }
        var trec = container("trec")
        trec.restartPolicy = "Always"
        let executors = submission.task.executors.enumerated().map { container("exec-\($0)", image: $1.image) }
        var spec = PodSpec(containers: [container("ack")])
        spec.initContainers = [trec, container("tif")] + executors + [container("tof")]
        spec.restartPolicy = "Never"
        spec.terminationGracePeriodSeconds = 5
        if hasVolumeClaim {
            var volume = Volume(name: "workspace")
            volume.persistentVolumeClaim = PersistentVolumeClaimVolumeSource(claimName: name)
            spec.volumes = [volume]
        }
        var job = Job()
        job.metadata = ObjectMeta(name: name, labels: labels)
        job.spec = JobSpec(
            backoffLimit: 0, template: PodTemplateSpec(metadata: ObjectMeta(labels: labels), spec: spec),
            podReplacementPolicy: "Failed")
        guard hasVolumeClaim else { return SubmissionObjects(job: job, volumeClaim: nil) }
        var claim = PersistentVolumeClaim()
        claim.metadata = ObjectMeta(name: name, labels: labels)
        claim.spec = PersistentVolumeClaimSpec(
            accessModes: ["ReadWriteOnce"], resources: VolumeResourceRequirements(requests: ["storage": "1Gi"]))
        return SubmissionObjects(job: job, volumeClaim: claim)
    }
}
