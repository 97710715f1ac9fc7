import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore
import Testing

/// Every cell of row × Job × volume claim × Pod is held to a rule, and to one only.
@Suite("Controller matrix")
struct ControllerMatrixTests {
    static let now = TES.Timestamp("2026-01-31T12:00:00Z") ?? TES.Timestamp(microseconds: 0)

    static func ago(_ seconds: Int64) -> TES.Timestamp {
        TES.Timestamp(microseconds: now.microseconds - seconds * 1_000_000)
    }

    enum Row: CaseIterable {
        case none, waiting, held, heldByAnother, canceling, givenBack, completed, justCompleted, justFailed,
            justCanceled

        var value: SubmissionRow {
            switch self {
            case .none: .none
            case .waiting: .waiting
            case .held: .held(pod: "pod-1")
            case .heldByAnother: .held(pod: "pod-0")
            case .canceling: .canceling(pod: "pod-1")
            case .givenBack: .givenBack
            case .completed: .ended(.complete, since: ago(61))
            case .justCompleted: .ended(.complete, since: ago(5))
            case .justFailed: .ended(.systemError, since: ago(5))
            case .justCanceled: .ended(.canceled, since: ago(5))
            }
        }
    }

    enum JobCell: CaseIterable {
        case absent, active, suspended, complete, failed, deleting

        var state: JobReading.State? {
            switch self {
            case .absent: nil
            case .active: .active
            case .suspended: .suspended
            case .complete: .complete
            case .failed: .failed
            case .deleting: .deleting
            }
        }
    }

    enum ClaimCell: CaseIterable {
        case notWanted, absent, pending, bound, deleting

        var state: VolumeClaimReading.State? {
            switch self {
            case .notWanted, .absent: nil
            case .pending: .pending
            case .bound: .bound
            case .deleting: .deleting
            }
        }
    }

    enum PodCell: CaseIterable {
        case absent, absentForLong
        case pending, running
        /// An image is missing for 10 s, for longer than its limit, and after an executor has failed for less than two minutes or more.
        case imageMissing, imageMissingForLong, imageMissingAfterFailure, imageMissingLongerAfterFailure
        case noRoomForLong
        case unclaimedForLong
        case neverEnds, neverEndsForLong
        case succeeded, failed
        /// A node refused it a moment or a minute ago, and it was the tenth.
        case refused, refusedForLong, refusedOften
        case deleting, deletingOverdue, deletedEnded

        static let gone: Set<Self> = [.absent, .absentForLong]
        static let refusals: Set<Self> = [.refused, .refusedForLong, .refusedOften]
        static let stays: Set<Self> = refusals.union([.succeeded, .failed])
        static let ended: Set<Self> = stays.union([.deletedEnded])
        static let live: Set<Self> = [
            .pending, .running, .imageMissing, .imageMissingForLong, .imageMissingAfterFailure,
            .imageMissingLongerAfterFailure, .noRoomForLong, .unclaimedForLong, .neverEnds, .neverEndsForLong,
        ]
        static let over: Set<Self> = gone.union(ended).union([.deletingOverdue])

