import TES
package import TaskCore

/// Records the end of an attempt in the name of a Pod that cannot do so itself.
package struct EndRecorder: Sendable {
    private let store: any SubmissionStore
    private let limits: ControllerLimits

    /// Records in a store, with the limits that causes tell of.
    package init(store: any SubmissionStore, limits: ControllerLimits) {
        self.store = store
        self.limits = limits
    }

    /// Records an end.
    ///
    /// - Returns: why the attempt ended; nil where there was nothing to record: the row is another than it was, or the ending does not
    ///   apply.
    package func record(
        _ ending: ControllerEnding, of key: SubmissionKey, row: SubmissionRow, view: SubmissionView
    ) async throws(TaskStoreError) -> Cause? {
        let pod = view.pod ?? view.lastPod
        let claimed = row.claimant
        if ending == .stalledAfterFailure, claimed == nil || claimed != view.pod?.uid { return nil }
        // A Pod that is there speaks for itself, also after another one's claim; without any the claim's is ended.
        let name = ending == .canceled ? claimed : view.pod?.uid ?? claimed ?? pod?.uid ?? view.job?.uid
        var metadata: [String: String] = [:]
        if let node = pod?.node { metadata["node"] = node }
        // A recorder may have claimed since the row was read: its attempt is its own to end.
        let claim = try await store.claim(key, pod: name ?? key.objectName, after: claimed, metadata: metadata)
        guard let attempt = claim else { return nil }

        let isCanceled = ending == .canceled || attempt.state == .canceling
        var outcome = PodOutcome(pod, job: view.job, task: attempt.task, wasCanceled: isCanceled)
        if !isCanceled, PodOutcome.failedExecutor(pod, attempt.task) == nil {
            if ending == .stalledAfterFailure { return nil }
            if ending == .stalled, let obstacle = view.obstacle {
                let seconds = limits.limit(obstacle.kind) ?? 0
                outcome.cause = obstacle.cause(attempt.task, minutes: (seconds + 59) / 60)
            }
        } else if !isCanceled, let obstacle = view.obstacle, let part = obstacle.part {
            outcome.lines.append("\(part.words) could not be started: \(obstacle.text)")
        }
        try await write(outcome, for: attempt.key)
        return outcome.cause
    }

    /// Ends a task that cannot be made a Job of.
    package func refuse(_ submission: Submission, _ cause: Cause) async throws(TaskStoreError) {
        let claim = try await store.claim(
            submission.key, pod: submission.key.objectName, after: nil, metadata: [:])
        guard let attempt = claim else { return }
        try await write(PodOutcome(cause: cause), for: attempt.key)
    }

    private func write(_ outcome: PodOutcome, for key: AttemptKey) async throws(TaskStoreError) {
        let mayRetry = outcome.cause.retryHelps && key.number < LifeCycle.mostAttempts
        var record = AttemptRecord(state: mayRetry ? .queued : outcome.cause.state, time: store.now())
        record.cause = outcome.cause.name
        record.executors = outcome.executors.map { ($0.position, $0.log) }
        record.systemLogs = outcome.lines
        if let sentence = outcome.cause.sentence {
            record.systemLogs.append(mayRetry ? sentence + "; the task is queued again" : sentence)
        }
        do throws(TaskStoreError) {
            try await store.record(record, for: key)
        } catch .notThisAttempt {
            // Its recorder was faster, or another Pod has claimed.
        }
    }
}
