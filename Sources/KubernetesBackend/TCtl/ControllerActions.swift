import KubernetesAPI
import Logging
import Synchronization
import TES
import TaskCore

/// What a controller does on the cluster and in the store.
extension Controller {
    /// Does one thing; whether the next one still makes sense.
    func perform(
        _ action: ControllerAction, _ key: SubmissionKey, _ row: SubmissionRow, _ view: SubmissionView
    ) async throws(ControllerError) -> Bool {
        switch action {
        case .submit: return try await submitAgain(key)
        case .createVolumeClaim: return try await createVolumeClaim(key, view)
        case .deleteJob(let uid): try await deleteJob(key, uid: uid)
        case .deletePod(let name, let uid): try await delete(Pod.self, name, uid: uid)
        case .end(let ending): return try await end(ending, key, row, view)
        case .close:
            let isClosed = try await stored { () throws(TaskStoreError) in
                // A Pod that is thought dead may claim until the last moment.
                if row == .waiting { return try await store.closeUnclaimed(key) }
                try await store.close(key)
                return true
            }
            guard isClosed else {
                state.withLock { _ = $0.dirty.insert(key) }
                return false
            }
            state.withLock { $0.forget(key) }
        }
        return true
    }

    private func stored<Result>(
        _ body: () async throws(TaskStoreError) -> Result
    ) async throws(ControllerError) -> Result {
        do throws(TaskStoreError) { return try await body() } catch { throw .store(error) }
    }

    // MARK: Submitting

    /// Makes the Job of a submission that was opened before.
    private func submitAgain(_ key: SubmissionKey) async throws(ControllerError) -> Bool {
        guard let submission = try await stored({ () throws(TaskStoreError) in try await store.submit(key.taskID) })
        else {
            return false
        }
        return try await make(submission)
    }

    /// Makes a submission's Job, then its volume claim.
    func create(_ submission: Submission) async throws(ControllerError) {
        guard let objects = try await objects(submission) else { return }
        let job: Job
        do throws(KubernetesError) {
            job = try await client.create(objects.job)
        } catch {
            if error.refusesObject { return try await refuse(submission, "Job", error) }
            guard error.reason == .alreadyExists else { throw .creation(error) }
            job = try await existingJob(submission.key)
        }
        taken(submission.key)
        let now = clock()
        state.withLock { state in
            for key in state.view.apply(.changed(JobReading(job)), now: now) { note(key, &state, now) }
        }
        logger.info("submitted", metadata: ["submission": "\(submission.key.objectName)"])
        if let claim = objects.volumeClaim { try await create(claim, of: job, for: submission) }
    }

    /// Ends a task whose object the cluster refuses, be it after the time that a refusal has to be lifted again.
    private func refuse(_ submission: Submission, _ what: String, _ error: KubernetesError)
        async throws(ControllerError)
    {
        let now = clock()
        if error.refusalMayPass {
            let since = state.withLock { state in
                let since = state.deniedSince[submission.key] ?? now
                state.deniedSince[submission.key] = since
                return since
            }
            guard let limit = options.limits.limit(.admission), since.adding(seconds: limit) <= now else {
                throw .denied(error)
            }
        }
        let cause = Cause.cannotStart(reason: "the cluster refuses its \(what): \(error.refusal?.message ?? "")")
        try await stored { () throws(TaskStoreError) in try await recorder.refuse(submission, cause) }
        state.withLock { _ = $0.dirty.insert(submission.key) }
    }

    /// What a submission becomes; nil where it never can be, which is then recorded.
    private func objects(_ submission: Submission) async throws(ControllerError) -> SubmissionObjects? {
        do throws(Cause) {
            return try render(submission)
        } catch let cause {
            try await stored { () throws(TaskStoreError) in try await recorder.refuse(submission, cause) }
            return nil
        }
    }

    /// A Job that is there already is a success only if it is this submission's and may still run it.
    private func existingJob(_ key: SubmissionKey) async throws(ControllerError) -> Job {
        let job: Job
        do throws(KubernetesError) { job = try await client.get(Job.self, key.objectName) } catch {
            throw .cluster(error)
        }
        guard job.metadata?.labels?[ObjectLabel.instance] == options.instance else {
            throw .inTheWay("there is a Job \(key.objectName) of somebody else")
        }
        switch JobReading(job)?.state {
        case .active?, .suspended?: return job
        case .complete?, .failed?, .deleting?, nil:
            throw .inTheWay("the Job \(key.objectName) has ended, or is being deleted")
        }
    }

    private func createVolumeClaim(_ key: SubmissionKey, _ view: SubmissionView) async throws(ControllerError) -> Bool {
        // Open and unclaimed, or nil.
        let submission = try await stored { () throws(TaskStoreError) in try await store.submit(key.taskID) }
        guard let submission, submission.key == key, let objects = try await objects(submission) else { return false }
        guard let claim = objects.volumeClaim else {
            // It was submitted under another configuration: without a claim its Pod waits for ever.
            if let job = view.job { try await deleteJob(key, uid: job.uid) }
            return false
        }
        let job: Job
        do throws(KubernetesError) { job = try await client.get(Job.self, key.objectName) } catch {
            throw .cluster(error)
        }
        guard job.metadata?.uid == view.job?.uid else { return false }
        try await create(claim, of: job, for: submission)
        return true
    }

