import Synchronization
import TES
package import TaskCore

/// What a cluster's controller and its Pods' recorders do.
extension InMemoryTaskStore: SubmissionStore {
    package func waitingTasks(limit: Int) async throws(TaskStoreError) -> [TaskID] {
        state.withLock { state in
            let waiting = state.entries.values.filter { entry in
                entry.lifeCycle.state == .queued
                    && entry.submissions[entry.submission].map { $0.claim != nil } ?? true
            }
            return Array(waiting.map(\.new.id).sorted().prefix(limit))
        }
    }

    package func submit(_ id: TaskID) async throws(TaskStoreError) -> Submission? {
        let time = now()
        return state.withLock { state in
            guard var entry = state.entries[id], entry.lifeCycle.state == .queued else { return nil }
            if entry.submissions[entry.submission].map({ $0.claim != nil }) ?? true {
                entry.submission += 1
                entry.submissions[entry.submission] = HeldSubmission(createdAt: time)
                state.entries[id] = entry
            }
            return Submission(
                key: SubmissionKey(taskID: id, number: entry.submission), principal: entry.new.principal,
                task: entry.new.task.identified(id.description, .queued))
        }
    }

    package func openSubmissions(
        after: SubmissionKey?, limit: Int
    ) async throws(TaskStoreError) -> [OpenSubmission] {
        let all = state.withLock { state in state.entries.values.flatMap(Self.submissions) }.sorted(by: Self.isBefore)
        let rest = all.filter { row in
            after.map { ($0.taskID, $0.number) < (row.key.taskID, row.key.number) } ?? true
        }
        return Array(rest.prefix(limit))
    }

    package func openSubmissions(of tasks: [TaskID]) async throws(TaskStoreError) -> [OpenSubmission] {
        state.withLock { state in tasks.compactMap { state.entries[$0] }.flatMap(Self.submissions) }
            .sorted(by: Self.isBefore)
    }

    package func endingSubmissions(limit: Int) async throws(TaskStoreError) -> [OpenSubmission] {
        let all = state.withLock { state in state.entries.values.flatMap(Self.submissions) }
        let ending = all.filter { ![.queued, .initializing, .running].contains($0.state) }
        let (canceled, others) = (ending.filter(Self.isCanceled), ending.filter { !Self.isCanceled($0) })
        return Array((canceled.sorted(by: Self.isNewer) + others.sorted(by: Self.isNewer)).prefix(limit))
    }

    private static func isCanceled(_ row: OpenSubmission) -> Bool { row.state == .canceling || row.state == .canceled }

    private static func isNewer(_ one: OpenSubmission, _ other: OpenSubmission) -> Bool {
        one.changedAt == other.changedAt ? isBefore(one, other) : one.changedAt > other.changedAt
    }

    private static func isBefore(_ one: OpenSubmission, _ other: OpenSubmission) -> Bool {
        (one.key.taskID, one.key.number) < (other.key.taskID, other.key.number)
    }

    private static func submissions(_ entry: Entry) -> [OpenSubmission] {
        entry.submissions.map { number, held in
            OpenSubmission(
                key: SubmissionKey(taskID: entry.new.id, number: number), principal: entry.new.principal,
                state: entry.lifeCycle.state, changedAt: entry.changedAt, createdAt: held.createdAt,
                claim: held.claim.map { claim in
                    let holdsTask = claim.attempt == entry.attempts.count && entry.lifeCycle.state != .queued
                    return .init(pod: claim.pod, attempt: claim.attempt, holdsTask: holdsTask)
                },
                isCurrent: number == entry.submission)
        }
    }

    package func close(_ key: SubmissionKey) async throws(TaskStoreError) {
        state.withLock { $0.entries[key.taskID]?.submissions[key.number] = nil }
    }

    package func closeUnclaimed(_ key: SubmissionKey) async throws(TaskStoreError) -> Bool {
        state.withLock { state in
            guard state.entries[key.taskID]?.submissions[key.number]?.claim == nil else { return false }
            state.entries[key.taskID]?.submissions[key.number] = nil
            return true
        }
    }

    package func claim(
        _ key: SubmissionKey, pod: String, metadata: [String: String]
    ) async throws(TaskStoreError) -> Attempt? {
        claim(key, pod: pod, metadata: metadata) { _ in true }
    }

    package func claim(
        _ key: SubmissionKey, pod: String, after claimant: String?, metadata: [String: String]
    ) async throws(TaskStoreError) -> Attempt? {
        claim(key, pod: pod, metadata: metadata) { $0 == claimant }
    }

    /// - Parameter isExpected: whether the Pod that claimed last may be this one.
    private func claim(
        _ key: SubmissionKey, pod: String, metadata added: [String: String], _ isExpected: (String?) -> Bool
    ) -> Attempt? {
        let time = now()
        var metadata = metadata
        metadata["backend"] = "kubernetes"
        metadata.merge(added) { _, new in new }
        return state.withLock { state in
            guard var entry = state.entries[key.taskID], entry.submission == key.number,
                let submission = entry.submissions[key.number], !entry.lifeCycle.state.isTerminal,
                isExpected(submission.claim?.pod)
            else { return nil }
            if submission.claim?.pod != pod, submission.pods.contains(pod) { return nil }
            if let claim = submission.claim, claim.attempt == entry.attempts.count, entry.lifeCycle.state != .queued {
                if claim.pod == pod { return attempt(entry) }
                let isLast = entry.attempts.count >= LifeCycle.mostAttempts
                _ = entry.lifeCycle.record(isLast ? .systemError : .queued)
                entry.changedAt = time
                let last = entry.attempts.count - 1
                entry.attempts[last].log.endTime = time
                entry.attempts[last].log.systemLogs =
                    (entry.attempts[last].log.systemLogs ?? []) + [
                        "the attempt was lost: another Pod took the place of its Pod"
                    ]
                state.entries[key.taskID] = entry
            }
            guard entry.lifeCycle.state == .queued, submission.claim?.pod != pod else { return nil }
            var log = TESTaskLog(metadata: metadata, startTime: time)
            if entry.attempts.isEmpty, !entry.new.warnings.isEmpty { log.systemLogs = entry.new.warnings }
            entry.attempts.append(Held(worker: nil, token: randomToken(), log: log))
            entry.submissions[key.number]?.claim = (pod, entry.attempts.count)
            entry.submissions[key.number]?.pods.insert(pod)
            _ = entry.lifeCycle.record(.initializing)
            entry.changedAt = time
            state.entries[key.taskID] = entry
            return attempt(entry)
        }
    }
}
