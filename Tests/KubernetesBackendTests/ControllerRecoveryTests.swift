import KubernetesAPI
import KubernetesBackend
import KubernetesFake
import TES
import TaskCore
import TaskStore
import Testing

/// What a controller does where a clock, a webhook, a node or a configuration is not as it was.
@Suite("Controller recovery", .serialized)
struct ControllerRecoveryTests {
    private static func staying(_ container: String) -> @Sendable (ContainerStart) -> Play? {
        ControllerHarness.playing([container: .runs(untilTerminatedThen: 143)])
    }

    /// With limits that a slow machine does not reach: the cluster's time runs faster than its.
    private static func patient(_ change: (inout Controller.Options) -> Void = { _ in }) -> Controller.Options {
        ControllerHarness.options { options in
            options.limits.obstacles[.recorder] = 100_000
            options.limits.obstacles[.mount] = 100_000
            options.limits.obstacles[.volumeClaim] = 100_000
            options.limits.overdue = 100_000
            change(&options)
        }
    }

    /// A webhook's answer to the creation of some objects.
    private static func webhook(
        _ harness: ControllerHarness, _ resource: KubernetesFake.Resource = .jobs, of tasks: [TaskID], _ code: Int
    ) async {
        let names = Set(tasks.map { SubmissionKey(taskID: $0, number: 1).objectName })
        let message =
            code == 500
            ? #"Internal error occurred: failed calling webhook "a.b": connection refused"#
            : #"admission webhook "a.b" denied the request: not now"#
        await harness.cluster.configure { cluster in
            cluster.policy.webhook = { $0 == resource && names.contains($1) ? (code, message) : nil }
        }
    }

    // MARK: Clocks

