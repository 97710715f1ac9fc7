package import KubernetesAPI
import TES

/// Why a submission does not go on. The same one for its limit ends the attempt.
package struct Obstacle: Hashable, Sendable {
    /// What kind of thing it is; each has its limit.
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        /// An image cannot be had.
        case image
        /// A container cannot be made: a Secret is missing, say.
        case configuration
        /// The recorder keeps ending, or does not claim the task: none where it has.
        case recorder
        /// Sandbox, network or volumes cannot be set up.
        case mount
        /// The workspace's claim is not bound.
        case volumeClaim
        /// No node has what the Pod asks for besides resources.
        case nodeSelector
        /// There is no room: it will come.
        case capacity
        /// The Job's Pod is refused.
        case admission
        /// The Job has no Pod, and nothing says why.
        case noPod
        /// The Pod will never end by itself.
        case neverEnds
    }

    /// What kind of thing it is.
    package var kind: Kind
    /// The container that does not start, where it is one.
    package var part: PodPart?
    /// In the cluster's words.
    package var text: String

    /// An obstacle in the cluster's words.
    package init(_ kind: Kind, part: PodPart? = nil, text: String) {
        self.kind = kind
        self.part = part
        self.text = text
    }

    /// Whether the two are the same one: texts hold names and numbers that differ with each try.
    package func isSame(as other: Obstacle) -> Bool { kind == other.kind && part == other.part }

    private static let imageReasons: Set = [
        "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
        "RegistryUnavailable", "SignatureValidationFailed",
    ]
    private static let configurationReasons: Set = [
        "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError",
        "PreStartHookError", "PostStartHookError",
    ]

    /// What a Pod that has not ended waits for; nil where it goes on.
    package init?(_ pod: PodReading) {
        guard !pod.hasEnded, !pod.isDeleting else { return nil }
        if Self.neverEnds(pod) {
            self.init(.neverEnds, text: "nothing of the Pod runs, and it does not end")
            return
        }
        if let reason = pod.unschedulable, pod.containers.isEmpty {
            self.init(unschedulable: reason)
            return
        }
        if pod.containers.contains(where: { $0.isRunning && $0.part != .trec && $0.part != .tif }) { return nil }
        for container in pod.containers {
            guard let reason = container.waitingReason else { continue }
            let text = reason.message.isEmpty ? reason.name : reason.message
            if Self.imageReasons.contains(reason.name) {
                self.init(.image, part: container.part, text: text)
                return
            }
            if Self.configurationReasons.contains(reason.name) {
                self.init(.configuration, part: container.part, text: text)
                return
            }
        }
        let trec = pod[.trec]
        if pod.isReadyToStart == false, pod.containers.allSatisfy({ $0.state == .waiting(nil) }) {
            self.init(.mount, text: "its volumes or its network cannot be set up")
        } else if let end = trec?.end, pod.executors.first?.container.end == nil {
            let said = end.message.isEmpty ? "" : ": " + end.message
            self.init(.recorder, part: .trec, text: "its recorder (trec) keeps ending, with status \(end.code)\(said)")
        } else if trec?.waitingReason?.name == "CrashLoopBackOff" {
            self.init(.recorder, part: .trec, text: "its recorder (trec) keeps ending")
        } else if trec?.isRunning == true, pod.executors.first?.container.end == nil {
            self.init(.recorder, part: .trec, text: "its recorder (trec) runs, but does not claim the task")
        } else {
            return nil
        }
    }

    private init(unschedulable reason: String) {
        let text = reason.hasSuffix(". not found") ? String(reason.dropLast(11)) : reason
        let lower = text.lowercased()
        // What may come by itself, on one node at least: room, a node that is cordoned or away.
        let mayCome = ["insufficient", "too many pods", "free ports", "node.kubernetes.io/", "unschedulable"]
        let isWanted = ["affinity", "selector", "untolerated taint"].contains { lower.contains($0) }
        let kind: Kind =
            if lower.contains("persistentvolume") {
                .volumeClaim
            } else if isWanted, !mayCome.contains(where: { lower.contains($0) }) {
                .nodeSelector
            } else {
                .capacity
            }
        self.init(kind, text: text)
    }

    /// Pending for ever: the recorder has ended, nothing runs, and there is no sandbox in which anything could.
    ///
    /// On its way to a clean end a Pod looks so for some two seconds.
    package static func neverEnds(_ pod: PodReading) -> Bool {
        pod.phase == .pending && !pod.isDeleting && pod.isReadyToStart == false && pod[.trec]?.end != nil
            && !pod.containers.contains(where: \.isRunning)
    }
}

/// What the Events of a submission's Job, Pod and claim add to what their status says.
package struct EventReading: Hashable, Sendable {
    /// Why the Job has no Pod.
    package var job: Obstacle?
    /// Why its Pod's volumes or network cannot be set up.
    package var mount: String?
    /// Why its claim is not bound.
    package var volumeClaim: String?

    /// Nothing was told yet.
    package init() {}

    private static let mountReasons: Set = [
        "FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "NetworkNotReady",
    ]

    /// - Parameter events: of all three, in any order.
    package init(_ events: [Event]) {
        let sorted = events.filter { $0.type == "Warning" }.sorted { Self.time($0) < Self.time($1) }
        for event in sorted {
            let text = trimmed(event.message)
            switch (event.involvedObject?.kind, event.reason) {
            case ("Job", "FailedCreate"):
                job = Obstacle(text.contains("exceeded quota") ? .capacity : .admission, text: Self.withoutPod(text))
            case ("Pod", let reason?) where Self.mountReasons.contains(reason): mount = text
            case ("PersistentVolumeClaim", _): volumeClaim = text
            default: break
            }
        }
    }

    private static func time(_ event: Event) -> String {
        // Texts of one format each, and of the same length up to the seconds.
        String((event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? "").prefix(19))
    }

    /// Each try has another Pod's name: `Error creating: pods "NAME-9dk8r" is forbidden: …`.
    private static func withoutPod(_ text: String) -> String {
        guard let start = text.firstRange(of: "is forbidden: ") else { return text }
        return String(text[start.upperBound...])
    }

    /// An obstacle with the reason that Events give for it.
    package func refined(_ obstacle: Obstacle) -> Obstacle {
        var refined = obstacle
        switch obstacle.kind {
        case .noPod: if let job { refined = job }
        case .mount: if let mount { refined.text = mount }
        case .volumeClaim: if let volumeClaim { refined.text += ": " + volumeClaim }
        default: break
        }
        return refined
    }
}
