import KubernetesFake
import Synchronization
import Testing

/// The fake plays the recorded scenarios: it gets their requests, at their times, and its Pods and Jobs go through the same states.
@Suite(.enabled(if: Recordings.present)) struct RecordedLifeTests {
    /// What is not in the recording's requests.
    struct Circumstances: Sendable {
        var missingImages: [String: String] = [:]
        var configure: @Sendable (isolated Cluster) -> Void = { _ in }
        var seconds: Double = 0
        /// States of one stream alone are compared where the recording holds chance in the other.
        var jobs = true
        /// Whether it is about a Pod that cannot be scheduled: else it is chance if the claim is bound in time.
        var scheduling = false
        /// When the kubelet evicts the Pod on its own account, and what it says.
        var eviction: (at: Double, message: String)?
    }

    static let scenarios: [(String, Circumstances)] =
        [
            "complete", "exec-0-exit-42", "exec-1-fails", "tif-fails", "tof-fails", "ack-fails", "exec-0-oom-killed",
            "exec-0-oom-child", "exec-0-oom-child-exit-0", "exec-0-signalled", "command-not-found", "cancel-background",
            "cancel-foreground", "cancel-stubborn",
            "cancel-exec-without-handler", "cancel-trec-lingers", "cancel-during-ack", "pod-deleted", "evicted-by-api",
            "deadline-exceeded", "kueue-suspended", "kueue-preempted", "ttl-after-finished", "trec-stubborn",
            "trec-stubborn-failure", "trec-exits-nonzero", "subpath", "argv-expansion",
            "termination-messages-96", "termination-messages-4096", "termination-messages-one", "shim-complete",
            "shim-exec-0-fails", "shim-ignore-error", "shim-oom", "shim-oom-ended-0", "shim-killed",
            "shim-cancel-running",
            "shim-cancel-stubborn", "shim-cancel-waiting", "shim-refused", "shim-evicted", "shim-sandbox-lost",
            "recorder-complete", "recorder-exec-fails", "recorder-cancelled", "trec-crashes", "shim-trec-crashes",
            "shim-sandbox-lost-exit-0", "shim-node-restarted", "shim-non-root", "shim-restricted",
            "image-entrypoint",
        ].map { ($0, Circumstances()) } + special

    private static let special: [(String, Circumstances)] = [
        ("pvc-late", Circumstances(scheduling: true)),
        ("unschedulable", Circumstances(scheduling: true)),
        ("pvc-unbound", Circumstances(scheduling: true)),
        ("quota-exceeded", Circumstances(configure: { $0.policy.podQuota = ["poiesis": 0] })),
        ("shim-restricted-violated", Circumstances(configure: { $0.policy.restricted = ["poiesis-restricted"] })),
        ("secret-missing", Circumstances()),
        ("volume-missing", Circumstances()),
        ("image-name-invalid", Circumstances()),
        ("image-pull-backoff", slowImages(["registry.example.org/no/such:1"], shown: 15.4, backOff: 25)),
        ("trec-image-missing", slowImages(["registry.example.org/poiesis:0"], shown: 0.8, backOff: 12.3)),
        ("shim-later-image-missing", slowImages(["registry.invalid/nope:1"], shown: 0.9, backOff: 12.3)),
        ("shim-cancel-between", slowImages(["registry.invalid/nope:1"], shown: 15, backOff: 12.3)),
        ("pod-force-deleted", Circumstances(jobs: false)),
        ("node-not-ready-short", Circumstances()),
        ("node-not-ready", Circumstances(configure: { $0.addNode("spare") })),
        ("shim-tenth-image-missing", slowImages(["registry.invalid/nope:1"], shown: 15, backOff: 12.3)),
        (
            "shim-evicted-emptydir",
            Circumstances(
                eviction: (at: 54.1, message: "Usage of EmptyDir volume \"workspace\" exceeds the limit \"20Mi\". "))
        ),
    ]

    /// Recorded, and not played; `RecordingTests` replays all of them.
    private static let left: [String: String] = [
        "command-not-executable": "that the sandbox is ready before the kubelet's first look at it is chance",
        "shim-sandbox-lost-between": "the same",
        "evicted-emptydir": "it is chance whether the kubelet learns the end of a container that it killed",
        "evicted-ephemeral-storage": "the same",
        "shim-trec-away": "it is chance when a sidecar that was killed from outside is started again",
        "shim-trec-keeps-ending": "a sidecar ends before the container beside it is seen running",
        "trec-never-ready": "probes are not played: no container of ours has one",
        "trec-startup-probe": "the same",
    ]

    @Test func everyRecordedLifeIsPlayedOrSaysWhyNot() throws {
        let played = Self.scenarios.map(\.0)
        #expect(Set(played).isDisjoint(with: Self.left.keys) && Set(played).count == played.count)
        #expect(try Recordings.lives == Set(played).union(Self.left.keys))
    }

    private static func slowImages(_ images: [String], shown: Double, backOff: Double) -> Circumstances {
        Circumstances(
            missingImages: Dictionary(uniqueKeysWithValues: images.map { ($0, "\($0): not found") }),
            configure: {
                $0.timing.imageError = shown
                $0.timing.imageBackOff = backOff
            })
    }

    @Test(arguments: scenarios)
    func aScenarioGoesThroughTheRecordedStates(_ name: String, _ circumstances: Circumstances) async throws {
        let scenario = try RecordedScenario(name)
        let run = try await ScenarioRun(scenario, circumstances).finish()
        let pods = Digest.changes(try Recordings.watch("\(name)/pods.watch.jsonl"), Digest.pod)
            .filter { circumstances.scheduling || !$0.contains("-PodScheduled") }
        let jobs = Digest.changes(try Recordings.watch("\(name)/jobs.watch.jsonl"), Digest.job)
        let found = Digest.changes(run.pods, Digest.pod)
            .filter { circumstances.scheduling || !$0.contains("-PodScheduled") }
        expect(found, pods)
        if circumstances.jobs { expect(Digest.changes(run.jobs, Digest.job), jobs) }
    }

    private func expect(_ found: [String], _ recorded: [String]) {
        let index =
            zip(found, recorded).enumerated().first { $0.element.0 != $0.element.1 }?.offset
            ?? min(found.count, recorded.count)
        let near = max(0, index - 1)..<(index + 3)
        #expect(
            found == recorded,
            """
            first difference at state \(index) of \(recorded.count)
            recorded: \(recorded.enumerated().filter { near.contains($0.offset) }.map(\.element).joined(separator: "\n          "))
            found:    \(found.enumerated().filter { near.contains($0.offset) }.map(\.element).joined(separator: "\n          "))
            """)
    }
}

