import KubernetesAPI
import KubernetesBackend
import KubernetesFake
import TES
import TaskCore
import TaskStore
import Testing

/// The controller on a fake cluster that is held to recordings of a real one.
@Suite("Controller", .serialized)
struct ControllerTests {
    private static func staying(_ container: String) -> @Sendable (ContainerStart) -> Play? {
        ControllerHarness.playing([container: .runs(untilTerminatedThen: 143)])
    }

    /// The executor of each task's first Job stays.
    private static let firstStays: @Sendable (ContainerStart) -> Play? = { start in
        let isFirst = start.pod["metadata"]["labels"]["batch.kubernetes.io/job-name"].text?.hasSuffix("-1") ?? false
        return start.name == "exec-0" && isFirst ? .runs(untilTerminatedThen: 143) : nil
    }

    @Test func aWaitingTaskRunsAndNothingIsLeft() async throws {
        try await ControllerHarness.with(volumeClaim: true) { harness in
            try await harness.led {
                let id = try await harness.create(2)
                try await harness.eventually("a claim") { await harness.names(.persistentvolumeclaims).count == 1 }
                let claim = await harness.cluster.all(.persistentvolumeclaims)[0]
                #expect(claim["metadata"]["name"].text == "poiesis-\(id)-1")
                #expect(claim["metadata"]["ownerReferences"].items.first?["kind"].text == "Job")
                try await harness.eventuallyOver(id, .complete)
                #expect(try await harness.task(id).logs?.first?.logs.map { $0.exitCode } == [0, 0])
                try await harness.eventually("the disk is free") {
                    await harness.names(.persistentvolumeclaims).isEmpty
                }
                #expect(harness.requests("POST /apis/batch") == 1)
            }
        }
    }

