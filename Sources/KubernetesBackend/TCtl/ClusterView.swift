package import KubernetesAPI
import TES
package import TaskCore

/// What a controller keeps of the cluster: a reading of each object of its instance, by submission.
package struct ClusterView: Sendable {
    private struct Entry: Sendable {
        var job: JobReading?
        var volumeClaim: VolumeClaimReading?
        /// By uid.
        var pods: [String: PodReading] = [:]
        var lastPod: PodReading?
        var obstacle: Obstacle?
        var obstacleSince = Timestamp(microseconds: 0)
        var events = EventReading()
        var suspensions = 0
        /// How many Pods in a row nodes refused.
        var refusals = 0
        /// When the deletion of a Pod was first seen, by uid.
        var deletions: [String: Timestamp] = [:]
        /// Since when its recorder is seen to have ended.
        var recorderEndedAt: Timestamp?
        /// Of the last Job that is gone.
        var deletedJob: String?
        /// When the cluster told that its Job is gone.
        var jobDeletedAt: Timestamp?
        /// The cluster has told that its Job or a Pod of it was deleted.
        var wasDeleted = false

        /// The newest.
        var pod: PodReading? { pods.values.max { $0.isOlder(than: $1) } }
    }

    private var entries: [SubmissionKey: Entry] = [:]
    /// Jobs that have neither ended nor are being deleted.
    package private(set) var liveJobs = 0

    /// Seconds that a recorder has run after which an end of it is a first one again: so it is for the kubelet's pauses.
    private static let recorderReset = 600

    /// Since when the store answers. Before, no recorder could claim its task.
    package var storeAnswersSince = Timestamp(microseconds: 0)

    /// Nothing is known yet.
    package init() {}

    /// All Jobs, by submission.
    package var jobs: [SubmissionKey: JobReading] { entries.compactMapValues(\.job) }

    /// What waits for something that Events may explain.
    package var unexplained: [SubmissionKey] {
        entries.compactMap { key, entry in
            entry.obstacle.map { $0.kind.needsEvents || entry.pod == nil } == true ? key : nil
        }
    }

    /// What is seen of one submission.
    package func view(_ key: SubmissionKey) -> SubmissionView {
        var view = SubmissionView()
        guard let entry = entries[key] else { return view }
        view.job = entry.job
        view.jobDeletedAt = entry.jobDeletedAt
        view.volumeClaim = entry.volumeClaim
        view.pod = entry.pod
        view.lastPod = entry.lastPod
        view.podDeletedAt = view.pod.flatMap { entry.deletions[$0.uid] }
        view.recorderEndedAt = entry.recorderEndedAt
        view.suspensions = entry.suspensions
        view.refusals = entry.refusals
        if let obstacle = entry.obstacle {
            view.obstacle = entry.events.refined(obstacle)
            view.obstacleSince =
                obstacle.kind == .recorder ? max(entry.obstacleSince, storeAnswersSince) : entry.obstacleSince
        }
        return view
    }

    /// Whether a submission has neither Job nor Pod, and the cluster never told that they were deleted: it may be another cluster or
    /// namespace than theirs.
    package func knowsNothing(of key: SubmissionKey) -> Bool {
        guard let entry = entries[key] else { return true }
        return entry.job == nil && entry.pods.isEmpty && !entry.wasDeleted
    }

    /// How many submissions something is kept of.
    package var count: Int { entries.count }

    /// Forgets what is known of a submission whose objects are gone.
    package mutating func forget(_ key: SubmissionKey) {
        guard let entry = entries[key], entry.job == nil, entry.pods.isEmpty, entry.volumeClaim == nil else { return }
        entries[key] = nil
    }

    /// Keeps what Events say. Another reason than they gave before is another obstacle.
    package mutating func set(_ events: EventReading, for key: SubmissionKey, now: Timestamp) {
        guard let entry = entries[key] else { return }
        if let obstacle = entry.obstacle {
            let before = entry.events.refined(obstacle)
            let isOther = !before.isSame(as: events.refined(obstacle))
            if isOther, !before.isSame(as: obstacle) { entries[key]?.obstacleSince = now }
        }
        entries[key]?.events = events
    }

    // MARK: Changes. Each gives the submissions that they are about.

    /// Takes a change of Jobs; nil in one is an object without a name.
    package mutating func apply(_ change: ReflectedChange<JobReading?>, now: Timestamp) -> [SubmissionKey] {
        apply(
            change, now, key: { SubmissionKey(objectName: $0.name) },
            set: { entry, job in
                // The answer to its creation may come after the watch has told of its end.
                if let job, job.uid == entry.deletedJob { return }
                if job == nil { entry.deletedJob = entry.job?.uid }
                if entry.job?.state == .active, job?.state == .suspended { entry.suspensions += 1 }
                entry.jobDeletedAt = job == nil ? now : nil
                if job == nil { entry.wasDeleted = true }
                entry.job = job
            },
            clear: { entry in
                defer { entry.job = nil }
                return entry.job != nil
            },
            isSame: { $0.job?.uid == $1.uid })
    }

    /// Takes a change of volume claims.
    package mutating func apply(_ change: ReflectedChange<VolumeClaimReading?>, now: Timestamp) -> [SubmissionKey] {
        apply(
            change, now, key: { SubmissionKey(objectName: $0.name) }, set: { $0.volumeClaim = $1 },
            clear: { entry in
                defer { entry.volumeClaim = nil }
                return entry.volumeClaim != nil
            },
            isSame: { $0.volumeClaim?.uid == $1.uid })
    }

    /// Takes a change of Pods. The last state of one that is gone is kept.
    package mutating func apply(_ change: ReflectedChange<PodReading?>, now: Timestamp) -> [SubmissionKey] {
        if case .deleted(let pod?) = change {
            guard let key = SubmissionKey(objectName: pod.job) else { return [] }
            update(key, now) { entry in
                entry.pods[pod.uid] = nil
                entry.lastPod = pod
                entry.wasDeleted = true
            }
            return [key]
        }
        return apply(
            change, now, key: { SubmissionKey(objectName: $0.job) },
            set: { entry, pod in if let pod { entry.pods[pod.uid] = pod } },
            clear: { entry in
                // Nobody saw how they ended.
                entry.lastPod = entry.pod ?? entry.lastPod
                defer { entry.pods = [:] }
                return !entry.pods.isEmpty
            },
            isSame: { $0.pods[$1.uid] != nil })
    }

    private mutating func apply<Reading: Sendable>(
        _ change: ReflectedChange<Reading?>, _ now: Timestamp, key: (Reading) -> SubmissionKey?,
        set: (inout Entry, Reading?) -> Void, clear: (inout Entry) -> Bool, isSame: (Entry, Reading) -> Bool
    ) -> [SubmissionKey] {
        switch change {
        case .changed(let reading?):
            guard let key = key(reading) else { return [] }
            update(key, now) { set(&$0, reading) }
            return [key]
        case .deleted(let reading?):
            // Another one of the same name may be there already.
            guard let key = key(reading), let entry = entries[key], isSame(entry, reading) else { return [] }
            update(key, now) { set(&$0, nil) }
            return [key]
        case .replaced(let readings):
            var changed = Set(entries.keys.filter { clear(&entries[$0, default: Entry()]) })
            for case let reading? in readings {
                guard let key = key(reading) else { continue }
                set(&entries[key, default: Entry()], reading)
                changed.insert(key)
            }
            for key in changed { refresh(key, now) }
            liveJobs = entries.values.count { Self.isLive($0.job) }
            return Array(changed)
        case .interrupted, .changed(nil), .deleted(nil): return []
        }
    }

    private mutating func update(_ key: SubmissionKey, _ now: Timestamp, _ body: (inout Entry) -> Void) {
        let before = Self.isLive(entries[key]?.job)
        body(&entries[key, default: Entry()])
        liveJobs += (Self.isLive(entries[key]?.job) ? 1 : 0) - (before ? 1 : 0)
        refresh(key, now)
    }

    private static func isLive(_ job: JobReading?) -> Bool { job?.state == .active || job?.state == .suspended }

    /// Keeps the time at which the present obstacle was first seen.
    private mutating func refresh(_ key: SubmissionKey, _ now: Timestamp) {
        guard let entry = entries[key] else { return }
        entries[key]?.deletions = entry.pods.filter(\.value.isDeleting).mapValues { entry.deletions[$0.uid] ?? now }
        entries[key]?.recorderEndedAt = entry.pod?[.trec]?.end == nil ? nil : entry.recorderEndedAt ?? now
        let obstacle: Obstacle? =
            if let pod = entry.pod {
                Obstacle(pod)
            } else if entry.job?.state == .active {
                Obstacle(.noPod, text: "its Job has no Pod")
            } else {
                nil
            }
        if let obstacle, let before = entry.obstacle, before.isSame(as: obstacle) {
            entries[key]?.obstacle = obstacle
        } else if let obstacle, let before = entry.obstacle, before.concernsRecorder, obstacle.concernsRecorder,
            now < entry.obstacleSince.adding(seconds: Self.recorderReset)
        {
            entries[key]?.obstacle = obstacle
        } else if obstacle != nil || entry.obstacle != nil {
            entries[key]?.obstacle = obstacle
            entries[key]?.obstacleSince = now
            entries[key]?.events = EventReading()
            if obstacle?.kind == .nodeRefusal { entries[key]?.refusals += 1 }
        }
        if entry.pod?.containers.contains(where: { $0.end != nil || $0.isRunning }) == true {
            entries[key]?.refusals = 0
        }
    }
}
