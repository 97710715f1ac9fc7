/// A Pod on its node, as the kubelet sees it.
struct PodLife {
    /// What the kubelet is about.
    enum Stage: Equatable {
        case running
        /// Every container is told to end.
        case stopping(Reason)
        /// Nothing more comes of it, though its phase is not final.
        case stuck
        case over
    }

    /// Why every container is told to end.
    enum Reason: Equatable { case failure, success, outOfMemory, deletion, sandboxLost, eviction, nodeRestart }

    var key: ObjectKey
    var uid: String
    var node: String
    var containers: [ContainerLife]
    var stage = Stage.running
    var sandbox = false
    /// Whether the status manager lets a final phase through: no container runs.
    var final = false
    /// Whether all init containers were once complete.
    var initialized = false
    var address: String?
    var startTime: Double
    /// Normal Events sent so far.
    var events = 0
    /// Why the kubelet itself evicted the Pod.
    var evicted: String?
    /// When the sidecars, who wait for the main containers to end, must be over.
    var sidecarDeadline: Double?

    var live: [Int] { containers.indices.filter { containers[$0].live != nil } }
    var mains: [ContainerLife] { containers.filter { $0.kind == .main } }
    var initials: [ContainerLife] { containers.filter { $0.kind != .main } }
}

/// A container, as its status shows it and as it really is.
struct ContainerLife {
    enum Kind { case sidecar, initial, main }

    enum Shown: Equatable {
        case waiting(reason: String, message: String?)
        case running(since: Double)
        /// The members of `state.terminated`.
        case terminated(JSON)
    }

    struct Live {
        var id: String
        var since: Double
    }

    var kind: Kind
    var spec: JSON
    /// The place of its spec: `spec.initContainers{exec-0}`.
    var field: String
    var shown = Shown.waiting(reason: "PodInitializing", message: nil)
    var lastTerminated: JSON?
    var restarts = 0
    var live: Live?
    /// What the runtime has told and the status does not show yet.
    var ended: (end: ContainerEnd, id: String, since: Double, at: Double)?
    var id: String?
    var ready = false
    var started = false
    /// Whether a start was tried.
    var begun = false
    var pulls = 0

    var name: String { spec["name"].text ?? "" }
    var terminated: JSON? { if case .terminated(let value) = shown { value } else { nil } }
    var exitCode: Int? { terminated?["exitCode"].int }
    var isRunning: Bool { if case .running = shown { true } else { false } }

    /// What a container's status says that the kubelet knows nothing of.
    static func unknown(_ message: String) -> JSON {
        [
            "exitCode": 137, "reason": "ContainerStatusUnknown", "message": .string(message), "startedAt": .null,
            "finishedAt": .null,
        ]
    }
}

extension PodLife {
    /// The phase that the containers make. The kubelet's `getPhase`.
    var phase: String {
        if evicted != nil { return "Failed" }
        if containers.contains(where: { $0.kind == .initial && ($0.exitCode ?? 0) != 0 }) { return "Failed" }
        let pending = containers.contains { container in
            switch container.kind {
            case .main: false
            case .initial: container.terminated == nil
            case .sidecar: !container.isRunning && container.terminated == nil && container.lastTerminated == nil
            }
        }
        if pending { return "Pending" }
        if mains.contains(where: { !$0.isRunning && $0.terminated == nil }) {
            return mains.contains { $0.terminated != nil } ? "Running" : "Pending"
        }
        if containers.contains(where: { $0.kind != .initial && $0.isRunning }) { return "Running" }
        return mains.allSatisfy { $0.exitCode == 0 } ? "Succeeded" : "Failed"
    }

    /// The four conditions that the kubelet writes: type, status, reason, message.
    mutating func conditions() -> [(type: String, status: Bool, reason: String?, message: String?)] {
        let phase = phase
        let incomplete = initials.filter { $0.kind == .sidecar ? !$0.started : !$0.ready }.map(\.name)
        if incomplete.isEmpty || mains.contains(where: { $0.terminated != nil || $0.isRunning }) { initialized = true }
        let unready = containers.filter { $0.kind != .initial && !$0.ready }.map(\.name)
        let over: (reason: String?, message: String?)? =
            switch phase {
            case "Succeeded": ("PodCompleted", nil)
            case "Failed": ("PodFailed", nil)
            default:
                unready.isEmpty
                    ? nil
                    : (
                        "ContainersNotReady",
                        "containers with unready status: [\(unready.joined(separator: " "))]"
                    )
            }
        let initialReason = phase == "Succeeded" ? "PodCompleted" : initialized ? nil : "ContainersNotInitialized"
        let initialMessage =
            initialized ? nil : "containers with incomplete status: [\(incomplete.joined(separator: " "))]"
        return [
            ("PodReadyToStartContainers", sandbox, nil, nil),
            ("Initialized", initialized, initialReason, initialMessage),
            ("Ready", over == nil, over?.reason, over?.message),
            ("ContainersReady", over == nil, over?.reason, over?.message),
        ]
    }

    /// Gives containers of which nothing is known an end, as the kubelet does before it lets a Pod go.
    mutating func makeUpEnds() {
        let text = "The container could not be located when the pod was terminated"
        let mainBegan = mains.contains { $0.isRunning || $0.terminated != nil || $0.lastTerminated != nil }
        let initialsDone =
            initials.last.map { last in
                last.kind == .sidecar ? last.started : last.exitCode == 0 || last.lastTerminated["exitCode"] == 0
            } ?? true
        let first = initials.count
        if mainBegan || initialsDone {
            for index in containers.indices.dropFirst(first) where containers[index].terminated == nil {
                containers[index].end(ContainerLife.unknown(text))
            }
        }
        // All init containers but the last ones of which there is no sign that they ever began; the first one always.
        let began = containers.prefix(first).lastIndex {
            $0.isRunning || $0.terminated != nil || $0.lastTerminated != nil
        }
        for index in containers.prefix(first).indices.prefix((began ?? 0) + 1) where containers[index].terminated == nil
        {
            containers[index].end(ContainerLife.unknown(text))
        }
    }
}

extension ContainerLife {
    /// Shows an end.
    mutating func end(_ terminated: JSON) {
        shown = .terminated(terminated)
        started = false
        ready = kind == .initial && terminated["exitCode"] == 0
    }
}