        func fill(_ view: inout SubmissionView) throws {
            if Self.gone.contains(self) {
                if self == .absentForLong {
                    view.obstacle = Obstacle(.noPod, text: "its Job has no Pod")
                    view.obstacleSince = ago(3600)
                }
                return
            }
            var pod = try PodReadingTests.pod(phase: "Pending")
            switch self {
            case .running: pod.phase = .running
            case .succeeded: pod.phase = .succeeded
            case .failed: pod.phase = .failed
            case .deleting: view.delete(&pod, since: ago(89))
            case .deletingOverdue: view.delete(&pod, since: ago(90))
            case .deletedEnded:
                view.delete(&pod, since: ago(1))
                pod.phase = .failed
            case .refused, .refusedForLong, .refusedOften:
                pod = try PodReadingTests.pod(
                    phase: "Failed", status: #","reason":"OutOfcpu","message":"Node didn't have enough resource""#)
                view.set(.nodeRefusal, since: ago(self == .refused ? 59 : 60))
                view.refusals = self == .refusedOften ? 10 : 9
            case .imageMissing: view.set(.image, since: ago(10))
            case .imageMissingForLong: view.set(.image, since: ago(300))
            case .imageMissingAfterFailure, .imageMissingLongerAfterFailure:
                view.set(.image, since: ago(self == .imageMissingAfterFailure ? 119 : 120))
                pod = try PodReadingTests.pod(
                    phase: "Pending",
                    ended: ["exec-0": #"{"exitCode":0,"startedAt":"2026-01-01T00:00:00Z","message":"42 oom=no"}"#])
            case .noRoomForLong: view.set(.capacity, since: ago(1_000_000))
            case .unclaimedForLong: view.set(.recorder, since: ago(300))
            case .neverEnds: view.set(.neverEnds, since: ago(5))
            case .neverEndsForLong: view.set(.neverEnds, since: ago(10))
            case .absent, .absentForLong, .pending: break
            }
            view.pod = pod
        }
    }

    enum Act: Hashable {
        case submit, claim, deleteJob, deletePod, podEnded, stalled, afterFailure, canceled, close

        init(_ action: ControllerAction) {
            self =
                switch action {
                case .submit: .submit
                case .createVolumeClaim: .claim
                case .deleteJob(let uid): uid == "job-1" ? .deleteJob : .submit
                case .deletePod(let name, let uid): name == "pod" && uid == "pod-1" ? .deletePod : .submit
                case .end(.podEnded): .podEnded
                case .end(.stalled): .stalled
                case .end(.stalledAfterFailure): .afterFailure
                case .end(.canceled): .canceled
                case .close: .close
                }
        }
    }

    struct Rule {
        var name: String
        var rows: Set<Row>
        var jobs: Set<JobCell>
        var claims = Set(ClaimCell.allCases)
        var pods: Set<PodCell> = Set(PodCell.allCases)
        var acts: [Act] = []
        /// It is looked at again though nothing changes.
        var isTimed = false
    }

    static let anyJob = Set(JobCell.allCases)
    static let standing: Set<JobCell> = [.active, .suspended, .complete, .failed]
    static let over: Set<Row> = [.givenBack, .completed, .justCompleted, .justFailed, .justCanceled]
    static let held: Set<Row> = [.held, .heldByAnother]
    static let live: Set<Row> = [.waiting, .held, .heldByAnother]
    static let claimThere = Set(ClaimCell.allCases).subtracting([.absent])
    static let goesOn: Set<PodCell> = [.pending, .running]

    static let rules: [Rule] = [
        Rule(name: "what has no row is left to the comparison", rows: [.none], jobs: anyJob),

        // It is over: Job, Pod, row go in this order.
        Rule(
            name: "without objects the submission is closed", rows: over, jobs: [.absent],
            pods: PodCell.gone.union([.deleting, .deletingOverdue, .deletedEnded]), acts: [.close]),
        Rule(
            name: "a Pod that its Job left behind goes", rows: over, jobs: [.absent],
            pods: PodCell.live.union(PodCell.stays), acts: [.deletePod, .close]),
        Rule(name: "a Job that is being deleted is waited for", rows: over, jobs: [.deleting]),
        Rule(
            name: "the Job of a task that is over goes", rows: [.givenBack, .completed, .justCanceled], jobs: standing,
            acts: [.deleteJob]),
        Rule(
            name: "a Job that has nothing more to do goes at once", rows: [.justCompleted, .justFailed],
            jobs: [.suspended, .complete, .failed], acts: [.deleteJob]),
        Rule(
            name: "also where only its Pod has ended", rows: [.justCompleted, .justFailed], jobs: [.active],
            pods: PodCell.ended, acts: [.deleteJob]),
        Rule(
            name: "a Pod may finish after its task's end", rows: [.justCompleted, .justFailed], jobs: [.active],
            pods: Set(PodCell.allCases).subtracting(PodCell.ended), isTimed: true),

        // Cancel.
        Rule(
            name: "a cancel is over with the Pod", rows: [.canceling], jobs: [.absent, .deleting], pods: PodCell.over,
            acts: [.canceled]),
        Rule(
            name: "a cancel is over with the Pod, and its Job goes", rows: [.canceling], jobs: standing,
            pods: PodCell.over,
            acts: [.deleteJob, .canceled]),
        Rule(
            name: "a Pod that is being deleted has its grace", rows: [.canceling], jobs: [.absent, .deleting],
            pods: [.deleting], isTimed: true),
        Rule(
            name: "a Pod that is being deleted has its grace, its Job goes", rows: [.canceling], jobs: standing,
            pods: [.deleting], acts: [.deleteJob], isTimed: true),
        Rule(
            name: "a cancel deletes the Job", rows: [.canceling], jobs: standing, pods: PodCell.live, acts: [.deleteJob]
        ),
        Rule(
            name: "a Job that is being deleted takes its Pod along", rows: [.canceling], jobs: [.deleting],
            pods: PodCell.live),
        Rule(
            name: "a Pod without a Job is deleted by a cancel", rows: [.canceling], jobs: [.absent], pods: PodCell.live,
            acts: [.deletePod]),

        // A waiting task without a Job.
        Rule(
            name: "a waiting task is submitted", rows: [.waiting], jobs: [.absent], claims: [.notWanted, .absent],
            pods: PodCell.gone, acts: [.submit]),
        Rule(
            name: "not as long as the claim of its name is there", rows: [.waiting], jobs: [.absent],
            claims: [.pending, .bound], pods: PodCell.gone),
        Rule(
            name: "a claim that is being deleted may stay: the next submission has another name", rows: [.waiting],
            jobs: [.absent], claims: [.deleting], pods: PodCell.gone, acts: [.close]),
        Rule(
            name: "a waiting task's Pod without a Job goes", rows: [.waiting], jobs: [.absent],
            pods: PodCell.live.union(PodCell.stays), acts: [.deletePod]),
        Rule(
            name: "a waiting task's Pod that goes is waited for", rows: [.waiting], jobs: [.absent],
            pods: [.deleting, .deletedEnded], isTimed: true),
        Rule(
            name: "but not where its node is away: the next submission has another name", rows: [.waiting],
            jobs: [.absent, .deleting], pods: [.deletingOverdue], acts: [.close]),
        Rule(
            name: "a Job that somebody deletes is waited for", rows: [.waiting], jobs: [.deleting],
            pods: PodCell.gone.union(PodCell.live).union(PodCell.stays)),
        Rule(
            name: "a Job that somebody deletes is waited for with its Pod", rows: [.waiting], jobs: [.deleting],
            pods: [.deleting, .deletedEnded], isTimed: true),

        // A node refused the Pod of a waiting task.
        Rule(
            name: "a refusal has its pause", rows: [.waiting], jobs: [.active, .failed], pods: [.refused],
            isTimed: true),
        Rule(
            name: "then the task is submitted again", rows: [.waiting], jobs: [.active, .failed],
            pods: [.refusedForLong], acts: [.deleteJob]),
        Rule(
            name: "the tenth refusal is the attempt's end", rows: [.waiting], jobs: [.active, .failed],
            pods: [.refusedOften], acts: [.podEnded, .deleteJob]),
        Rule(
            name: "a refusal after a claim is its end", rows: held, jobs: [.active, .complete, .failed],
            pods: PodCell.refusals, acts: [.podEnded, .deleteJob]),
        Rule(
            name: "a Job that is complete is no refusal's", rows: [.waiting], jobs: [.complete],
            pods: PodCell.refusals, acts: [.podEnded, .deleteJob]),

        // A task that runs without a Job, or whose Job is being deleted.
        Rule(
            name: "a vanished attempt is ended", rows: held, jobs: [.absent],
            pods: PodCell.gone.union([.deletedEnded, .deletingOverdue]),
            acts: [.podEnded]),
        Rule(
            name: "a Pod without a Job that has ended goes", rows: held, jobs: [.absent], pods: PodCell.stays,
            acts: [.podEnded, .deletePod]),
        Rule(
            name: "an attempt under a Job that goes is ended with its Pod", rows: held, jobs: [.deleting],
            pods: PodCell.over,
            acts: [.podEnded]),
        Rule(name: "a Pod without a Job goes on", rows: held, jobs: [.absent, .deleting], pods: PodCell.live),
        Rule(
            name: "a Pod that is being deleted may record its end", rows: held, jobs: [.absent, .deleting],
            pods: [.deleting],
            isTimed: true),

        // Kueue.
        Rule(name: "a suspended Job waits", rows: held, jobs: [.suspended]),
        Rule(name: "a suspended Job waits with its claim", rows: [.waiting], jobs: [.suspended], claims: claimThere),
        Rule(
            name: "a suspended Job gets its claim", rows: [.waiting], jobs: [.suspended], claims: [.absent],
            acts: [.claim]),

        // The Job has ended, its task has not.
        Rule(
            name: "a Job's end is its attempt's", rows: live, jobs: [.complete, .failed],
            pods: PodCell.over.subtracting(PodCell.refusals),
            acts: [.podEnded, .deleteJob]),
        Rule(
            name: "an ended Job's Pod that is being deleted has its grace", rows: live, jobs: [.complete, .failed],
            pods: [.deleting], isTimed: true),
        Rule(name: "an ended Job's Pod ends soon", rows: live, jobs: [.complete, .failed], pods: PodCell.live),

        // The Job runs.
        Rule(
            name: "a Pod's end is its attempt's", rows: live, jobs: [.active],
            pods: PodCell.ended.subtracting(PodCell.refusals).union([.deletingOverdue]),
            acts: [.podEnded, .deleteJob]),
        Rule(
            name: "a Pod that is being deleted may record its end itself", rows: live, jobs: [.active],
            pods: [.deleting],
            isTimed: true),
        Rule(
            name: "what runs is left alone", rows: held, jobs: [.active], pods: goesOn.union([.absent, .noRoomForLong])),
        Rule(
            name: "what waits for room or its Pod is left alone", rows: [.waiting], jobs: [.active], claims: claimThere,
            pods: goesOn.union([.absent, .absentForLong, .noRoomForLong])),
        Rule(
            name: "a claim that is missing is made", rows: [.waiting], jobs: [.active], claims: [.absent],
            pods: goesOn.union([.absent, .absentForLong, .noRoomForLong]), acts: [.claim]),
        Rule(
            name: "a running task's Job that has lost its Pod ends it", rows: held, jobs: [.active],
            pods: [.absentForLong],
            acts: [.podEnded, .deleteJob]),
        Rule(
            name: "an obstacle has its time", rows: held, jobs: [.active], pods: [.imageMissing, .neverEnds],
            isTimed: true),
        Rule(
            name: "a waiting task's obstacle has its time", rows: [.waiting], jobs: [.active], claims: claimThere,
            pods: [.imageMissing, .neverEnds], isTimed: true),
        Rule(
            name: "an obstacle has its time while the claim is made", rows: [.waiting], jobs: [.active],
            claims: [.absent],
            pods: [.imageMissing, .neverEnds], acts: [.claim], isTimed: true),
        Rule(
            name: "an obstacle ends the attempt", rows: live, jobs: [.active], pods: [.imageMissingForLong],
            acts: [.stalled, .deleteJob]),
        Rule(
            name: "a Pod that nobody claims is ended", rows: [.waiting, .heldByAnother], jobs: [.active],
            pods: [.unclaimedForLong], acts: [.stalled, .deleteJob]),
        Rule(name: "a Pod that has claimed is left alone", rows: [.held], jobs: [.active], pods: [.unclaimedForLong]),
        Rule(
            name: "a Pod that never ends is ended", rows: live, jobs: [.active], pods: [.neverEndsForLong],
            acts: [.podEnded, .deleteJob]),
        Rule(
            name: "an obstacle after a failure has two minutes", rows: held, jobs: [.active],
            pods: [.imageMissingAfterFailure], isTimed: true),
        Rule(
            name: "an obstacle after a failure has two minutes, unclaimed", rows: [.waiting], jobs: [.active],
            claims: claimThere, pods: [.imageMissingAfterFailure], isTimed: true),
        Rule(
            name: "an obstacle after a failure has two minutes while the claim is made", rows: [.waiting],
            jobs: [.active], claims: [.absent], pods: [.imageMissingAfterFailure], acts: [.claim], isTimed: true),
        Rule(
            name: "an obstacle after a failure then ends the attempt", rows: held, jobs: [.active],
            pods: [.imageMissingLongerAfterFailure], acts: [.afterFailure], isTimed: true),
        Rule(
            name: "an obstacle after a failure, unclaimed", rows: [.waiting], jobs: [.active], claims: claimThere,
            pods: [.imageMissingLongerAfterFailure], acts: [.afterFailure], isTimed: true),
        Rule(
            name: "an obstacle after a failure, unclaimed and without a claim", rows: [.waiting], jobs: [.active],
            claims: [.absent],
            pods: [.imageMissingLongerAfterFailure], acts: [.claim, .afterFailure], isTimed: true),
    ]

    static func view(_ job: JobCell, _ claim: ClaimCell, _ pod: PodCell) throws -> SubmissionView {
        var view = SubmissionView()
        if let state = job.state {
            var reading = try #require(
                JobReading(try Job(json: Array(#"{"metadata":{"name":"job","uid":"job-1"}}"#.utf8))))
            reading.state = state
            reading.wantsVolumeClaim = claim != .notWanted
            view.job = reading
        }
        if let state = claim.state {
            var reading = try #require(
                VolumeClaimReading(
                    try PersistentVolumeClaim(json: Array(#"{"metadata":{"name":"job","uid":"claim-1"}}"#.utf8))))
            reading.state = state
            view.volumeClaim = reading
        }
        try pod.fill(&view)
        return view
    }

    @Test(arguments: Row.allCases, JobCell.allCases)
    func everyCellFollowsOneRule(_ row: Row, _ job: JobCell) throws {
        let matrix = ControllerMatrix()
        for claim in ClaimCell.allCases {
            for pod in PodCell.allCases {
                let rules = Self.rules.filter {
                    $0.rows.contains(row) && $0.jobs.contains(job) && $0.claims.contains(claim) && $0.pods.contains(pod)
                }
                let cell = "\(row) × \(job) × \(claim) × \(pod)"
                guard rules.count == 1 else {
                    Issue.record("\(cell) has the rules \(rules.map(\.name))")
                    continue
                }
                let decision = matrix.decide(row.value, try Self.view(job, claim, pod), now: Self.now)
                #expect(decision.actions.map { Act($0) } == rules[0].acts, "\(cell): \(rules[0].name)")
                #expect((decision.recheck != nil) == rules[0].isTimed, "\(cell): \(rules[0].name)")
                if let recheck = decision.recheck { #expect(recheck > Self.now, "\(cell)") }
            }
        }
    }

    /// What is quiet need not be read: nothing would be done for a task that waits, runs or has claimed.
    @Test func nothingIsDoneWhereItIsQuiet() throws {
        let matrix = ControllerMatrix()
        var quiet = 0
        for job in JobCell.allCases {
            for claim in ClaimCell.allCases {
                for pod in PodCell.allCases {
                    let view = try Self.view(job, claim, pod)
                    guard let until = matrix.isQuiet(view, until: Self.now) else { continue }
                    quiet += 1
                    #expect(until > Self.now)
                    for row in [Row.waiting, .held, .heldByAnother] {
                        let decision = matrix.decide(row.value, view, now: Self.now)
                        #expect(decision.actions == [], "\(row) × \(job) × \(claim) × \(pod)")
                        if let recheck = decision.recheck { #expect(recheck >= until) }
                    }
                }
            }
        }
        #expect(quiet > 10)
    }

    /// The recorder's pauses are up to 90 s long: whoever sets a shorter limit would end tasks whenever the store is away.
    @Test func aPodHasTwoMinutesAtLeastToClaim() throws {
        var limits = ControllerLimits()
        limits.obstacles[.recorder] = 20
        let matrix = ControllerMatrix(limits: limits)
        for (seconds, isEnded) in [(119 as Int64, false), (120, true)] {
            var view = try Self.view(.active, .notWanted, .pending)
            view.set(.recorder, since: Self.ago(seconds))
            #expect(matrix.decide(.waiting, view, now: Self.now).actions.isEmpty == !isEnded)
            #expect((matrix.isQuiet(view, until: Self.now) == nil) == isEnded)
        }
    }

    /// The cluster deletes a Job's Pod a moment after it: no request is wasted on that.
    @Test func aPodIsDeletedOnlyOnceItsJobIsGoneForAWhile() throws {
        let matrix = ControllerMatrix()
        for row in [Row.waiting, .givenBack, .completed, .canceling] {
            var view = try Self.view(.absent, .notWanted, .pending)
            view.jobDeletedAt = Self.ago(9)
            #expect(matrix.decide(row.value, view, now: Self.now) == ControllerDecision([], recheck: Self.ago(-1)))
            view.jobDeletedAt = Self.ago(10)
            #expect(matrix.decide(row.value, view, now: Self.now).actions.first.map { Act($0) } == .deletePod)
        }
    }

    @Test func failedJobsStayAsLongAsTheOperatorWants() throws {
        var limits = ControllerLimits()
        limits.keepFailed = 3600
        let matrix = ControllerMatrix(limits: limits)
        let view = try Self.view(.failed, .notWanted, .failed)
        let failed = matrix.decide(.ended(.systemError, since: Self.ago(10)), view, now: Self.now)
        #expect(failed == ControllerDecision([], recheck: Self.ago(-3590)))
        #expect(
            matrix.decide(.ended(.systemError, since: Self.ago(3600)), view, now: Self.now).actions
                == [.deleteJob(uid: "job-1")])
        #expect(
            matrix.decide(.ended(.complete, since: Self.ago(10)), view, now: Self.now).actions
                == [.deleteJob(uid: "job-1")])
    }

    @Test func rowsAreReadAsWhatTheyCallFor() throws {
        let key = SubmissionKey(taskID: TaskID(high: 1, low: 2), number: 2)
        func row(_ state: TESState, claim: OpenSubmission.Claim? = nil, isCurrent: Bool = true) -> SubmissionRow {
            SubmissionRow(
                OpenSubmission(
                    key: key, principal: .everyone, state: state, changedAt: Self.now, createdAt: Self.now,
                    claim: claim,
                    isCurrent: isCurrent))
        }
        let holds = OpenSubmission.Claim(pod: "p", attempt: 1, holdsTask: true)
        let held = OpenSubmission.Claim(pod: "p", attempt: 1, holdsTask: false)
        #expect(SubmissionRow(nil) == .none)
        #expect(row(.queued) == .waiting)
        #expect(row(.queued, claim: held) == .givenBack)
        #expect(row(.queued, isCurrent: false) == .givenBack)
        #expect(row(.running, claim: holds) == .held(pod: "p"))
        #expect(row(.initializing, claim: holds) == .held(pod: "p"))
        #expect(row(.running, claim: held, isCurrent: false) == .givenBack)
        #expect(row(.canceling, claim: holds) == .canceling(pod: "p"))
        #expect(row(.canceled) == .ended(.canceled, since: Self.now))
        #expect(row(.complete, claim: held) == .ended(.complete, since: Self.now))
    }
}

extension SubmissionView {
    /// It was given 30 s; the API server's clock is wrong.
    fileprivate mutating func delete(_ pod: inout PodReading, since: TES.Timestamp) {
        pod.deletionTime = ControllerMatrixTests.ago(-100_000)
        pod.deletionGrace = 30
        podDeletedAt = since
    }

    fileprivate mutating func set(_ kind: Obstacle.Kind, since: TES.Timestamp) {
        obstacle = Obstacle(kind, part: kind == .image ? .executor(1) : nil, text: "why")
        obstacleSince = since
    }
}
