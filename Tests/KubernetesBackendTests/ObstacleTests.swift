import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore
import Testing

/// What a controller makes of Pods that do not go on, and when.
@Suite("Obstacles")
struct ObstacleTests {
    private static let key = SubmissionKey(taskID: TaskID(high: 1, low: 2), number: 1)

    private static func at(_ seconds: Int64) -> TES.Timestamp {
        TES.Timestamp(microseconds: ControllerMatrixTests.now.microseconds + seconds * 1_000_000)
    }

    private static func job(_ uid: String = "job-1") throws -> JobReading {
        let json = #"{"metadata":{"name":"\#(key.objectName)","uid":"\#(uid)"}}"#
        return try #require(JobReading(try Job(json: Array(json.utf8))))
    }

    /// A Pod with a sidecar of somebody else's that runs.
    private static func withSidecar(_ pod: PodReading) throws -> PodReading {
        let json = """
            {"metadata":{"name":"p","uid":"u","labels":{"batch.kubernetes.io/job-name":"j"}},"status":{"phase":"Pending",
            "initContainerStatuses":[{"name":"istio-proxy","state":{"running":{}},"ready":true,"restartCount":0,"image":"i",
            "imageID":""}]}}
            """
        var pod = pod
        pod.containers += try #require(PodReading(try Pod(json: Array(json.utf8)))).containers
        return pod
    }

    /// A mesh's proxy runs all the time, whatever becomes of the task.
    @Test func aSidecarOfOthersHidesNoObstacle() throws {
        for expected in try PodReadingTests.obstacles() where !expected.pod.containers.isEmpty {
            // One that runs is a sign that there is a sandbox; then the Pod may end.
            if expected.kind == .neverEnds { continue }
            let obstacle = Obstacle(try Self.withSidecar(expected.pod))
            #expect(obstacle?.kind == expected.kind, "\(expected.name)")
            #expect(obstacle?.part == expected.part, "\(expected.name)")
        }
    }

    @Test(arguments: [
        ("OutOfcpu", true), ("NodeAffinity", true), ("UnexpectedAdmissionError", true), ("Evicted", true),
        ("DeadlineExceeded", false),
    ])
    func aPodThatItsNodeDidNotTakeWasRefused(_ reason: String, _ wasRefused: Bool) throws {
        let status = #","reason":"\#(reason)","message":"why""#
        let pod = try PodReadingTests.pod(phase: "Failed", status: status)
        #expect(pod.wasRefused == wasRefused)
        #expect(Obstacle(pod) == (wasRefused ? Obstacle(.nodeRefusal, text: "\(reason): why") : nil))
        // Something of it ran.
        let ran = try PodReadingTests.pod(phase: "Failed", ended: ["trec": PodReadingTests.end(0)], status: status)
        #expect(!ran.wasRefused && Obstacle(ran) == nil)
        #expect(try !PodReadingTests.pod(phase: "Failed").wasRefused)
    }

    /// Refusals in a row are counted over the Jobs of a submission; each has its pause.
    @Test func refusalsInARowAreCounted() throws {
        let matrix = ControllerMatrix()
        var view = ClusterView()
        var refused = try PodReadingTests.pod(phase: "Failed", status: #","reason":"OutOfcpu","message":"why""#)
        refused.job = Self.key.objectName
        for number in 1...10 {
            let (job, begin) = (try Self.job("job-\(number)"), Int64(number) * 1000)
            refused.uid = "pod-\(number)"
            _ = view.apply(.changed(job), now: Self.at(begin))
            _ = view.apply(.changed(refused), now: Self.at(begin))
            _ = view.apply(.changed(refused), now: Self.at(begin + 30))
            #expect(view.view(Self.key).refusals == number)
            let early = matrix.decide(.waiting, view.view(Self.key), now: Self.at(begin + 59))
            let due = matrix.decide(.waiting, view.view(Self.key), now: Self.at(begin + 60))
            if number < 10 {
                #expect(early == ControllerDecision([], recheck: Self.at(begin + 60)))
                #expect(due.actions == [.deleteJob(uid: job.uid)])
            } else {
                #expect(early.actions == [.end(.podEnded), .deleteJob(uid: job.uid)])
            }
            _ = view.apply(.deleted(job), now: Self.at(begin + 61))
            _ = view.apply(.deleted(refused), now: Self.at(begin + 61))
            #expect(matrix.decide(.waiting, view.view(Self.key), now: Self.at(begin + 62)).actions == [.submit])
        }
        // One that is taken ends the row.
        var taken = try PodReadingTests.pod(phase: "Pending", running: ["trec"])
        (taken.job, taken.uid) = (Self.key.objectName, "pod-11")
        _ = view.apply(.changed(taken), now: Self.at(20_000))
        #expect(view.view(Self.key).refusals == 0)
    }

    /// The API server's clock may be hours away: the time that a Pod has to end begins when its deletion is seen.
    @Test(arguments: ["2020-01-01T00:00:00Z", "2040-01-01T00:00:00Z"])
    func aDeletionHasItsTimeWhateverTheClustersClockSays(_ time: String) throws {
        let matrix = ControllerMatrix()
        let claimed = SubmissionRow.held(pod: "pod-1")
        var view = ClusterView()
        _ = view.apply(.changed(try Self.job()), now: Self.at(0))
        var pod = try PodReadingTests.pod(
            phase: "Pending", running: ["trec", "exec-0"],
            metadata: #","deletionTimestamp":"\#(time)","deletionGracePeriodSeconds":40"#)
        pod.job = Self.key.objectName
        _ = view.apply(.changed(pod), now: Self.at(1000))
        // Later changes, and another list, do not begin it anew.
        pod.containers.removeLast()
        _ = view.apply(.changed(pod), now: Self.at(1050))
        _ = view.apply(.replaced([pod]), now: Self.at(1060))
        #expect(
            matrix.decide(claimed, view.view(Self.key), now: Self.at(1099))
                == ControllerDecision([], recheck: Self.at(1100)))
        #expect(
            matrix.decide(claimed, view.view(Self.key), now: Self.at(1100)).actions
                == [.end(.podEnded), .deleteJob(uid: "job-1")])
        // Whoever is in a hurry has shortened it.
        pod.deletionGrace = 0
        _ = view.apply(.changed(pod), now: Self.at(1061))
        #expect(matrix.decide(claimed, view.view(Self.key), now: Self.at(1061)).actions.first == .end(.podEnded))
    }

    /// The answer to a creation may come after the watch has told of the Job's end.
    @Test func aJobThatIsGoneDoesNotComeBack() throws {
        let job = try Self.job()
        var view = ClusterView()
        _ = view.apply(.changed(job), now: Self.at(0))
        _ = view.apply(.deleted(job), now: Self.at(1))
        _ = view.apply(.changed(job), now: Self.at(2))
        #expect(view.view(Self.key).job == nil && view.liveJobs == 0)
        #expect(view.view(Self.key).jobDeletedAt == Self.at(1))
        let next = try Self.job("job-2")
        _ = view.apply(.changed(next), now: Self.at(3))
        #expect(view.view(Self.key).job == next && view.liveJobs == 1)
    }
}
