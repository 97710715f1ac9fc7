package import TES
package import TaskCore

/// What the store says of a submission, as far as a controller acts on it.
package enum SubmissionRow: Hashable, Sendable {
    /// There is no open submission of that number.
    case none
    /// Its task waits for a Pod that claims it.
    case waiting
    /// An attempt that this Pod opened holds its task.
    case held(pod: String)
    /// As before, and a client has asked for the end.
    case canceling(pod: String)
    /// Its attempt has given the task back, or another submission has taken its place.
    case givenBack
    /// Its task has ended.
    case ended(TESState, since: Timestamp)

    /// The UID of the Pod whose attempt holds the task.
    var claimant: String? {
        switch self {
        case .held(let pod), .canceling(let pod): pod
        case .none, .waiting, .givenBack, .ended: nil
        }
    }

    /// Nil is a submission that was closed, or never opened.
    package init(_ submission: OpenSubmission?) {
        guard let submission else {
            self = .none
            return
        }
        if submission.state.isTerminal {
            self = .ended(submission.state, since: submission.changedAt)
        } else if !submission.isCurrent {
            self = .givenBack
        } else if let claim = submission.claim {
            self =
                if !claim.holdsTask {
                    .givenBack
                } else if submission.state == .canceling {
                    .canceling(pod: claim.pod)
                } else {
                    .held(pod: claim.pod)
                }
        } else {
            self = submission.state == .queued ? .waiting : .givenBack
        }
    }
}

/// What a controller sees of a submission on the cluster.
package struct SubmissionView: Hashable, Sendable {
    /// Nil where there is none, as for the two after it.
    package var job: JobReading?
    /// When the cluster told that the Job is gone; nil where nobody saw that.
    package var jobDeletedAt: Timestamp?
    /// The workspace's.
    package var volumeClaim: VolumeClaimReading?
    /// The newest one.
    package var pod: PodReading?
    /// When the deletion of that Pod was first seen; nil where nobody asked for it.
    package var podDeletedAt: Timestamp?
    /// Since when that Pod's recorder is seen to have ended; nil while it runs.
    package var recorderEndedAt: Timestamp?
    /// The last state of a Pod that is gone.
    package var lastPod: PodReading?
    /// What it waits for, and since when.
    package var obstacle: Obstacle?
    /// When the obstacle was first seen.
    package var obstacleSince: Timestamp?
    /// How often a queue has taken back its Pod.
    package var suspensions = 0
    /// How many Pods in a row nodes refused before anything of them ran.
    package var refusals = 0

    /// Nothing of it is there.
    package init() {}
}

/// The times that a controller allows, in seconds.
package struct ControllerLimits: Hashable, Sendable {
    /// Longer than the longest pause that a recorder makes before it asks a store again that was away.
    static let leastForRecorder = 120

    /// How long an obstacle may last; for ever where there is none. A Pod has two minutes at least to claim its task.
    package var obstacles: [Obstacle.Kind: Int] = [
        .image: 300, .configuration: 300, .recorder: 300, .recorderEnds: 300, .admission: 300, .mount: 600,
        .volumeClaim: 600,
        .nodeSelector: 600, .neverEnds: 10, .nodeRefusal: 60,
    ]
    /// How many Pods in a row nodes may refuse until that ends an attempt.
    package var refusals = 10
    /// How long an obstacle may last after an executor has failed: outputs may still be uploaded where it passes.
    package var afterFailure = 120
    /// How often the recorder of a Pod that has claimed may have been started again before its ends count.
    package var recorderRestarts = 3
    /// How long a recorder that has ended may stay so, until nobody is taken to start it again.
    package var deadRecorder = 600
    /// How long a Pod may outlive the time that it was given to end: then its node is away.
    package var overdue = 60
    /// How long a Job may be without a Pod that had claimed its task.
    package var podless = 60
    /// How long the cluster may take to delete a Job's Pod after it.
    package var afterJob = 10
    /// How long a Job may go on after its task has ended.
    package var afterEnd = 60
    /// How long the Job of a task that did not succeed stays for whoever wants to look at it.
    package var keepFailed = 0

    /// The defaults.
    package init() {}

    /// How long an obstacle of a kind may last; nil for ever.
    func limit(_ kind: Obstacle.Kind) -> Int? {
        kind == .recorder ? obstacles[kind].map { max($0, Self.leastForRecorder) } : obstacles[kind]
    }
}

