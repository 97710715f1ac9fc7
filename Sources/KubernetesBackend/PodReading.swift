package import KubernetesAPI
import TES

/// What a TaskPod's status says, without all that nobody needs: a controller keeps one for each Pod of the cluster.
///
/// https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#PodStatus
package struct PodReading: Hashable, Sendable {
    /// With a random end.
    package var name: String
    /// What a claim of its task is made with.
    package var uid: String
    /// The Job that made it.
    package var job: String
    /// On the API server's clock.
    package var createdAt: Timestamp
    /// Pending until its main container, ack, runs.
    package var phase: Phase
    /// When it may be gone at the earliest, on the API server's clock; nil unless its deletion was asked for.
    package var deletionTime: Timestamp?
    /// Seconds that it was given to end when its deletion was asked for; 0 before.
    package var deletionGrace: Int
    /// Nil until one was found.
    package var node: String?
    /// In the order of the Pod's specification; empty until the kubelet has the Pod.
    package var containers: [ContainerReading]
    /// Why no node was found for it.
    package var unschedulable: String?
    /// Whether sandbox, network and volumes are there; nil until the kubelet says.
    package var isReadyToStart: Bool?
    /// Why the cluster takes its place: the condition `DisruptionTarget`.
    package var disruption: Reason?
    /// The status' own reason, such as `Evicted`.
    package var statusReason: Reason?

    /// `Unknown` counts as pending or running, whichever it was before: it is told nowhere today.
    package enum Phase: String, Hashable, Sendable {
        case pending = "Pending"
        case running = "Running"
        case succeeded = "Succeeded"
        case failed = "Failed"
        case unknown = "Unknown"
    }

    /// A reason for programs and one for people.
    package struct Reason: Hashable, Sendable {
        /// Such as `Evicted`.
        package var name: String
        /// Empty where there is none.
        package var message: String

        /// Both as the cluster has them.
        package init(name: String, message: String) {
            self.name = name
            self.message = message
        }
    }

    /// Whether the other one is newer, of the same Job.
    func isOlder(than other: PodReading) -> Bool { (createdAt, uid) < (other.createdAt, other.uid) }

    /// All containers have ended for good.
    package var hasEnded: Bool { phase == .succeeded || phase == .failed }
    /// Somebody asked for its deletion.
    package var isDeleting: Bool { deletionTime != nil }
    /// Its node did not take it, or gave it up before anything of it ran.
    package var wasRefused: Bool {
        guard phase == .failed, let statusReason, statusReason.name != "DeadlineExceeded" else { return false }
        return containers.allSatisfy { $0.end == nil && !$0.isRunning }
    }

    /// The container of a part; nil until the kubelet has the Pod.
    package subscript(_ part: PodPart) -> ContainerReading? { containers.first { $0.part == part } }

    /// The executors' containers by position.
    package var executors: [(position: Int, container: ContainerReading)] {
        containers.compactMap { container in
            if case .executor(let position) = container.part { (position, container) } else { nil }
        }
    }

    /// - Parameter pod: nil of it is no Pod of a Job.
    package init?(_ pod: Pod) {
        guard let metadata = pod.metadata, let name = metadata.name, let uid = metadata.uid,
            let job = metadata.ownerReferences?.first(where: { $0.kind == "Job" })?.name
                ?? metadata.labels?["batch.kubernetes.io/job-name"]
        else { return nil }
        self.name = name
        self.uid = uid
        self.job = job
        createdAt = metadata.creationTimestamp.flatMap { Timestamp($0) } ?? Timestamp(microseconds: 0)
        deletionTime = metadata.deletionTimestamp.flatMap { Timestamp($0) }
        deletionGrace = Int(min(max(metadata.deletionGracePeriodSeconds ?? 0, 0), 1_000_000_000))
        node = pod.spec?.nodeName
        let status = pod.status
        phase = status?.phase.flatMap { Phase(rawValue: $0) } ?? .pending
        containers = ((status?.initContainerStatuses ?? []) + (status?.containerStatuses ?? [])).map {
            ContainerReading($0)
        }
        statusReason = status?.reason.map { Reason(name: $0, message: trimmed(status?.message)) }
        for condition in status?.conditions ?? [] {
            switch (condition.type, condition.status) {
            case ("PodScheduled", "False"): unschedulable = trimmed(condition.message ?? condition.reason)
            case ("PodReadyToStartContainers", let value): isReadyToStart = value == "True"
            case ("DisruptionTarget", "True"):
                disruption = Reason(name: condition.reason ?? "", message: trimmed(condition.message))
            default: break
            }
        }
    }
}

/// What a container of a TaskPod is for.
package enum PodPart: Hashable, Sendable, CustomStringConvertible {
    /// Records what happens.
    case trec
    /// Stages the inputs.
    case tif
    case executor(Int)
    /// Uploads the outputs.
    case tof
    /// Ends as the task did.
    case ack
    /// A container that somebody else put into the Pod.
    case other(String)

    /// The part that a container of that name is.
    package init(container name: String) {
        switch name {
        case "trec": self = .trec
        case "tif": self = .tif
        case "tof": self = .tof
        case "ack": self = .ack
        default:
            let position = name.hasPrefix("exec-") ? Int(name.dropFirst(5)) : nil
            self = position.map { .executor($0) } ?? .other(name)
        }
    }

    /// It is none of a TaskPod's own.
    var isOther: Bool { if case .other = self { true } else { false } }

    /// The container's name.
    package var description: String {
        switch self {
        case .trec: "trec"
        case .tif: "tif"
        case .executor(let position): "exec-\(position)"
        case .tof: "tof"
        case .ack: "ack"
        case .other(let name): name
        }
    }

    /// In the words of somebody who does not know what a TaskPod is made of.
    package var words: String {
        switch self {
        case .trec: "the recorder of the task (trec)"
        case .tif: "the staging of the inputs (tif)"
        case .executor(let position): "executor \(position)"
        case .tof: "the upload of the outputs (tof)"
        case .ack: "the last step of the task's Pod (ack)"
        case .other(let name): "the container \(name), which is none of the task's,"
        }
    }
}