    /// A Pod has its time to claim on a clock that does not jump.
    @Test func aJumpOfTheStoresClockEndsNoTask() async throws {
        try await ControllerHarness.with(
            options: Self.patient(), play: Self.staying("tif")
        ) { harness in
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventually("staging runs") { await harness.isRunning("tif") }
                // The task is looked at after it: it has a time of its own on the same clock.
                harness.storeAhead.seconds = 1_000_000
                let canceled = try await harness.create(1)
                try await harness.eventually("its Job") { await harness.names(.jobs).count == 2 }
                _ = try await harness.store.cancel(canceled, for: .everyone)
                try await harness.eventuallyOver(canceled, .canceled)
                #expect(try await harness.state(id) == .queued)
                #expect(await harness.names(.jobs).count == 1)
                // The clock is corrected, and everything goes on.
                harness.storeAhead.seconds = 0
                _ = try await harness.store.cancel(id, for: .everyone)
                try await harness.eventuallyOver(id, .canceled)
            }
        }
    }

    /// The store's clock is another one than the controller's: a Pod has its time after its task's end all the same.
    @Test(arguments: [5000.0, -5000])
    func aJobStaysForItsTimeAfterTheEnd(_ ahead: Double) async throws {
        try await ControllerHarness.with(
            options: Self.patient { $0.limits.afterEnd = 30 }, play: Self.staying("exec-0")
        ) { harness in
            harness.storeAhead.seconds = ahead
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventually("the executor runs") { await harness.isRunning("exec-0") }
                let uid = await harness.cluster.all(.pods).first?["metadata"]["uid"].text
                let key = SubmissionKey(taskID: id, number: 1)
                let attempt = try await harness.store.claim(key, pod: try #require(uid), metadata: [:])
                let begin = harness.cluster.timeline.now
                let end = AttemptRecord(state: .systemError, time: harness.store.now())
                _ = try await harness.store.record(end, for: try #require(attempt).key)
                try await harness.eventuallyOver(id, .systemError)
                #expect(harness.cluster.timeline.now - begin > 29)
            }
        }
    }

    // MARK: The cluster refuses

    @Test func aWebhookThatFailsForSomeTasksHoldsUpNoOthers() async throws {
        try await ControllerHarness.with(pace: 100, options: Self.patient()) { harness in
            var bad: [TaskID] = []
            for _ in 0..<20 { bad.append(try await harness.create(1)) }
            await Self.webhook(harness, of: bad, 500)
            var good: [TaskID] = []
            for _ in 0..<20 { good.append(try await harness.create(1)) }
            try await harness.led {
                for id in good { try await harness.eventuallyOver(id, .complete) }
                for id in bad { #expect(try await harness.state(id) == .queued) }
                await harness.cluster.configure { $0.policy.webhook = nil }
                for id in bad { try await harness.eventuallyOver(id, .complete) }
            }
            for id in bad + good { #expect(try await harness.task(id).logs?.count == 1) }
        }
    }

    @Test(arguments: [KubernetesFake.Resource.jobs, .persistentvolumeclaims])
    func aDenialHasTimeToPass(_ resource: KubernetesFake.Resource) async throws {
        try await ControllerHarness.with(
            volumeClaim: true, pace: 50,
            options: Self.patient { $0.limits.obstacles[.admission] = 1_000_000 }
        ) { harness in
            let id = try await harness.create(1)
            await Self.webhook(harness, resource, of: [id], 403)
            try await harness.led {
                let path = resource == .jobs ? "POST /apis/batch" : "POST /api/v1/namespaces/poiesis/persistent"
                try await harness.eventually("it is tried again") { harness.requests(path) >= 3 }
                #expect(try await harness.state(id) == .queued)
                // Nobody else has to wait.
                try await harness.eventuallyOver(try await harness.create(1), .complete)
                await harness.cluster.configure { $0.policy.webhook = nil }
                try await harness.eventuallyOver(id, .complete)
            }
            #expect(try await harness.task(id).logs?.count == 1)
        }
    }

    @Test(arguments: [400, 403])
    func aDenialThatLastsEndsTheTask(_ code: Int) async throws {
        try await ControllerHarness.with(
            pace: 50, options: Self.patient { $0.limits.obstacles[.admission] = 20 }
        ) { harness in
            let id = try await harness.create(1)
            await Self.webhook(harness, of: [id], code)
            try await harness.led { try await harness.eventuallyOver(id, .systemError) }
            #expect(try await harness.lines(id).contains("the cluster refuses its Job: admission webhook"))
            #expect((harness.requests("POST /apis/batch") == 1) == (code == 400))
        }
    }

    @Test func nodesThatRefusePodsCostNoAttempts() async throws {
        try await ControllerHarness.with(
            volumeClaim: true, pace: 50,
            options: Self.patient { $0.limits.obstacles[.nodeRefusal] = 20 }
        ) { harness in
            await harness.cluster.configure { $0.policy.nodeRefusals = 4 }
            let start = harness.cluster.timeline.now
            let id = try await harness.create(1)
            try await harness.led { try await harness.eventuallyOver(id, .complete) }
            #expect(try await harness.task(id).logs?.count == 1)
            #expect(harness.cluster.timeline.now - start > 80, "there are pauses")
        }
    }

    @Test func nodesThatRefuseAllPodsEndTheTaskInTheEnd() async throws {
        try await ControllerHarness.with(
            pace: 100,
            options: Self.patient { options in
                options.limits.obstacles[.nodeRefusal] = 2
                options.limits.refusals = 2
            }
        ) { harness in
            await harness.cluster.configure { $0.policy.nodeRefusals = 1000 }
            let id = try await harness.create(1)
            try await harness.led { try await harness.eventuallyOver(id, .systemError) }
            #expect(try await harness.task(id).logs?.count == 3)
            #expect(harness.requests("POST /apis/batch") == 6)
            #expect(try await harness.lines(id).contains("its node refused it: OutOfcpu: Pod was rejected"))
        }
    }

    // MARK: The cluster or the configuration is another one

    @Test func nothingIsSubmittedWhereMostRunningTasksAreMissed() async throws {
        try await ControllerHarness.with(options: Self.patient { $0.comparisonEvery = 2 }) { harness in
            var lost: [TaskID] = []
            for number in 0..<10 {
                let id = try await harness.create(1)
                let key = try #require(try await harness.store.submit(id)).key
                _ = try await harness.store.claim(key, pod: "pod-\(number)", metadata: [:])
                lost.append(id)
            }
            let opened = try #require(try await harness.store.submit(try await harness.create(1))).key.taskID
            let waiting = try await harness.create(1)
            try await harness.withController { controller in
                try await harness.eventually("rows and Jobs are compared") { controller.isReady }
                try await Task.sleep(for: .seconds(1))
                #expect(harness.requests("POST /apis/batch") == 0)
                for id in lost { _ = try await harness.store.cancel(id, for: .everyone) }
                try await harness.eventuallyOver(opened, .complete)
                try await harness.eventuallyOver(waiting, .complete)
            }
        }
    }

    @Test func aJobWhoseClaimIsNoLongerMadeIsSubmittedAnew() async throws {
        try await ControllerHarness.with(volumeClaim: true, options: Self.patient()) { harness in
            let id = try await harness.create(1)
            harness.server.faults.add(
                Fault(.status(403), methods: ["POST"], path: "/persistentvolumeclaims", times: nil))
            try await harness.led {
                try await harness.eventually("its Job") { await harness.names(.jobs).count == 1 }
            }
            // The operator prefers an emptyDir now.
            var later = harness
            later.hasVolumeClaim = false
            try await later.led { try await later.eventuallyOver(id, .complete) }
            #expect(try await harness.task(id).logs?.count == 1)
            #expect(harness.requests("POST /apis/batch") == 2)
        }
    }

    // MARK: What a watch did not tell

    /// As where a Job's creation is told after its end: nobody tells of its end again.
    @Test func aJobThatIsGoneWhenItIsDeletedIsNotWaitedFor() async throws {
        try await ControllerHarness.with(options: Self.patient(), play: Self.staying("tif")) { harness in
            let id = try await harness.create(1)
            try await harness.led {
                try await harness.eventually("staging runs") { await harness.isRunning("tif") }
            }
            harness.server.faults.add(Fault(.silence, watch: true, times: nil))
            try await harness.withController { controller in
                try await harness.eventually("it is listed") { controller.isReady }
                let name = SubmissionKey(taskID: id, number: 1).objectName
                _ = try await harness.client().delete(Job.self, name, propagation: .background)
                try await harness.eventually("its Pod is gone") { await harness.names(.pods).isEmpty }
                _ = try await harness.store.cancel(id, for: .everyone)
                try await harness.eventuallyOver(id, .canceled)
            }
        }
    }

    // MARK: Events

    /// Many Jobs without a Pod: their Events come with a list for all.
    @Test func oneListOfEventsIsForAll() async throws {
        try await ControllerHarness.with(
            options: Self.patient { options in
                options.limits.obstacles[.admission] = 20
                options.eventsEvery = 3
            }
        ) { harness in
            await harness.cluster.configure { $0.policy.restricted = ["poiesis"] }
            let start = harness.cluster.timeline.now
            var ids: [TaskID] = []
            for _ in 0..<30 { ids.append(try await harness.create(1)) }
            try await harness.led {
                for id in ids { try await harness.eventuallyOver(id, .systemError) }
            }
            for id in ids { #expect(try await harness.lines(id).contains("the cluster refuses its Pod")) }
            let lists = harness.server.requests.count {
                $0.hasPrefix("GET /api/v1/namespaces/poiesis/events") && !$0.contains("continue=")
            }
            // Each second at most.
            #expect(Double(lists) <= harness.cluster.timeline.now - start + 1)
            #expect(lists > 0)
        }
    }
}