/// One thing that a controller does for a submission.
package enum ControllerAction: Hashable, Sendable {
    /// Make the Job, then its volume claim.
    case submit
    case createVolumeClaim
    /// In the background, and only this very one.
    case deleteJob(uid: String)
    case deletePod(name: String, uid: String)
    /// Record an end in a Pod's name.
    case end(ControllerEnding)
    /// Forget the submission.
    case close
}

/// What is recorded.
package enum ControllerEnding: Hashable, Sendable {
    /// As the Pod's status says; as the last one's did where it is gone.
    case podEnded
    /// The obstacle's limit is over.
    case stalled
    /// Only if an executor has failed already: its Pod cannot go on, and nothing would change.
    case stalledAfterFailure
    case canceled
}

/// What a controller decides.
package struct ControllerDecision: Hashable, Sendable {
    /// In this order; one that does not apply any more ends them.
    package var actions: [ControllerAction]
    /// When to look again though nothing has changed.
    package var recheck: Timestamp?

    /// No actions and no time: only a change calls for more.
    package init(_ actions: [ControllerAction] = [], recheck: Timestamp? = nil) {
        self.actions = actions
        self.recheck = recheck
    }
}

/// Row × Job × volume claim × Pod → actions: the whole of what a controller does, as a function.
package struct ControllerMatrix: Sendable {
    /// How long things may last.
    package let limits: ControllerLimits

    /// The limits are the operator's.
    package init(limits: ControllerLimits = ControllerLimits()) { self.limits = limits }

    /// Until when nothing is to be done whatever the row says, so that nobody has to read it: nil for now, the distant future where only
    /// a change of the cluster's can call for something.
    package func isQuiet(_ view: SubmissionView, until now: Timestamp) -> Timestamp? {
        guard view.job?.state == .active, let pod = view.pod, !pod.hasEnded, !pod.isDeleting,
            view.volumeClaim != nil || view.job?.wantsVolumeClaim == false
        else { return nil }
        guard let obstacle = view.obstacle, let since = view.obstacleSince else { return .distantFuture }
        guard let limit = limits.limit(obstacle.kind), !hasFailedExecutor(pod) else { return nil }
        let end = since.adding(seconds: limit)
        return end <= now ? nil : end
    }

    /// What is to be done now. A pure function: the clock is an argument.
    package func decide(_ row: SubmissionRow, _ view: SubmissionView, now: Timestamp) -> ControllerDecision {
        switch row {
        // A Job without a row is judged where all rows are compared with all Jobs.
        case .none: ControllerDecision()
        case .waiting: live(view, claimedBy: nil, now)
        case .held(let pod): live(view, claimedBy: pod, now)
        case .canceling: canceling(view, now)
        case .givenBack: over(view, after: nil, now)
        case .ended(let state, let since): over(view, after: (state, since), now)
        }
    }

    // MARK: The task waits or runs

    private func live(_ view: SubmissionView, claimedBy claim: String?, _ now: Timestamp) -> ControllerDecision {
        guard let job = view.job else { return withoutJob(view, claimedBy: claim, now) }
        if claim == nil, let decision = refused(view, job, now) { return decision }
        switch job.state {
        case .active: return active(view, job, claimedBy: claim, now)
        case .suspended: return ControllerDecision(missingClaim(view, job, claim))
        case .complete, .failed: return afterJob(view, job, now)
        // Somebody else deletes it. A task that waits is submitted again once it is gone.
        case .deleting: return claim == nil ? unclaimed(view, now) : afterJob(view, nil, now)
        }
    }

    /// A node did not take the Pod: another one is made after a pause, and no attempt is lost until that has happened often.
    private func refused(_ view: SubmissionView, _ job: JobReading, _ now: Timestamp) -> ControllerDecision? {
        guard job.state == .active || job.state == .failed, !job.isPastDeadline, let obstacle = view.obstacle,
            obstacle.kind == .nodeRefusal, let since = view.obstacleSince, let pause = limits.limit(obstacle.kind),
            view.refusals < limits.refusals
        else { return nil }
        let end = since.adding(seconds: pause)
        return end <= now ? ControllerDecision([.deleteJob(uid: job.uid)]) : ControllerDecision(recheck: end)
    }

    private func active(
        _ view: SubmissionView, _ job: JobReading, claimedBy claim: String?, _ now: Timestamp
    ) -> ControllerDecision {
        if let pod = view.pod {
            if pod.hasEnded { return ControllerDecision([.end(.podEnded), .deleteJob(uid: job.uid)]) }
            if pod.isDeleting { return overdue(view, job, now) }
        }
        var decision = ControllerDecision(missingClaim(view, job, claim))
        guard let obstacle = view.obstacle, let since = view.obstacleSince else { return decision }
        if let pod = view.pod, claim == pod.uid {
            if obstacle.kind == .recorder { return decision }
            // An end or two of a recorder that goes on where it was are no loss.
            if obstacle.kind == .recorderEnds, (pod[.trec]?.restarts ?? 0) < limits.recorderRestarts {
                // A kubelet pauses for five minutes at most: after twice that nobody starts it again.
                let dead = (view.recorderEndedAt ?? now).adding(seconds: limits.deadRecorder)
                guard dead <= now else {
                    decision.recheck = dead
                    return decision
                }
            }
        }
        // A task that runs has lost its Pod; one that waits may still get it.
        let isPodless = view.pod == nil && claim != nil
        let ending: ControllerEnding = isPodless || obstacle.kind == .neverEnds ? .podEnded : .stalled
        guard let limit = isPodless ? limits.podless : limits.limit(obstacle.kind) else { return decision }
        let end = since.adding(seconds: limit)
        if end <= now {
            decision.actions = [.end(ending), .deleteJob(uid: job.uid)]
        } else {
            decision.recheck = end
            if ending == .stalled, let pod = view.pod, hasFailedExecutor(pod) {
                let early = since.adding(seconds: limits.afterFailure)
                if early <= now {
                    decision.actions.append(.end(.stalledAfterFailure))
                } else {
                    decision.recheck = min(early, end)
                }
            }
        }
        return decision
    }

    /// Some executor has ended with an error, be it one that counts or not, or was ended for its time or memory.
    private func hasFailedExecutor(_ pod: PodReading) -> Bool {
        pod.executors.contains { _, container in
            switch ExecutorEnd(container) {
            case .ended(let code): code != 0
            case .overWalltime, .outOfMemory: true
            case .none, .stopped, .notStarted, .lost, .unreported: false
            }
        }
    }

    /// A Pod that has claimed has its volume.
    private func missingClaim(_ view: SubmissionView, _ job: JobReading, _ claim: String?) -> [ControllerAction] {
        job.wantsVolumeClaim && view.volumeClaim == nil && claim == nil ? [.createVolumeClaim] : []
    }

    /// The Job has ended or is about to go: the Pod's end is the attempt's.
    private func afterJob(_ view: SubmissionView, _ job: JobReading?, _ now: Timestamp) -> ControllerDecision {
        guard let pod = view.pod, !pod.hasEnded else {
            return ControllerDecision([.end(.podEnded)] + (job.map { [.deleteJob(uid: $0.uid)] } ?? []))
        }
        return overdue(view, job, now)
    }

    /// When a Pod that is to end has had its time, counted from when that was first seen: the cluster's clock is another one.
    private func overdueAt(_ view: SubmissionView) -> Timestamp? {
        guard let pod = view.pod, pod.isDeleting else { return nil }
        return view.podDeletedAt?.adding(seconds: pod.deletionGrace + limits.overdue)
    }

    /// A Pod that is to end does, unless its node is away.
    private func overdue(_ view: SubmissionView, _ job: JobReading?, _ now: Timestamp) -> ControllerDecision {
        guard let end = overdueAt(view) else { return ControllerDecision() }
        if now < end { return ControllerDecision(recheck: end) }
        return ControllerDecision([.end(.podEnded)] + (job.map { [.deleteJob(uid: $0.uid)] } ?? []))
    }

    private func withoutJob(
        _ view: SubmissionView, claimedBy claim: String?, _ now: Timestamp
    ) -> ControllerDecision {
        if let pod = view.pod {
            let deletion = delete(pod, view, now)
            // A waiting task's Pod never claimed it: what it does is of no interest.
            if claim == nil { return pod.isDeleting ? unclaimed(view, now) : deletion }
            if pod.hasEnded {
                return ControllerDecision([.end(.podEnded)] + deletion.actions, recheck: deletion.recheck)
            }
            // One that was left behind by its Job may go on and record its end.
            return overdue(view, nil, now)
        }
        if claim != nil { return ControllerDecision([.end(.podEnded)]) }
        // The next claim has the same name. One that is being deleted may stay so for ever: the next submission has another name.
        if let volumeClaim = view.volumeClaim {
            return ControllerDecision(volumeClaim.state == .deleting ? [.close] : [])
        }
        return ControllerDecision([.submit])
    }

    /// What is being deleted goes, unless the node of a Pod is away: then the next submission has another name.
    private func unclaimed(_ view: SubmissionView, _ now: Timestamp) -> ControllerDecision {
        guard let end = overdueAt(view) else { return ControllerDecision() }
        return end <= now ? ControllerDecision([.close]) : ControllerDecision(recheck: end)
    }

    // MARK: The task is to end, or has

    private func canceling(_ view: SubmissionView, _ now: Timestamp) -> ControllerDecision {
        var actions: [ControllerAction] = []
        if let job = view.job, job.state != .deleting { actions.append(.deleteJob(uid: job.uid)) }
        guard let pod = view.pod, !pod.hasEnded else { return ControllerDecision(actions + [.end(.canceled)]) }
        if let end = overdueAt(view) {
            return end <= now
                ? ControllerDecision(actions + [.end(.canceled)]) : ControllerDecision(actions, recheck: end)
        }
        return view.job == nil ? delete(pod, view, now) : ControllerDecision(actions)
    }

    /// Deletes a Pod without a Job, unless the cluster is about to do so.
    private func delete(_ pod: PodReading, _ view: SubmissionView, _ now: Timestamp) -> ControllerDecision {
        if pod.isDeleting { return ControllerDecision() }
        if let end = view.jobDeletedAt?.adding(seconds: limits.afterJob), now < end {
            return ControllerDecision(recheck: end)
        }
        return ControllerDecision([.deletePod(name: pod.name, uid: pod.uid)])
    }

    /// The submission is of no more use: its objects go, then its row.
    private func over(
        _ view: SubmissionView, after end: (state: TESState, since: Timestamp)?, _ now: Timestamp
    ) -> ControllerDecision {
        guard let job = view.job else {
            guard let pod = view.pod, !pod.isDeleting else { return ControllerDecision([.close]) }
            let deletion = delete(pod, view, now)
            return deletion.actions.isEmpty ? deletion : ControllerDecision(deletion.actions + [.close])
        }
        guard job.state != .deleting else { return ControllerDecision() }
        let delete = ControllerDecision([.deleteJob(uid: job.uid)])
        guard let end, end.state != .canceled else { return delete }
        let isOver = job.state == .complete || job.state == .failed || view.pod?.hasEnded == true
        let stays = isOver ? (end.state == .complete ? 0 : limits.keepFailed) : max(limits.afterEnd, keep(end.state))
        let until = end.since.adding(seconds: job.state == .suspended ? 0 : stays)
        return until <= now ? delete : ControllerDecision(recheck: until)
    }

    private func keep(_ state: TESState) -> Int { state == .complete ? 0 : limits.keepFailed }
}

extension Timestamp {
    static let distantFuture = Timestamp(microseconds: .max)

    func adding(seconds: Int) -> Timestamp { Timestamp(microseconds: microseconds + Int64(seconds) * 1_000_000) }

    func adding(_ duration: Duration) -> Timestamp {
        Timestamp(microseconds: microseconds + Int64(duration / .microseconds(1)))
    }
}
