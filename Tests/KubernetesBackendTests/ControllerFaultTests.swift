import KubernetesAPI
import KubernetesBackend
import KubernetesFake
import TES
import TaskCore
import TaskStore
import Testing

/// What a controller does not do because it, its store or its cluster was away, or is another one.
@Suite("Controller faults", .serialized)
struct ControllerFaultTests {
    private static func staying(_ container: String) -> @Sendable (ContainerStart) -> Play? {
        ControllerHarness.playing([container: .runs(untilTerminatedThen: 143)])
    }

    @Test func aStoreThatWasAwayForLongEndsNoTask() async throws {
        try await ControllerHarness.with(
            pace: 100, options: ControllerHarness.options { $0.limits.obstacles[.recorder] = 120 },
            play: Self.staying("tif")
        ) { harness in
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventually("staging runs") { await harness.isRunning("tif") }
                harness.asked.isAway = true
                try await harness.pass(200)
                harness.asked.isAway = false
                try await harness.pass(60)
                #expect(try await harness.state(id) == .queued)
                // Nobody claims it all the same.
                try await harness.eventuallyOver(id, .systemError)
            }
        }
    }

    /// Both believe that they lead, as where one has slept: what each writes is conditional, and every task runs once.
    @Test func twoControllersAtOnceDoNoHarm() async throws {
        try await ControllerHarness.with(volumeClaim: true, pace: 50) { harness in
            var ids: [TaskID] = []
            for _ in 0..<20 { ids.append(try await harness.create(1)) }
            try await harness.led {
                try await harness.led {
                    for id in ids { try await harness.eventuallyOver(id, .complete) }
                }
            }
            for id in ids { #expect(try await harness.task(id).logs?.count == 1) }
            #expect(harness.requests("POST /apis/batch") <= 2 * ids.count)
            #expect(await harness.names(.persistentvolumeclaims).isEmpty)
        }
    }

    /// What was compacted or came half is read anew, and nothing is judged by it.
    @Test func halfAListAndACompactedHistoryEndNoTask() async throws {
        try await ControllerHarness.with(pace: 50, play: Self.staying("exec-0")) { harness in
            let id = try await harness.create(1)
            try await harness.led {
                try await harness.eventually("the executor runs") { await harness.isRunning("exec-0") }
            }
            let uid = await harness.cluster.all(.pods).first?["metadata"]["uid"].text
            let key = SubmissionKey(taskID: id, number: 1)
            #expect(try await harness.store.claim(key, pod: try #require(uid), metadata: [:]) != nil)
            harness.server.faults.add(Fault(.halfAnswer, methods: ["GET"], times: 6))
            try await harness.led {
                try await harness.pass(200)
                await harness.cluster.compact()
                harness.server.faults.add(Fault(.breakWatch(afterLines: 0), watch: true, times: 6))
                try await harness.pass(200)
                #expect(try await harness.state(id) == .initializing)
                #expect(await harness.names(.jobs).count == 1)
                #expect(try await harness.store.cancel(id, for: .everyone) == .canceling)
                try await harness.eventuallyOver(id, .canceled)
            }
        }
    }

    @Test func aPodIsReadAgainBeforeItIsGivenUp() async throws {
        try await ControllerHarness.with(
            pace: 50, options: ControllerHarness.options { $0.limits.obstacles[.image] = 100 },
            play: Self.staying("exec-0")
        ) { harness in
            harness.runtime.setMissing("late:1", "late:1: not found")
            let id = try await harness.create(1, image: "late:1")
            try await harness.led {
                try await harness.eventually("the image is missed") {
                    await harness.cluster.all(.pods).contains { pod in
                        pod["status"]["initContainerStatuses"].items.contains {
                            $0["state"]["waiting"]["reason"].text == "ErrImagePull"
                        }
                    }
                }
            }
            // The next leader's list shows that, and its watch hangs.
            harness.server.faults.add(Fault(.silence, path: "/pods", watch: true, times: nil))
            try await harness.led {
                try await harness.eventually("it is listed") {
                    harness.requests("GET /api/v1/namespaces/poiesis/pods") > 3
                }
                harness.runtime.setMissing("late:1", nil)
                try await harness.eventually("the executor runs") { await harness.isRunning("exec-0") }
                try await harness.pass(150)
                #expect(try await harness.state(id) == .queued)
                #expect(await harness.names(.jobs).count == 1)
                #expect(harness.server.requests.contains { $0.contains("job-name") }, "it was read again")
            }
        }
    }

    @Test(arguments: [9, 10])
    func manyRunningTasksWithoutJobsAreLeftAlone(_ count: Int) async throws {
        try await ControllerHarness.with(options: ControllerHarness.options { $0.comparisonEvery = 2 }) { harness in
            var ids: [TaskID] = []
            for number in 0..<count {
                let id = try await harness.create(1)
                let key = try #require(try await harness.store.submit(id)).key
                _ = try await harness.store.claim(key, pod: "pod-\(number)", metadata: [:])
                ids.append(id)
            }
            try await harness.led {
                if count < 10 {
                    for id in ids {
                        try await harness.eventually("it is tried again") {
                            try await harness.lines(id).contains("its Pod is gone")
                        }
                    }
                    return
                }
                try await harness.pass(10)
                for id in ids { #expect(try await harness.state(id) == .initializing) }
                // A user who knows better has the last word; then it is an accident of nine.
                _ = try await harness.store.cancel(ids[0], for: .everyone)
                try await harness.eventuallyOver(ids[0], .canceled)
                try await harness.eventually("the others are tried again") {
                    try await harness.lines(ids[1]).contains("its Pod is gone")
                }
            }
        }
    }

    @Test func aClusterThatTakesNoJobsIsNotAskedForMoreAndMore() async throws {
        try await ControllerHarness.with(pace: 100) { harness in
            harness.server.faults.add(Fault(.status(403), methods: ["POST"], path: "/jobs", times: nil))
            var ids: [TaskID] = []
            for _ in 0..<60 { ids.append(try await harness.create(1)) }
            try await harness.led {
                func open() async throws -> Int {
                    try await harness.store.openSubmissions(after: nil, limit: 100).count
                }
                try await harness.eventually("some are tried") { try await open() >= 10 }
                try await harness.pass(200)
                #expect(try await open() <= 32)
                harness.server.faults.clear()
                for id in ids { try await harness.eventuallyOver(id, .complete) }
            }
        }
    }

    @Test func whatWasOpenedBeforeKeepsToTheLimitToo() async throws {
        try await ControllerHarness.with(options: ControllerHarness.options { $0.maxLiveJobs = 2 }) { harness in
            var ids: [TaskID] = []
            for _ in 0..<6 {
                ids.append(try #require(try await harness.store.submit(try await harness.create(1))).key.taskID)
            }
            try await harness.led {
                for id in ids { try await harness.eventuallyOver(id, .complete) }
                #expect(await harness.mostLiveJobs == 2)
            }
        }
    }

    @Test func aCancelDoesNotWaitForAnAnswerThatNeverComes() async throws {
        try await ControllerHarness.with(play: Self.staying("tif")) { harness in
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventually("staging runs") { await harness.isRunning("tif") }
                harness.server.faults.add(Fault(.silence, methods: ["POST"], path: "/jobs", times: nil))
                _ = try await harness.create(1)
                try await harness.eventually("it is asked for") { harness.requests("POST /apis/batch") == 2 }
                _ = try await harness.store.cancel(id, for: .everyone)
                try await harness.eventuallyOver(id, .canceled)
                // Nor was that one given up meanwhile, and asked again.
                #expect(harness.requests("POST /apis/batch") == 2)
            }
        }
    }

    @Test func nothingIsKeptOfWhatIsOver() async throws {
        try await ControllerHarness.with(volumeClaim: true) { harness in
            try await harness.withController { controller in
                let done = try await harness.create(1)
                let canceled = try await harness.create(1)
                try await harness.eventually("both are followed") { controller.followed == 2 }
                _ = try await harness.store.cancel(canceled, for: .everyone)
                try await harness.eventuallyOver(done, .complete)
                try await harness.eventuallyOver(canceled, .canceled)
                try await harness.eventually("nothing is kept") { controller.followed == 0 }
            }
        }
    }

    /// In a run without faults: the Job and its claim are made, the Job is deleted, and that is all that is written.
    @Test func aTaskCostsTwoWritesToSubmitAndOneToCleanUp() async throws {
        try await ControllerHarness.with(volumeClaim: true) { harness in
            try await harness.led {
                var ids: [TaskID] = []
                for _ in 0..<5 { ids.append(try await harness.create(2)) }
                for id in ids { try await harness.eventuallyOver(id, .complete) }
                let writes = harness.server.requests.filter { !$0.hasPrefix("GET ") }
                #expect(writes.count { $0.hasPrefix("POST ") } == 10)
                #expect(writes.count { $0.hasPrefix("DELETE ") } == 5)
                #expect(writes.count == 15, "\(writes.joined(separator: "\n"))")
                // Besides, three lists and three watches.
                #expect(harness.requests("GET ") <= 6)
            }
        }
    }
}
