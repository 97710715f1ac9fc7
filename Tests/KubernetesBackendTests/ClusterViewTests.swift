import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore
import Testing

/// What a controller keeps of a cluster, and what it makes of many rows and Jobs.
@Suite("Cluster view")
struct ClusterViewTests {
    private static let key = SubmissionKey(taskID: TaskID(high: 1, low: 2), number: 1)

    private static func at(_ seconds: Int64) -> TES.Timestamp {
        TES.Timestamp(microseconds: ControllerMatrixTests.now.microseconds + seconds * 1_000_000)
    }

    private static func job(_ key: SubmissionKey = key, age: Int64 = 0) throws -> JobReading {
        let json = #"{"metadata":{"name":"\#(key.objectName)","uid":"job-\#(key.number)"}}"#
        var reading = try #require(JobReading(try Job(json: Array(json.utf8))))
        reading.createdAt = at(-age)
        return reading
    }

    private static func pod(_ change: (inout PodReading) -> Void = { _ in }) throws -> PodReading {
        var pod = try PodReadingTests.pod(phase: "Pending", running: ["trec", "tif"])
        pod.job = key.objectName
        change(&pod)
        return pod
    }

    private static func unschedulable(_ reason: String) throws -> PodReading {
        try pod { pod in
            pod.containers = []
            pod.unschedulable = reason
        }
    }

    private static func claim() throws -> VolumeClaimReading {
        let json = #"{"metadata":{"name":"\#(key.objectName)","uid":"claim-1"}}"#
        return try #require(VolumeClaimReading(try PersistentVolumeClaim(json: Array(json.utf8))))
    }

