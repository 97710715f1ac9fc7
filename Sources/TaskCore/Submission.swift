package import TES

/// One Job's worth of a task: a controller raises the number before it asks the cluster for the Job, so that a Job's name says which
/// submission it is and asking twice makes one Job.
package struct SubmissionKey: Hashable, Sendable {
    package var taskID: TaskID
    /// Counted from 1.
    package var number: Int

    package init(taskID: TaskID, number: Int) {
        self.taskID = taskID
        self.number = number
    }
}

/// A task that is to be handed to a cluster.
package struct Submission: Sendable {
    package var key: SubmissionKey
    package var principal: Principal
    /// Without logs.
    package var task: TESTask

    package init(key: SubmissionKey, principal: Principal, task: TESTask) {
        self.key = key
        self.principal = principal
        self.task = task
    }
}

/// What a store knows of a submission that was not closed yet.
package struct OpenSubmission: Hashable, Sendable {
    package var key: SubmissionKey
    package var principal: Principal
    /// The task's, not the submission's.
    package var state: TESState
    /// When the task came into its state.
    package var changedAt: Timestamp
    package var createdAt: Timestamp
    /// The UID of the Pod that claimed it last, and the attempt that this opened.
    package var claim: Claim?
    /// Whether the task's last submission is this one.
    package var isCurrent: Bool

    package struct Claim: Hashable, Sendable {
        package var pod: String
        package var attempt: Int
        /// Whether the task's attempt is this one, and has not given the task back.
        package var holdsTask: Bool

        package init(pod: String, attempt: Int, holdsTask: Bool) {
            self.pod = pod
            self.attempt = attempt
            self.holdsTask = holdsTask
        }
    }

    package init(
        key: SubmissionKey, principal: Principal, state: TESState, changedAt: Timestamp, createdAt: Timestamp,
        claim: Claim?, isCurrent: Bool
    ) {
        self.key = key
        self.principal = principal
        self.state = state
        self.changedAt = changedAt
        self.createdAt = createdAt
        self.claim = claim
        self.isCurrent = isCurrent
    }
}

/// What a Pod's recorder needs of a store: a login without rights on any table does.
package protocol RecorderStore: AttemptRecorder {
    /// Opens an attempt for the Pod that runs a submission. The same Pod gets the same attempt again as long as that holds the task;
    /// another Pod of the submission ends the attempt of the one before as lost, for good: that one may not claim again.
    ///
    /// A controller that writes the end of a Pod which cannot do so itself claims in its name.
    ///
    /// - Parameters:
    ///   - pod: the Pod's UID.
    ///   - metadata: added to what the store opens each attempt's metadata with.
    /// - Returns: nil where there is nothing to run: the task was cancelled, has ended, or was submitted again, or another Pod has
    ///   taken this one's place.
    func claim(
        _ key: SubmissionKey, pod: String, metadata: [String: String]
    ) async throws(TaskStoreError) -> Attempt?
}

/// A store that a cluster's controller works with.
package protocol SubmissionStore: TaskStore, RecorderStore {
    /// Waiting tasks without a submission that a Pod may still claim, oldest first.
    func waitingTasks(limit: Int) async throws(TaskStoreError) -> [TaskID]
    /// Opens a submission of a waiting task, or gives the one that is open and unclaimed; nil where the task does not wait.
    func submit(_ id: TaskID) async throws(TaskStoreError) -> Submission?
    /// Submissions that are open, in the order of their keys.
    func openSubmissions(after: SubmissionKey?, limit: Int) async throws(TaskStoreError) -> [OpenSubmission]
    /// The open submissions of some tasks.
    func openSubmissions(of tasks: [TaskID]) async throws(TaskStoreError) -> [OpenSubmission]
    /// Open submissions whose task is neither QUEUED, INITIALIZING nor RUNNING: what a controller has to end or to clean up. Cancelled
    /// tasks come first, then what ended last: a controller may keep many that failed for a while.
    func endingSubmissions(limit: Int) async throws(TaskStoreError) -> [OpenSubmission]
    /// Opens an attempt as the recorder of a Pod does, but only if the submission's last claim is still that of a Pod the caller knows.
    ///
    /// - Parameters:
    ///   - pod: in whose name.
    ///   - claimant: the UID of the Pod that claimed last; nil where none did.
    /// - Returns: nil also where another Pod has claimed meanwhile: its attempt is left alone.
    func claim(
        _ key: SubmissionKey, pod: String, after claimant: String?, metadata: [String: String]
    ) async throws(TaskStoreError) -> Attempt?
    /// Forgets a submission: no Pod can claim it any more. Closing one twice is no error.
    func close(_ key: SubmissionKey) async throws(TaskStoreError)
    /// The same for a submission that no Pod has claimed; false where one has, and it stays open.
    func closeUnclaimed(_ key: SubmissionKey) async throws(TaskStoreError) -> Bool
}