    private func create(
        _ claim: PersistentVolumeClaim, of job: Job, for submission: Submission
    ) async throws(ControllerError) {
        guard let name = job.metadata?.name, let uid = job.metadata?.uid else { return }
        var claim = claim
        var metadata = claim.metadata ?? ObjectMeta(name: name)
        metadata.ownerReferences = [
            OwnerReference(
                apiVersion: "batch/v1", kind: "Job", name: name, uid: uid, controller: true, blockOwnerDeletion: true)
        ]
        claim.metadata = metadata
        let made: PersistentVolumeClaim
        do throws(KubernetesError) {
            do throws(KubernetesError) {
                made = try await client.create(claim)
            } catch {
                guard error.reason == .alreadyExists else { throw error }
                made = try await client.get(PersistentVolumeClaim.self, name)
            }
        } catch {
            if error.refusesObject { return try await refuse(submission, "PersistentVolumeClaim", error) }
            throw .cluster(error)
        }
        let isOurs = made.metadata?.ownerReferences?.contains { $0.uid == uid } ?? false
        guard isOurs, made.metadata?.deletionTimestamp == nil else {
            throw .inTheWay("the PersistentVolumeClaim \(name) belongs to somebody else, or is being deleted")
        }
        let now = clock()
        state.withLock { state in
            state.deniedSince[submission.key] = nil
            for key in state.view.apply(.changed(VolumeClaimReading(made)), now: now) { note(key, &state, now) }
        }
    }

    // MARK: Ending

    /// Deletes a submission's Job, and takes it for one that goes until the watch tells: nobody asks twice.
    private func deleteJob(_ key: SubmissionKey, uid: String) async throws(ControllerError) {
        let wasThere = try await delete(Job.self, key.objectName, uid: uid)
        guard var job = state.withLock({ $0.view.view(key).job }), job.uid == uid else { return }
        // The watch may have told of its end before the answer to its creation came.
        guard wasThere else { return isGone(job) }
        job.state = .deleting
        let now = clock()
        state.withLock { state in
            if state.view.view(key).job?.uid == uid { _ = state.view.apply(.changed(job), now: now) }
        }
    }

    /// Takes a Job for deleted.
    func isGone(_ job: JobReading) {
        let now = clock()
        state.withLock { state in
            for key in state.view.apply(.deleted(job), now: now) { note(key, &state, now) }
        }
    }

    /// Deletes one object; false where it was gone, or another one of the same name is there.
    @discardableResult
    func delete<Object: KubernetesObject>(
        _ type: Object.Type, _ name: String, uid: String
    ) async throws(ControllerError) -> Bool {
        do throws(KubernetesError) {
            _ = try await client.delete(
                type, name, propagation: .background, preconditions: Preconditions(uid: uid))
            return true
        } catch {
            guard error.reason == .notFound || error.reason == .conflict else { throw .cluster(error) }
            return false
        }
    }

    /// Records an end; whether there was one to record.
    private func end(
        _ ending: ControllerEnding, _ key: SubmissionKey, _ row: SubmissionRow, _ view: SubmissionView
    ) async throws(ControllerError) -> Bool {
        guard !mayBeElsewhere(key, row) else { return false }
        guard try await !isOutdated(key, row, view) else { return false }
        let cause = try await stored { () throws(TaskStoreError) in
            try await recorder.record(ending, of: key, row: row, view: view)
        }
        guard let cause else {
            // It waits no more: a Pod may have claimed it, which is to go on.
            if row == .waiting {
                state.withLock { _ = $0.dirty.insert(key) }
                return false
            }
            return ending != .stalledAfterFailure
        }
        logger.notice(
            "ended an attempt that could not end by itself",
            metadata: ["submission": "\(key.objectName)", "cause": "\(cause.name)"])
        if ending == .stalledAfterFailure, let job = view.job { try await deleteJob(key, uid: job.uid) }
        // The row is another now.
        state.withLock { _ = $0.dirty.insert(key) }
        return true
    }

    /// Whether the task may run in another cluster or namespace than this one, for all that is known.
    private func mayBeElsewhere(_ key: SubmissionKey, _ row: SubmissionRow) -> Bool {
        guard case .held = row else { return false }
        return state.withLock { state in
            guard state.missesJobs || !state.isCompared, state.view.knowsNothing(of: key) else {
                return false
            }
            state.rechecks[key] = clock().adding(seconds: 10)
            return true
        }
    }

    /// Whether the cluster has another Pod, a Job, or another state of the Pod than what was judged: nothing is ended because a watch hangs,
    /// or this process slept. A Pod that has ended is told as it is.
    private func isOutdated(
        _ key: SubmissionKey, _ row: SubmissionRow, _ view: SubmissionView
    ) async throws(ControllerError) -> Bool {
        // Another Pod has claimed: it may be a newer one.
        if let pod = view.pod, pod.hasEnded, row.claimant ?? pod.uid == pod.uid { return false }
        var list = ListOptions()
        list.selection.labels = "batch.kubernetes.io/job-name=\(key.objectName)"
        let pod: PodReading?
        do throws(KubernetesError) {
            pod = try await client.list(Pod.self, options: list).items.compactMap { PodReading($0) }.max {
                $0.isOlder(than: $1)
            }
            if pod == nil, view.pod == nil {
                guard view.job == nil else { return false }
                _ = try await client.get(Job.self, key.objectName)
            }
        } catch {
            if error.reason == .notFound { return false }
            throw .cluster(error)
        }
        if let pod, pod == view.pod { return false }
        let now = clock()
        state.withLock { state in
            let change = pod.map { ReflectedChange<PodReading?>.changed($0) } ?? view.pod.map { .deleted($0) }
            if let change { _ = state.view.apply(change, now: now) }
            // The watch tells sooner or later; what was read here may be older than what it told.
            state.rechecks[key] = now.adding(seconds: 2)
        }
        return true
    }
}