    @Test func theTimeToClaimBeginsOnceTheStoreAnswers() throws {
        var view = ClusterView()
        _ = view.apply(.changed(try Self.job()), now: Self.at(0))
        _ = view.apply(.changed(try Self.pod()), now: Self.at(0))
        #expect(view.view(Self.key).obstacle?.kind == .recorder)
        #expect(view.view(Self.key).obstacleSince == Self.at(0))
        view.storeAnswersSince = Self.at(400)
        #expect(view.view(Self.key).obstacleSince == Self.at(400))
        #expect(
            ControllerMatrix().decide(.waiting, view.view(Self.key), now: Self.at(401))
                == ControllerDecision([], recheck: Self.at(700)))
        // Whatever else holds it up has nothing to do with the store.
        _ = view.apply(
            .changed(
                try Self.pod {
                    $0.isReadyToStart = false
                    $0.containers = []
                }), now: Self.at(10))
        #expect(view.view(Self.key).obstacle?.kind == .mount && view.view(Self.key).obstacleSince == Self.at(10))
    }

    /// A quota of storage: the claim is asked for again and again, and has its own ten minutes once it is there.
    @Test func aClaimThatIsNotMadeYetIsWaitedFor() throws {
        var view = ClusterView()
        var job = try Self.job()
        job.wantsVolumeClaim = true
        let pod = try Self.unschedulable(#"0/1 nodes: persistentvolumeclaim "\#(Self.key.objectName)" not found."#)
        _ = view.apply(.changed(job), now: Self.at(0))
        _ = view.apply(.changed(pod), now: Self.at(0))
        #expect(view.view(Self.key).obstacle?.kind == .capacity)
        let matrix = ControllerMatrix()
        #expect(matrix.decide(.waiting, view.view(Self.key), now: Self.at(100_000)).actions == [.createVolumeClaim])
        _ = view.apply(.changed(try Self.claim()), now: Self.at(100_000))
        let unbound = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
        _ = view.apply(.changed(try Self.unschedulable(unbound)), now: Self.at(100_000))
        #expect(view.view(Self.key).obstacle?.kind == .volumeClaim)
        #expect(matrix.decide(.waiting, view.view(Self.key), now: Self.at(100_599)).actions == [])
        #expect(matrix.decide(.waiting, view.view(Self.key), now: Self.at(100_600)).actions.first == .end(.stalled))
        // Somebody else's, which the operator has named.
        #expect(Obstacle(try Self.unschedulable(#"persistentvolumeclaim "data" not found"#))?.kind == .volumeClaim)
    }

    /// Also one that has claimed: it records nothing any more. One end of it is no reason.
    @Test func aRecorderThatKeepsEndingHasFiveMinutes() throws {
        let matrix = ControllerMatrix()
        let claimed = SubmissionRow.held(pod: "pod-1")
        let running = try Self.pod()
        var ended = try PodReadingTests.pod(phase: "Pending", ended: ["trec": PodReadingTests.end(1)], running: ["tif"])
        ended.job = Self.key.objectName
        var view = ClusterView()
        _ = view.apply(.changed(try Self.job()), now: Self.at(0))
        // It stages for two hours.
        _ = view.apply(.changed(running), now: Self.at(0))
        #expect(matrix.decide(claimed, view.view(Self.key), now: Self.at(7200)) == ControllerDecision())
        for (restarts, second) in [7200, 7215, 7240, 7290, 7400].enumerated() {
            let second = Int64(second)
            ended.containers[0].restarts = restarts
            _ = view.apply(.changed(ended), now: Self.at(second))
            let decision = matrix.decide(claimed, view.view(Self.key), now: Self.at(second))
            // After its first ends it may be that nobody starts it again.
            let dead = Self.at(second + Int64(ControllerLimits().deadRecorder))
            #expect(decision == ControllerDecision([], recheck: restarts < 3 ? dead : Self.at(7500)))
            _ = view.apply(.changed(running), now: Self.at(second + 10))
            #expect(matrix.decide(claimed, view.view(Self.key), now: Self.at(second + 10)) == ControllerDecision())
        }
        _ = view.apply(.changed(ended), now: Self.at(7420))
        let decision = matrix.decide(claimed, view.view(Self.key), now: Self.at(7500))
        #expect(decision.actions == [.end(.stalled), .deleteJob(uid: "job-1")])
    }

    @Test func onlyADeletionThatWasToldIsKnown() throws {
        let (job, pod) = (try Self.job(), try Self.pod())
        var view = ClusterView()
        #expect(view.knowsNothing(of: Self.key))
        _ = view.apply(.replaced([job]), now: Self.at(0))
        _ = view.apply(.replaced([pod]), now: Self.at(0))
        #expect(!view.knowsNothing(of: Self.key))
        // A list without them, of another cluster perhaps.
        var listed = view
        _ = listed.apply(ReflectedChange<JobReading?>.replaced([]), now: Self.at(1))
        _ = listed.apply(ReflectedChange<PodReading?>.replaced([]), now: Self.at(1))
        #expect(listed.knowsNothing(of: Self.key))
        _ = view.apply(.deleted(job), now: Self.at(1))
        _ = view.apply(.deleted(pod), now: Self.at(1))
        #expect(view.view(Self.key).pod == nil && !view.knowsNothing(of: Self.key))
    }

    @Test func whatIsGoneIsForgotten() throws {
        let (job, pod) = (try Self.job(), try Self.pod())
        var view = ClusterView()
        _ = view.apply(.changed(job), now: Self.at(0))
        _ = view.apply(.changed(pod), now: Self.at(0))
        _ = view.apply(.deleted(job), now: Self.at(0))
        view.forget(Self.key)
        #expect(view.count == 1, "its Pod is there")
        _ = view.apply(.deleted(pod), now: Self.at(0))
        view.forget(Self.key)
        #expect(view.count == 0)
    }

    // MARK: Many at once

    @Test(arguments: [
        (held: 9, missing: 9, false), (10, 10, true), (19, 10, true), (20, 10, false), (1000, 501, true),
        (1000, 500, false),
    ])
    func runningTasksWithoutJobsAreTooManyAboveHalfAndTen(_ held: Int, _ missing: Int, _ areTooMany: Bool) {
        var jobs = MissingJobs()
        for number in 0..<held { jobs.count(.held(pod: "p"), isUnknown: number < missing) }
        // Of no account: nothing is ended that does not run.
        for row in [SubmissionRow.waiting, .canceling(pod: "p"), .givenBack, .ended(.complete, since: Self.at(0))] {
            jobs.count(row, isUnknown: true)
        }
        #expect(jobs.held == held && jobs.missing == missing)
        #expect(jobs.areTooMany == areTooMany)
    }

    @Test func youngJobsWithoutRowsCountForTheLimitToo() throws {
        func orphans(old: Int, young: Int, known: Int) throws -> OrphanJobs {
            var jobs: [SubmissionKey: JobReading] = [:]
            for number in 1...(old + young + known) {
                let key = SubmissionKey(taskID: Self.key.taskID, number: number)
                jobs[key] = try Self.job(key, age: number <= old ? 700 : 5)
            }
            let rows = Set(jobs.keys.filter { $0.number > old + young })
            return OrphanJobs(jobs, rows: rows, before: Self.at(-600))
        }
        guard case .old(let few) = try orphans(old: 4, young: 6, known: 0) else {
            Issue.record("they may go")
            return
        }
        #expect(few.count == 4)
        #expect(try orphans(old: 4, young: 7, known: 0) == .tooMany(11, limit: 10))
        #expect(try orphans(old: 1, young: 400, known: 600) == .tooMany(401, limit: 50))
        guard case .old(let some) = try orphans(old: 40, young: 10, known: 950) else {
            Issue.record("they are 5 % at most")
            return
        }
        #expect(some.count == 40)
    }

    // MARK: Refusals

    @Test(arguments: [
        (400, #"admission webhook "a.b" denied the request: no"#, true), (422, "Job.batch \"a\" is invalid", true),
        (403, #"admission webhook "a.b" denied the request: no"#, true),
        (
            403,
            #"persistentvolumeclaims "a" is forbidden: maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 20Gi"#,
            true
        ),
        (403, #"jobs.batch "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"#, true),
        (413, "Request entity too large", true),
        (403, #"jobs.batch "a" is forbidden: exceeded quota: q, requested: count/jobs.batch=1"#, false),
        (403, #"persistentvolumeclaims "a" is forbidden: status unknown for quota: q"#, false),
        (403, #"jobs.batch is forbidden: User "u" cannot create resource "jobs" in API group "batch""#, false),
        (
            403,
            #"jobs.batch "a" is forbidden: unable to create new content in namespace n because it is being terminated"#,
            false
        ),
        (403, "a proxy's page", false), (404, #"namespaces "n" not found"#, false), (500, "denied the request", false),
    ])
    func oneTasksRefusalIsToldFromWhatPasses(_ code: Int, _ message: String, _ isForGood: Bool) {
        let refusal = Refusal(code: code, reason: nil, message: message, request: "POST /x")
        #expect(KubernetesError.refused(refusal).refusesObject == isForGood)
    }
}
