import KubernetesFake
import Synchronization
import Testing

/// Rules of the recordings that no single scenario shows, and what the fake promises beside them.
@Suite struct ClusterTests {
    private static func job(_ name: String, containers: Int = 1, labels: [String: String] = [:]) -> JSON {
        func container(_ name: String) -> JSON { ["name": .string(name), "image": "busybox:1.35"] }
        var sidecar = container("trec")
        sidecar["restartPolicy"] = "Always"
        let executors = (0..<containers).map { container("exec-\($0)") }
        return [
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": ["name": .string(name), "labels": .object(labels.mapValues(JSON.string))],
            "spec": [
                "backoffLimit": 0,
                "template": [
                    "metadata": ["labels": .object(labels.mapValues(JSON.string))],
                    "spec": [
                        "restartPolicy": "Never", "terminationGracePeriodSeconds": 5,
                        "initContainers": .array([sidecar] + executors), "containers": [container("ack")],
                    ],
                ],
            ],
        ]
    }

    private static let jobs = "/apis/batch/v1/namespaces/poiesis/jobs"

    private func cluster(_ play: @escaping @Sendable (ContainerStart) -> Play) async -> Cluster {
        let cluster = Cluster(timeline: Timeline(.stepped), runtime: ScriptedRuntime(play))
        await cluster.runDueNow()
        return cluster
    }

    private func post(_ job: JSON, to cluster: Cluster) async {
        let answer = await cluster.answer(APIRequest(method: "POST", target: Self.jobs, body: job.bytes))
        #expect(answer.status == 201)
    }

    private static func work(_ start: ContainerStart) -> Play {
        start.name == "trec" ? .runs() : .ends(0, after: 0.1)
    }

    @Test func aKubeletSends25NormalEventsOfAPodAndNoMore() async throws {
        let cluster = await cluster(Self.work)
        await post(Self.job("many", containers: 12), to: cluster)
        await cluster.advance(60)
        let events = await cluster.all(.events).filter { $0["reportingComponent"] == "kubelet" }
        #expect(events.count { $0["type"] == "Normal" } == 25)
        #expect(await cluster.all(.jobs)[0]["status"]["succeeded"] == 1)
    }

    @Test func aSidecarThatKeepsEndingIsRestartedLaterEachTimeAndTheOthersAreStarted() async throws {
        let starts = Mutex<[Double]>([])
        let timeline = Timeline(.stepped, start: 1000)
        let runtime = ScriptedRuntime { start in
            if start.name == "trec" { starts.withLock { $0.append(timeline.now) } }
            return start.name == "trec" ? .ends(1, after: 0.01) : .runs(untilTerminatedThen: 143)
        }
        let cluster = Cluster(timeline: timeline, runtime: runtime)
        await cluster.runDueNow()
        await post(Self.job("restless"), to: cluster)
        await cluster.advance(70)
        let gaps = starts.withLock { times in zip(times, times.dropFirst()).map { ($1 - $0).rounded() } }
        #expect(gaps == [1, 14, 21])
        let pod = try #require(await cluster.all(.pods).first)
        let statuses = pod["status"]["initContainerStatuses"].items
        #expect(statuses[0]["restartCount"] == 3)
        #expect(statuses[0]["state"]["terminated"]["exitCode"] == 1)
        #expect(statuses[0]["lastState"]["terminated"]["exitCode"] == 1)
        #expect(statuses[1]["state"]["running"] != nil)
        #expect(pod["status"]["phase"] == "Pending")
    }

    @Test func aPodIsDeletedWhenItsNodeIsAwayAndAnotherIsWell() async throws {
        let cluster = await cluster { $0.name == "trec" ? .runs() : .ends(0, after: 10) }
        await cluster.configure { $0.addNode("spare") }
        await post(Self.job("away"), to: cluster)
        await cluster.advance(5)
        await cluster.stopKubelet("localhost")
        await cluster.advance(49)
        #expect(await cluster.all(.nodes)[0]["spec"]["taints"] == nil)
        await cluster.advance(2)
        #expect(await cluster.all(.nodes)[0]["status"]["conditions"].items[0]["status"] == "Unknown")
        await cluster.advance(301)
        let pod = try #require(await cluster.all(.pods).first)
        #expect(pod["metadata"]["deletionTimestamp"] != nil)
        let reasons = pod["status"]["conditions"].items.compactMap { $0["reason"].text }
        #expect(reasons.contains("DeletionByTaintManager"))
        // Containers run on, unseen: exec-0 has ended long ago.
        #expect(pod["status"]["initContainerStatuses"].items[1]["state"]["running"] != nil)
        let log = await cluster.answer(
            APIRequest(
                method: "GET", target: "/api/v1/namespaces/poiesis/pods/\(pod["metadata"]["name"].text ?? "")/log"))
        #expect(log.status == 500)
        await cluster.startKubelet("localhost")
        await cluster.advance(10)
        #expect(await cluster.all(.pods).isEmpty)
        #expect(await cluster.all(.jobs)[0]["status"]["failed"] == 1)
    }

