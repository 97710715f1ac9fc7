import KubernetesAPI
import Logging
import Synchronization
package import TaskCore

/// Running tasks whose submission the cluster knows nothing of, among all of them.
package struct MissingJobs: Hashable, Sendable {
    /// Tasks that an attempt of a Pod holds.
    package var held = 0
    /// Of these: there is neither Job nor Pod, nor were they seen to be deleted.
    package var missing = 0

    /// None yet.
    package init() {}

    /// Counts a row.
    package mutating func count(_ row: SubmissionRow, isUnknown: @autoclosure () -> Bool) {
        guard case .held = row else { return }
        held += 1
        if isUnknown() { missing += 1 }
    }

    /// So many at once are no accident: the namespace or the cluster is another one, or an older state of it.
    package var areTooMany: Bool { missing >= 10 && missing * 2 > held }
}

/// Jobs that no row asks for.
package enum OrphanJobs: Hashable, Sendable {
    /// These may go, once they have been found twice.
    case old([JobReading])
    /// So many that the database is the wrong one.
    case tooMany(Int, limit: Int)

    /// - Parameters:
    ///   - jobs: as they were before the rows were read, without those that are being deleted.
    ///   - oldest: younger ones may belong to a row that is not seen yet; they count for the limit all the same.
    package init(_ jobs: [SubmissionKey: JobReading], rows: Set<SubmissionKey>, before oldest: Timestamp) {
        let unknown = jobs.filter { !rows.contains($0.key) }.values
        let limit = max(10, jobs.count / 20)
        self =
            unknown.count > limit
            ? .tooMany(unknown.count, limit: limit) : .old(unknown.filter { $0.createdAt <= oldest })
    }
}

/// Rows and Jobs compared.
extension Controller {
    /// Now and then all rows are compared with all Jobs: that finds what a change was missed of, Jobs that no row asks for, and a cluster
    /// that is not the one where the tasks run.
    func compareIfDue(_ now: Timestamp) async throws(TaskStoreError) {
        guard state.withLock({ $0.compareAfter <= now }) else { return }
        // Jobs first: a row that is made meanwhile has its Job later.
        let (jobs, lists) = state.withLock { state in
            (state.view.jobs.filter { $0.value.state != .deleting }, state.lists)
        }
        var rows: Set<SubmissionKey> = []
        var missing = MissingJobs()
        var last: SubmissionKey?
        while !Task.isCancelled {
            let page = try await store.openSubmissions(after: last, limit: 1000)
            state.withLock { state in
                for submission in page {
                    let row = SubmissionRow(submission)
                    rows.insert(submission.key)
                    missing.count(row, isUnknown: state.view.knowsNothing(of: submission.key))
                    note(submission.key, row, &state, now)
                }
            }
            guard page.count == 1000 else { break }
            last = page.last?.key
        }
        if Task.isCancelled { return }
        let orphans = OrphanJobs(jobs, rows: rows, before: store.now().adding(seconds: -options.orphanAge))
        let confirmed = state.withLock { state -> [JobReading] in
            // What was listed anew meanwhile is compared at once.
            if state.lists == lists { state.compareAfter = now.adding(seconds: options.comparisonEvery) }
            state.missesJobs = missing.areTooMany
            guard case .old(let old) = orphans else {
                state.suspects = []
                return []
            }
            defer { state.suspects = Set(old.map(\.uid)) }
            return old.filter { state.suspects.contains($0.uid) }
        }
        warn(missing, orphans)
        await deleteOrphans(confirmed)
    }

    /// What the row says decides whether somebody has to look: an end is not to wait until the cluster changes.
    private func note(_ key: SubmissionKey, _ row: SubmissionRow, _ state: inout State, _ now: Timestamp) {
        switch row {
        case .none, .waiting, .held: note(key, &state, now)
        case .canceling, .givenBack: state.dirty.insert(key)
        case .ended(let ended, _):
            if state.settled[key] != ended || !state.isWaiting(key, now) { state.dirty.insert(key) }
        }
    }

    private func warn(_ missing: MissingJobs, _ orphans: OrphanJobs) {
        if missing.areTooMany {
            logger.error(
                """
                most running tasks have neither Job nor Pod here: are kubernetes.namespace and the cluster the ones where they run, \
                or was etcd restored from an older state? As long as that is so none of them is ended, and no other task is submitted. \
                If they are really gone, cancel these tasks
                """, metadata: ["tasks": "\(missing.missing)", "of": "\(missing.held)"])
        }
        if case .tooMany(let count, let limit) = orphans {
            logger.error(
                """
                the database knows nothing of many Jobs of this installation: is it the right one, or restored? None of them is \
                deleted; delete them yourself if they are of no use
                """, metadata: ["jobs": "\(count)", "limit": "\(limit)"])
        }
    }

    private func deleteOrphans(_ orphans: [JobReading]) async {
        for job in orphans {
            logger.warning("deleting a Job that the database knows nothing of", metadata: ["job": "\(job.name)"])
            do throws(ControllerError) {
                if try await !delete(Job.self, job.name, uid: job.uid) { isGone(job) }
            } catch {
                logger.warning("a Job could not be deleted", metadata: ["job": "\(job.name)", "reason": "\(error)"])
            }
        }
    }
}