/// What the status of one container says.
package struct ContainerReading: Hashable, Sendable {
    /// What it is for.
    package var part: PodPart
    /// As of the last event.
    package var state: State
    /// How often it was started again.
    package var restarts: Int

    /// Waiting, running or ended.
    package enum State: Hashable, Sendable {
        /// It has not begun, for a reason that is worth telling if there is one.
        case waiting(PodReading.Reason?)
        case running
        case ended(ContainerEnd)
    }

    /// How it ended; nil where it has not.
    package var end: ContainerEnd? { if case .ended(let end) = state { end } else { nil } }
    /// It has begun and not ended.
    package var isRunning: Bool { state == .running }
    /// Why it does not begin.
    package var waitingReason: PodReading.Reason? {
        if case .waiting(let reason) = state { reason } else { nil }
    }

    /// Reasons that only say that others come first.
    private static let idle: Set = ["PodInitializing", "ContainerCreating"]

    init(_ status: ContainerStatus) {
        part = PodPart(container: status.name)
        restarts = Int(status.restartCount)
        if let ended = status.state?.terminated {
            state = .ended(ContainerEnd(ended))
        } else if status.state?.running != nil {
            state = .running
        } else if let last = status.lastState?.terminated, ContainerEnd(last).isMadeUp {
            // On the way to an eviction the kubelet says first that it waits, and invents an end before.
            state = .ended(ContainerEnd(last))
        } else if let waiting = status.state?.waiting, let reason = waiting.reason, !Self.idle.contains(reason) {
            state = .waiting(PodReading.Reason(name: reason, message: trimmed(waiting.message)))
        } else {
            state = .waiting(nil)
        }
    }
}

/// How a container ended.
package struct ContainerEnd: Hashable, Sendable {
    /// The container's; for an executor it is the shim's.
    package var code: Int32
    /// Such as `Completed`, `Error`, `OOMKilled`; empty where there is none.
    package var reason: String
    /// What it left at its end; at most 4096 bytes.
    package var message: String
    /// Nil where it never ran, or nobody knows.
    package var startedAt: Timestamp?
    /// Nil where nobody knows.
    package var finishedAt: Timestamp?
    /// The kubelet lost the container and made up an end, also for one that never ran.
    package var isMadeUp: Bool
    /// The runtime could not start it.
    package var neverStarted: Bool

    init(_ state: ContainerStateTerminated) {
        code = state.exitCode
        reason = state.reason ?? ""
        message = trimmed(state.message)
        let start = state.startedAt.flatMap { Timestamp($0) }
        startedAt = start.flatMap(Self.real)
        finishedAt = state.finishedAt.flatMap { Timestamp($0) }.flatMap(Self.real)
        neverStarted = reason == "StartError" || reason == "ContainerCannotRun" || (start != nil && startedAt == nil)
        isMadeUp = reason == "ContainerStatusUnknown" || reason == "Unknown" || start == nil
    }

    /// 1970 stands for never.
    private static func real(_ time: Timestamp) -> Timestamp? { time.microseconds > 0 ? time : nil }

    /// The kernel killed one of its processes because its memory was used up.
    package var isOutOfMemory: Bool { reason == "OOMKilled" || (report?.isOutOfMemory ?? false) }
    /// The line that our own programs leave; nil of anything else.
    package var report: TerminationReport? { isMadeUp ? nil : TerminationReport(message) }
}

/// The line that a program of ours leaves as termination message: its exit code, then words, such as `42 oom=no`, `143 never ran`.
package struct TerminationReport: Hashable, Sendable {
    /// The program's.
    package var exitCode: Int32
    /// What follows on the line; may be empty.
    package var words: String

    /// Reads a termination message; nil of anything else than such a line.
    package init?(_ message: String) {
        let line = message.split(whereSeparator: \.isNewline).first ?? ""
        let parts = line.split(separator: " ", maxSplits: 1)
        guard let first = parts.first, let code = Int32(first) else { return nil }
        exitCode = code
        words = parts.count > 1 ? String(parts[1]) : ""
    }

    /// What the shim saw of its own cgroup.
    package var isOutOfMemory: Bool { words.split(separator: " ").contains("oom=yes") }
    /// The program was stopped because it ran too long.
    package var isOverWalltime: Bool { words.split(separator: " ").contains("over-walltime") }
    /// The program had ended when its container was told to stop.
    package var endedBeforeStop: Bool { words.split(separator: " ").contains("ended-before-stop") }
    /// The executor's program was not started: its turn never came, or was to be skipped.
    package var neverRan: Bool { words.hasPrefix("never ran") || words.hasPrefix("skipped") }
}

/// Without white space at the ends, and no longer than a line of a log should be.
func trimmed(_ text: String?) -> String {
    guard let text else { return "" }
    var part = Substring(text)
    while part.first?.isWhitespace == true { part.removeFirst() }
    while part.last?.isWhitespace == true { part.removeLast() }
    return part.utf8.count <= 1000 ? String(part) : part.prefix(500) + " … " + part.suffix(400)
}