/// One scenario on one cluster whose clock is stepped.
struct ScenarioRun {
    /// Keeps a watch's lines.
    final class Sink: WatchSink {
        let events = Mutex<[WatchEvent]>([])
        func send(_ bytes: [UInt8]) {
            for line in bytes.split(separator: 10) {
                guard let event = try? WatchEvent(line: Array(line)) else { continue }
                events.withLock { $0.append(event) }
            }
        }
        func finish() {}
    }

    private let scenario: RecordedScenario
    private let circumstances: RecordedLifeTests.Circumstances
    private let cluster: Cluster
    private let podSink = Sink()
    private let jobSink = Sink()

    var pods: [WatchEvent] { podSink.events.withLock { $0 } }
    var jobs: [WatchEvent] { jobSink.events.withLock { $0 } }

    init(_ scenario: RecordedScenario, _ circumstances: RecordedLifeTests.Circumstances) async throws {
        self.scenario = scenario
        self.circumstances = circumstances
        let order = Mutex<[String]>([])
        let runtime = ScriptedRuntime { start in
            let pod = order.withLock { order in
                if !order.contains(start.podUID) { order.append(start.podUID) }
                return order.firstIndex(of: start.podUID) ?? 0
            }
            return scenario.play(start.name, pod: pod, restarts: start.restarts)
        }
        for (image, why) in circumstances.missingImages { runtime.setMissing(image, why) }
        cluster = Cluster(
            timeline: Timeline(.stepped, start: 1_795_240_319), runtime: runtime, namespaces: [scenario.namespace])
        await cluster.advance(0.01)
        await cluster.configure(circumstances.configure)
        await cluster.watchEverything(.pods, podSink)
        await cluster.watchEverything(.jobs, jobSink)
    }

    private func send(_ method: String, _ target: String, _ body: JSON? = nil) async throws -> JSON {
        let type = method == "PATCH" ? "application/merge-patch+json" : "application/json"
        let request = APIRequest(
            method: method, target: target, headers: ["content-type": type], body: body?.bytes ?? [])
        let response = await cluster.answer(request)
        #expect(200..<300 ~= response.status, "\(method) \(target): \(String(decoding: response.body, as: UTF8.self))")
        return response.object ?? .null
    }

    func finish() async throws -> ScenarioRun {
        let jobs = "/apis/batch/v1/namespaces/\(scenario.namespace)/jobs"
        let job = try await send("POST", jobs, scenario.request["job"])
        let name = job["metadata"]["name"].text ?? ""
        var time = 0.0
        for (at, action) in scenario.actions {
            await cluster.advance(max(0, at - time))
            time = max(time, at)
            let pod = await cluster.all(.pods).first { $0["metadata"]["deletionTimestamp"] == nil }
            let key = ObjectKey(scenario.namespace, pod["metadata"]["name"].text ?? "")
            let podPath = "/api/v1/namespaces/\(scenario.namespace)/pods/\(key.name)"
            switch action {
            case .postClaim:
                var claim = scenario.request["pvc"] ?? .null
                claim["metadata"]["ownerReferences"] = .array(
                    claim["metadata"]["ownerReferences"].items.map { owner in
                        var owner = owner
                        owner["uid"] = job["metadata"]["uid"]
                        return owner
                    })
                _ = try await send("POST", "/api/v1/namespaces/\(scenario.namespace)/persistentvolumeclaims", claim)
            case .deleteJob(let policy):
                _ = try await send("DELETE", "\(jobs)/\(name)?propagationPolicy=\(policy)")
            case .deletePod(let grace):
                _ = try await send("DELETE", podPath + (grace.map { "?gracePeriodSeconds=\($0)" } ?? ""))
            case .evictPod:
                let eviction: JSON = [
                    "apiVersion": "policy/v1", "kind": "Eviction",
                    "metadata": ["name": .string(key.name), "namespace": .string(scenario.namespace)],
                ]
                _ = try await send("POST", podPath + "/eviction", eviction)
            case .suspend(let value):
                _ = try await send("PATCH", "\(jobs)/\(name)", ["spec": ["suspend": .bool(value)]])
            case .removeQuota: await cluster.configure { $0.policy.podQuota = [:] }
            case .stopKubelet: await cluster.stopKubelet("localhost")
            case .startKubelet: await cluster.startKubelet("localhost")
            case .loseSandbox: await cluster.loseSandbox(key)
            case .restartNode: await cluster.restartNode("localhost", away: 4)
            }
        }
        if let (at, message) = circumstances.eviction {
            await cluster.advance(at - time)
            time = at
            let pod = await cluster.all(.pods).first
            await cluster.evictByKubelet(
                ObjectKey(scenario.namespace, pod["metadata"]["name"].text ?? ""), message)
        }
        await cluster.advance(max(0, scenario.length - time) + circumstances.seconds + 8)
        return self
    }
}