    @Test func aPodStaysWhenTheOnlyNodeIsAway() async throws {
        let cluster = await cluster { $0.name == "trec" ? .runs() : .ends(0, after: 10) }
        await post(Self.job("alone"), to: cluster)
        await cluster.advance(5)
        await cluster.stopKubelet("localhost")
        await cluster.advance(600)
        #expect(await cluster.all(.pods)[0]["metadata"]["deletionTimestamp"] == nil)
        await cluster.startKubelet("localhost")
        await cluster.advance(30)
        #expect(await cluster.all(.jobs)[0]["status"]["succeeded"] == 1)
    }

    @Test func aKubeletEvictsWithoutGraceAndKnowsNothingOfTheEnds() async throws {
        let cluster = await cluster { _ in .ignoresSignals }
        await post(Self.job("evicted"), to: cluster)
        await cluster.advance(3)
        let name = try #require(await cluster.all(.pods)[0]["metadata"]["name"].text)
        await cluster.evictByKubelet(
            ObjectKey("poiesis", name), "Usage of EmptyDir volume \"workspace\" exceeds the limit")
        await cluster.advance(10)
        let pod = try #require(await cluster.all(.pods).first)
        #expect(pod["status"]["phase"] == "Failed")
        #expect(pod["status"]["reason"] == "Evicted")
        #expect(pod["metadata"]["deletionTimestamp"] == nil)
        let end = pod["status"]["initContainerStatuses"].items[1]["state"]["terminated"]
        #expect(end["reason"] == "ContainerStatusUnknown")
        #expect(end["startedAt"] == .some(.null))
        #expect(await cluster.all(.jobs)[0]["status"]["failed"] == 1)
    }

    @Test func aJobDeletedWithoutPolicyOrphansItsPod() async throws {
        let cluster = await cluster { _ in .runs() }
        await post(Self.job("orphaned"), to: cluster)
        await cluster.advance(3)
        let answer = await cluster.answer(APIRequest(method: "DELETE", target: Self.jobs + "/orphaned"))
        #expect(answer.status == 200)
        await cluster.advance(5)
        #expect(await cluster.all(.jobs).isEmpty)
        let pod = try #require(await cluster.all(.pods).first)
        #expect(pod["metadata"]["ownerReferences"] == nil)
        #expect(pod["metadata"]["deletionTimestamp"] == nil)
    }

    @Test func aProgramPlaysAContainerOnAScaledClock() async throws {
        let timeline = Timeline(.scaled(50))
        let runtime = ScriptedRuntime { start in
            if start.name == "trec" {
                return .program { container in
                    container.write("up")
                    await container.untilTerminated()
                    return ContainerEnd(0)
                }
            }
            return .program { container in
                await container.sleep(1)
                return ContainerEnd(0, message: container.start.environment.first?.value ?? "")
            }
        }
        let cluster = Cluster(timeline: timeline, runtime: runtime)
        var job = Self.job("scaled")
        var executors = job["spec"]["template"]["spec"]["initContainers"].items
        executors[1]["env"] = [
            ["name": "POD", "valueFrom": ["fieldRef": ["fieldPath": "metadata.labels['job-name']"]]]
        ]
        job["spec"]["template"]["spec"]["initContainers"] = .array(executors)
        await cluster.runDueNow()
        await post(job, to: cluster)
        for _ in 0..<12_000 {
            if await cluster.all(.jobs)[0]["status"]["succeeded"] == 1 { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(await cluster.all(.jobs)[0]["status"]["succeeded"] == 1)
        let pod = try #require(await cluster.all(.pods).first)
        #expect(pod["status"]["initContainerStatuses"].items[1]["state"]["terminated"]["message"] == "scaled")
    }

    @Test func aThousandPodsLiveAndEndWhileAWatchLooksOn() async throws {
        let cluster = await cluster(Self.work)
        let sink = Count()
        await cluster.watchEverything(.pods, sink)
        for number in 0..<1000 {
            await post(Self.job("task-\(number)", labels: ["poiesis.io/task": "\(number)"]), to: cluster)
        }
        await cluster.advance(20)
        #expect(await cluster.all(.jobs).allSatisfy { $0["status"]["succeeded"] == 1 })
        #expect(sink.lines.withLock { $0 } > 10_000)
    }

    private final class Count: WatchSink {
        let lines = Mutex(0)
        func send(_ bytes: [UInt8]) { lines.withLock { $0 += 1 } }
        func finish() {}
    }
}