    @Test func anExecutorsFailureIsTheTasks() async throws {
        try await ControllerHarness.with(
            play: ControllerHarness.playing([
                "exec-0": .ends(0, after: 0.1, message: "42 oom=no"), "ack": .ends(1, after: 0.1),
            ])
        ) { harness in
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventuallyOver(id, .executorError)
                #expect(try await harness.task(id).logs?.first?.logs.map { $0.exitCode } == [42])
            }
        }
    }

    @Test func aCancelDeletesTheJobAndIsRecorded() async throws {
        try await ControllerHarness.with(play: Self.staying("exec-0")) { harness in
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventually("the executor runs") { await harness.isRunning("exec-0") }
                let pod = try await harness.pod()
                let uid = await harness.cluster.object(.pods, pod)?["metadata"]["uid"].text
                let key = SubmissionKey(taskID: id, number: 1)
                #expect(try await harness.store.claim(key, pod: try #require(uid), metadata: [:]) != nil)
                #expect(try await harness.store.cancel(id, for: .everyone) == .canceling)
                try await harness.eventuallyOver(id, .canceled)
                try await harness.eventually("its Pod is gone") { await harness.names(.pods).isEmpty }
            }
        }
    }

    @Test(arguments: [false, true])
    func aTaskThatIsCanceledBeforeItsPodClaimedItGoes(_ deletionsFail: Bool) async throws {
        try await ControllerHarness.with(play: Self.staying("tif")) { harness in
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventually("staging runs") { await harness.isRunning("tif") }
                if deletionsFail { harness.server.faults.add(Fault(.status(500), methods: ["DELETE"], times: 12)) }
                #expect(try await harness.store.cancel(id, for: .everyone) == .canceled)
                try await harness.eventuallyOver(id, .canceled)
            }
        }
    }

    @Test func aPodThatNeverEndsIsEnded() async throws {
        let play = Play.script(Script(end: KubernetesFake.ContainerEnd(0, reason: "OOMKilled"), after: 0.1))
        try await ControllerHarness.with(play: ControllerHarness.playing(["exec-0": play])) { harness in
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventuallyOver(id, .executorError)
                #expect(try await harness.lines(id).contains("ask for more ram_gb"))
            }
        }
    }

    @Test func anEvictedTaskIsTriedAgain() async throws {
        try await ControllerHarness.with(play: Self.firstStays) { harness in
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventually("the executor runs") { await harness.isRunning("exec-0") }
                await harness.cluster.evictByKubelet(try await harness.pod(), "The node was low on resource: memory. ")
                try await harness.eventuallyOver(id, .complete)
                let logs = try await harness.task(id).logs
                #expect(logs?.count == 2)
                let line = "the attempt was evicted: The node was low on resource: memory; the task is queued again"
                #expect(logs?.first?.systemLogs?.last == line)
                #expect(harness.server.requests.contains { $0.hasPrefix("POST /apis/batch") })
            }
        }
    }

    @Test func anImageThatCannotBeHadEndsTheTask() async throws {
        try await ControllerHarness.with(options: ControllerHarness.options { $0.limits.obstacles[.image] = 20 }) {
            harness in
            harness.runtime.setMissing("no/such:1", "no/such:1: not found")
            try await harness.led {
                let id = try await harness.create(1, image: "no/such:1")
                try await harness.eventuallyOver(id, .systemError)
                #expect(try await harness.lines(id).contains("the image \"no/such:1\" of executor 0 cannot be had"))
            }
        }
    }

    @Test func aPodThatIsRefusedEndsTheTask() async throws {
        try await ControllerHarness.with(
            options: ControllerHarness.options { options in
                options.limits.obstacles[.admission] = 20
                options.eventsEvery = 2
            }
        ) { harness in
            await harness.cluster.configure { $0.policy.restricted = ["poiesis"] }
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventuallyOver(id, .systemError)
                #expect(try await harness.lines(id).contains("the cluster refuses its Pod: violates PodSecurity"))
            }
        }
    }

    @Test func aQuotaOnlyMakesTheTaskWait() async throws {
        try await ControllerHarness.with(
            options: ControllerHarness.options { options in
                options.limits.obstacles[.admission] = 5
                options.eventsEvery = 2
            }
        ) { harness in
            await harness.cluster.configure { $0.policy.podQuota["poiesis"] = 0 }
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventually("its Events are read") {
                    harness.requests("GET /api/v1/namespaces/poiesis/events") > 4
                }
                #expect(try await harness.state(id) == .queued)
                await harness.cluster.configure { $0.policy.podQuota = [:] }
                try await harness.eventuallyOver(id, .complete)
            }
        }
    }

    @Test func aTaskThatCanNeverFitIsRefused() async throws {
        try await ControllerHarness.with { harness in
            try await harness.led {
                let id = try await harness.create(1, name: "impossible")
                try await harness.eventuallyOver(id, .systemError)
                #expect(try await harness.lines(id) == "no machine of this server can run the task: it is")
                #expect(harness.requests("POST /apis/batch") == 0)
            }
        }
    }

    @Test func noMoreJobsLiveThanTheOperatorAllows() async throws {
        try await ControllerHarness.with(options: ControllerHarness.options { $0.maxLiveJobs = 3 }) { harness in
            var ids: [TaskID] = []
            for _ in 0..<10 { ids.append(try await harness.create(1)) }
            try await harness.led {
                for id in ids { try await harness.eventuallyOver(id, .complete) }
                #expect(await harness.mostLiveJobs == 3)
            }
        }
    }

    // MARK: What goes wrong

    @Test(arguments: ["an answer is lost", "the server fails", "watches break", "the connection breaks"])
    func aTaskRunsOnceWhateverBreaks(_ fault: String) async throws {
        try await ControllerHarness.with(volumeClaim: true) { harness in
            let faults = harness.server.faults
            switch fault {
            case "an answer is lost":
                faults.add(Fault(.loseAnswer, methods: ["POST"], path: "/jobs"))
                faults.add(Fault(.loseAnswer, methods: ["POST"], path: "/persistentvolumeclaims"))
            case "the server fails": faults.add(Fault(.status(500), methods: ["POST", "DELETE"], times: 7))
            case "watches break": faults.add(Fault(.breakWatch(afterLines: 3), watch: true, times: 6))
            default: faults.add(Fault(.dropRequest, times: 10))
            }
            try await harness.led {
                let id = try await harness.create(1)
                try await harness.eventuallyOver(id, .complete)
                #expect(try await harness.task(id).logs?.count == 1)
            }
        }
    }

    @Test func whatALeaderLeftHalfDoneIsDoneByTheNext() async throws {
        try await ControllerHarness.with(volumeClaim: true) { harness in
            // Opened, and no Job made.
            let first = try await harness.create(1)
            #expect(try await harness.store.submit(first)?.key.number == 1)
            // A Job without its claim.
            let second = try await harness.create(1)
            harness.server.faults.add(
                Fault(.status(403), methods: ["POST"], path: "/persistentvolumeclaims", times: nil))
            try await harness.led {
                try await harness.eventually("both Jobs") { await harness.names(.jobs).count == 2 }
            }
            #expect(await harness.names(.persistentvolumeclaims).isEmpty)
            harness.server.faults.clear()
            try await harness.led {
                try await harness.eventuallyOver(first, .complete)
                try await harness.eventuallyOver(second, .complete)
            }
        }
    }

    @Test func aVanishedAttemptIsTriedAgain() async throws {
        try await ControllerHarness.with(play: Self.staying("exec-0")) { harness in
            let id = try await harness.create(1)
            try await harness.led {
                try await harness.eventually("the executor runs") { await harness.isRunning("exec-0") }
            }
            let key = SubmissionKey(taskID: id, number: 1)
            let uid = await harness.cluster.all(.pods).first?["metadata"]["uid"].text
            #expect(try await harness.store.claim(key, pod: try #require(uid), metadata: [:]) != nil)
            // While nobody leads, somebody deletes it.
            _ = try await harness.client().delete(Job.self, key.objectName, propagation: .background)
            try await harness.eventually("the Pod is gone") { await harness.names(.pods).isEmpty }
            try await harness.led {
                try await harness.eventually("another Job") { await harness.names(.jobs) == ["poiesis-\(id)-2"] }
            }
            #expect(
                try await harness.lines(id).contains("its Pod is gone, and nobody knows why; the task is queued again"))
        }
    }

    @Test func jobsThatNoRowAsksForGoUnlessThereAreMany() async throws {
        for (count, isDeleted) in [(3, true), (11, false)] {
            try await ControllerHarness.with(
                options: ControllerHarness.options { options in
                    options.orphanAge = 100_000
                    options.comparisonEvery = 2
                }
            ) { harness in
                let client = harness.client()
                func make(_ count: Int, instance: String) async throws {
                    for number in 0..<count {
                        let key = SubmissionKey(taskID: harness.store.newID(), number: number + 1)
                        let text = """
                            {"metadata":{"name":"\(key.objectName)","labels":{"poiesis.io/instance":"\(instance)"}},"spec":{"suspend":true,
                            "template":{"spec":{"restartPolicy":"Never","containers":[{"name":"ack","image":"i"}]}}}}
                            """
                        _ = try await client.create(try Job(json: Array(text.utf8)))
                    }
                }
                try await make(count, instance: ControllerHarness.instance)
                try await make(1, instance: "another")
                try await harness.led {
                    // As many looks as it takes, and some more.
                    try await harness.pass(6)
                    #expect(await harness.names(.jobs).count == count + 1, "they are young")
                    harness.storeAhead.seconds = 200_000
                    try await harness.pass(6)
                    if isDeleted {
                        try await harness.eventually("they go") { await harness.names(.jobs).count == 1 }
                    } else {
                        #expect(await harness.names(.jobs).count == count + 1)
                    }
                }
            }
        }
    }
}
