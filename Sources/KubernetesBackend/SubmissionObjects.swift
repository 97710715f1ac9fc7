package import KubernetesAPI
package import TES

/// The Kubernetes models bring one of their own.
package typealias Timestamp = TES.Timestamp

/// What a submission becomes on a cluster.
package struct SubmissionObjects: Sendable {
    /// Made first.
    package var job: Job
    /// Its owner is added once the Job has a uid.
    package var volumeClaim: PersistentVolumeClaim?

    /// Both carry the submission's name and labels.
    package init(job: Job, volumeClaim: PersistentVolumeClaim?) {
        self.job = job
        self.volumeClaim = volumeClaim
    }
}

/// What a Job says of itself.
package struct JobReading: Hashable, Sendable {
    /// What its conditions and its specification come to.
    package enum State: Hashable, Sendable, CaseIterable {
        case active, suspended, complete, failed, deleting
    }

    /// The submission's.
    package var name: String
    /// Differs from that of an earlier Job of the same name.
    package var uid: String
    /// On the API server's clock.
    package var createdAt: Timestamp
    /// Deletion comes before an end, an end before a suspension.
    package var state: State
    /// The deadline has ended it, or is about to.
    package var isPastDeadline: Bool
    /// Its Pod mounts a claim of the Job's name.
    package var wantsVolumeClaim: Bool

    /// - Parameter job: nil of it has no name yet.
    package init?(_ job: Job) {
        guard let name = job.metadata?.name, let uid = job.metadata?.uid else { return nil }
        self.name = name
        self.uid = uid
        createdAt = job.metadata?.creationTimestamp.flatMap { Timestamp($0) } ?? Timestamp(microseconds: 0)
        let conditions = (job.status?.conditions ?? []).filter { $0.status == "True" }
        let isComplete = conditions.contains { $0.type == "Complete" }
        let hasFailed = conditions.contains { $0.type == "Failed" }
        state =
            if job.metadata?.deletionTimestamp != nil {
                .deleting
            } else if isComplete {
                .complete
            } else if hasFailed {
                .failed
            } else if job.spec?.suspend == true {
                .suspended
            } else {
                .active
            }
        isPastDeadline = conditions.contains {
            ["Failed", "FailureTarget"].contains($0.type) && $0.reason == "DeadlineExceeded"
        }
        let volumes = job.spec?.template.spec?.volumes ?? []
        wantsVolumeClaim = volumes.contains { $0.persistentVolumeClaim?.claimName == name }
    }
}

/// What a volume claim says of itself.
package struct VolumeClaimReading: Hashable, Sendable {
    /// What its phase comes to.
    package enum State: Hashable, Sendable, CaseIterable {
        case pending, bound, deleting
    }

    /// The submission's.
    package var name: String
    /// Differs from that of an earlier claim of the same name.
    package var uid: String
    /// A claim that is lost counts as pending.
    package var state: State

    /// - Parameter claim: nil of it has no name yet.
    package init?(_ claim: PersistentVolumeClaim) {
        guard let name = claim.metadata?.name, let uid = claim.metadata?.uid else { return nil }
        self.name = name
        self.uid = uid
        state =
            if claim.metadata?.deletionTimestamp != nil {
                .deleting
            } else if claim.status?.phase == "Bound" {
                .bound
            } else {
                .pending
            }
    }
}
