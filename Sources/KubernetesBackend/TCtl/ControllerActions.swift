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
        case .deleteJob(let uid): try await delete(Job.self, key.objectName, uid: uid)
        case .deletePod(let name, let uid): try await delete(Pod.self, name, uid: uid)
        case .end(let ending): return try await end(ending, key, row, view)
        case .close:
            try await stored { () throws(TaskStoreError) in try await store.close(key) }
            state.withLock { state in
                state.view.forget(key)
                state.rechecks[key] = nil
                state.eventsRead[key] = nil
                state.settled[key] = nil
                state.suspensions[key] = nil
            }
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
        try await create(submission)
        return true
    }

    /// Makes a submission's Job, then its volume claim.
    func create(_ submission: Submission) async throws(ControllerError) {
        guard let objects = try await objects(submission) else { return }
        let job: Job
        do throws(KubernetesError) {
            job = try await client.create(objects.job)
        } catch {
            switch error.refusal?.code {
            case 409? where error.reason == .alreadyExists: job = try await existingJob(submission.key)
            case 400?, 422?:
                let cause = Cause.cannotStart(reason: "the cluster refuses its Job: \(error.refusal?.message ?? "")")
                return try await stored { () throws(TaskStoreError) in try await recorder.refuse(submission, cause) }
            default: throw .cluster(error)
            }
        }
        let now = store.now()
        state.withLock { state in
            for key in state.view.apply(.changed(JobReading(job)), now: now) { note(key, &state, now) }
        }
        logger.info("submitted", metadata: ["submission": "\(submission.key.objectName)"])
        if let claim = objects.volumeClaim { try await create(claim, of: job) }
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
        guard let submission, submission.key == key, let claim = try await objects(submission)?.volumeClaim else {
            return false
        }
        let job: Job
        do throws(KubernetesError) { job = try await client.get(Job.self, key.objectName) } catch {
            throw .cluster(error)
        }
        guard job.metadata?.uid == view.job?.uid else { return false }
        try await create(claim, of: job)
        return true
    }

    private func create(_ claim: PersistentVolumeClaim, of job: Job) async throws(ControllerError) {
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
        } catch { throw .cluster(error) }
        let isOurs = made.metadata?.ownerReferences?.contains { $0.uid == uid } ?? false
        guard isOurs, made.metadata?.deletionTimestamp == nil else {
            throw .inTheWay("the PersistentVolumeClaim \(name) belongs to somebody else, or is being deleted")
        }
        let now = store.now()
        state.withLock { state in
            for key in state.view.apply(.changed(VolumeClaimReading(made)), now: now) { note(key, &state, now) }
        }
    }

    // MARK: Ending

    private func delete<Object: KubernetesObject>(
        _ type: Object.Type, _ name: String, uid: String
    ) async throws(ControllerError) {
        do throws(KubernetesError) {
            _ = try await client.delete(
                type, name, propagation: .background, preconditions: Preconditions(uid: uid))
        } catch {
            // Gone, or another one of the same name.
            guard error.reason == .notFound || error.reason == .conflict else { throw .cluster(error) }
        }
    }

    /// Records an end; whether there was one to record.
    private func end(
        _ ending: ControllerEnding, _ key: SubmissionKey, _ row: SubmissionRow, _ view: SubmissionView
    ) async throws(ControllerError) -> Bool {
        if view.pod == nil, try await isThereAfterAll(key, view) { return false }
        let cause = try await stored { () throws(TaskStoreError) in
            try await recorder.record(ending, of: key, row: row, view: view)
        }
        guard let cause else { return ending != .stalledAfterFailure }
        logger.notice(
            "ended an attempt that could not end by itself",
            metadata: ["submission": "\(key.objectName)", "cause": "\(cause.name)"])
        if ending == .stalledAfterFailure, let job = view.job { try await delete(Job.self, job.name, uid: job.uid) }
        // The row is another now.
        state.withLock { _ = $0.dirty.insert(key) }
        return true
    }

    /// Whether the cluster has a Job or Pod that no watch has told of: nothing is ended because a watch hangs.
    private func isThereAfterAll(_ key: SubmissionKey, _ view: SubmissionView) async throws(ControllerError) -> Bool {
        var list = ListOptions()
        list.selection.labels = "batch.kubernetes.io/job-name=\(key.objectName)"
        do throws(KubernetesError) {
            if try await client.list(Pod.self, options: list).items.isEmpty {
                guard view.job == nil else { return false }
                _ = try await client.get(Job.self, key.objectName)
            }
        } catch {
            if error.reason == .notFound { return false }
            throw .cluster(error)
        }
        // The watch tells sooner or later; what was read here may be older than what it told.
        state.withLock { $0.rechecks[key] = store.now().adding(seconds: 2) }
        return true
    }

    // MARK: Rows and Jobs compared

    /// Now and then all rows are compared with all Jobs: that finds what a change was missed of, and Jobs that no row asks for.
    func compareIfDue(_ now: Timestamp) async throws(TaskStoreError) {
        guard state.withLock({ $0.compareAfter <= now }) else { return }
        // Jobs first: a row that is made meanwhile has its Job later.
        let candidates = state.withLock { $0.view.jobs.filter { $0.value.state != .deleting } }
        var rows: Set<SubmissionKey> = []
        var last: SubmissionKey?
        while !Task.isCancelled {
            let page = try await store.openSubmissions(after: last, limit: 1000)
            rows.formUnion(page.map(\.key))
            state.withLock { state in for row in page { note(row.key, &state, now) } }
            guard page.count == 1000 else { break }
            last = page.last?.key
        }
        if Task.isCancelled { return }
        let oldest = now.adding(seconds: -options.orphanAge)
        let orphans = candidates.filter { !rows.contains($0.key) && $0.value.createdAt <= oldest }
        let confirmed = state.withLock { state in
            state.compareAfter = now.adding(seconds: options.comparisonEvery)
            let confirmed = orphans.values.filter { state.suspects.contains($0.uid) }
            state.suspects = Set(orphans.values.map(\.uid))
            return confirmed
        }
        await deleteOrphans(confirmed, of: candidates.count)
    }

    /// Deletes Jobs that no row asks for. Many at once mean that the database is the wrong one: then none is.
    private func deleteOrphans(_ orphans: [JobReading], of jobs: Int) async {
        guard !orphans.isEmpty else { return }
        let most = max(10, jobs / 20)
        guard orphans.count <= most else {
            logger.error(
                """
                the database knows nothing of many Jobs of this installation: is it the right one, or restored? None of them is \
                deleted; delete them yourself if they are of no use
                """, metadata: ["jobs": "\(orphans.count)", "limit": "\(most)"])
            return
        }
        for job in orphans {
            logger.warning("deleting a Job that the database knows nothing of", metadata: ["job": "\(job.name)"])
            do throws(ControllerError) {
                try await delete(Job.self, job.name, uid: job.uid)
            } catch {
                logger.warning("a Job could not be deleted", metadata: ["job": "\(job.name)", "reason": "\(error)"])
            }
        }
    }
}
