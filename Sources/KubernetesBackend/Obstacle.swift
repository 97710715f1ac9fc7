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
        /// The recorder does not claim the task: none where it has.
        case recorder
        /// The recorder keeps ending.
        case recorderEnds
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
        /// A node did not take the Pod: after its limit another one is made.
        case nodeRefusal
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

    /// A recorder that keeps ending runs for a moment in between.
    var concernsRecorder: Bool { kind == .recorder || kind == .recorderEnds }

    private static let imageReasons: Set = [
        "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
        "RegistryUnavailable", "SignatureValidationFailed",
    ]
    private static let configurationReasons: Set = [
        "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError",
        "PreStartHookError", "PostStartHookError",
    ]

    /// What a Pod waits for that has not ended, or that its node refused; nil where it goes on.
    ///
    /// What containers of others do is no sign that the task goes on: a webhook's sidecar runs all the time.
    package init?(_ pod: PodReading) {
        guard !pod.isDeleting else { return nil }
        if pod.wasRefused, let reason = pod.statusReason {
            self.init(.nodeRefusal, text: reason.message.isEmpty ? reason.name : "\(reason.name): \(reason.message)")
            return
        }
        guard !pod.hasEnded else { return nil }
        if Self.neverEnds(pod) {
            self.init(.neverEnds, text: "nothing of the Pod runs, and it does not end")
            return
        }
        if let reason = pod.unschedulable, pod.containers.isEmpty {
            self.init(unschedulable: reason, claim: pod.job)
            return
        }
        let own = pod.containers.filter { !$0.part.isOther }
        if own.contains(where: { $0.isRunning && $0.part != .trec && $0.part != .tif }) { return nil }
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
        if pod.isReadyToStart == false, own.allSatisfy({ $0.state == .waiting(nil) }) {
            self.init(.mount, text: "its volumes or its network cannot be set up")
        } else if let end = trec?.end, pod.executors.first?.container.end == nil {
            let said = end.message.isEmpty ? "" : ": " + end.message
            self.init(
                .recorderEnds, part: .trec, text: "its recorder (trec) keeps ending, with status \(end.code)\(said)")
        } else if trec?.waitingReason?.name == "CrashLoopBackOff" {
            self.init(.recorderEnds, part: .trec, text: "its recorder (trec) keeps ending")
        } else if trec?.isRunning == true, pod.executors.first?.container.end == nil {
            self.init(.recorder, part: .trec, text: "its recorder (trec) runs, but does not claim the task")
        } else {
            return nil
        }
    }

    /// - Parameter claim: the workspace's name.
    private init(unschedulable reason: String, claim: String) {
        let text = reason.hasSuffix(". not found") ? String(reason.dropLast(11)) : reason
        let kind: Kind =
            if text.contains("\"\(claim)\" not found") {
                // The controller asks for it again and again where the cluster refuses it, for a quota say: it comes as room does.
                .capacity
            } else if text.lowercased().contains("persistentvolume") {
                .volumeClaim
            } else if Self.fitsNowhere(text) {
                .nodeSelector
            } else {
                .capacity
            }
        self.init(kind, text: text)
    }

    /// Whether each node lacks what the Pod asks for besides room: one that only has none, or is away, may take it later.
    ///
    /// The scheduler counts nodes by reason: `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}.
    /// preemption: …`.
    private static func fitsNowhere(_ text: String) -> Bool {
        let lower = text.lowercased()
        guard let start = lower.firstRange(of: "nodes are available: ") else { return false }
        var list = lower[start.upperBound...]
        if let end = list.firstRange(of: " preemption: ") { list = list[..<end.lowerBound] }
        // What stands after a comma without a number belongs to the reason before it.
        var reasons: [Substring] = []
        for piece in list.split(separator: ", ") {
            if let last = reasons.last, piece.first?.isNumber != true {
                reasons[reasons.count - 1] = last + ", " + piece
            } else {
                reasons.append(piece)
            }
        }
        return !reasons.isEmpty
            && reasons.allSatisfy { reason in
                // Taints that Kubernetes itself sets come and go: a node that is away, cordoned or new.
                let isPassing = reason.contains("node.kubernetes.io/") || reason.contains("node.cloudprovider.")
                return reason.contains("node affinity") || reason.contains("node selector")
                    || (reason.contains("untolerated taint") && !isPassing)
            }
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
                job = Obstacle(Self.kind(failedCreate: text), text: Self.withoutPod(text))
            case ("Pod", let reason?) where Self.mountReasons.contains(reason): mount = text
            case ("PersistentVolumeClaim", _): volumeClaim = text
            default: break
            }
        }
    }

    /// A quota comes free, what refuses stays, and anything else, such as a webhook or an API server that does not answer, passes.
    private static func kind(failedCreate text: String) -> Obstacle.Kind {
        if text.contains("exceeded quota") || text.contains("unknown for quota") { return .capacity }
        if text.contains("failed calling webhook") { return .noPod }
        let isRefusal = ["is forbidden", "denied the request", "denied request", "is invalid"].contains {
            text.contains($0)
        }
        return isRefusal ? .admission : .noPod
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
