package import TES

/// Why an attempt ended as it did: one enumeration for all backends. docs/reference/outcomes.md lists the cases.
package enum Cause: Error, Hashable {
    /// Every executor ended with 0, or its error was to be ignored.
    case completed
    /// An executor ended with an error that was not to be ignored.
    case executorFailed(position: Int, exitCode: Int32, reason: String?)
    case canceled
    /// An executor ran longer than the task allows.
    case overWalltime(position: Int)
    case imageUnavailable(position: Int, image: String, reason: String)
    case inputUnavailable(position: Int, url: String, path: String, reason: String)
    case outputFailed(position: Int, url: String, path: String, reason: String)
    case outputMissing(position: Int, path: String)
    case diskFull(what: String)
    /// The task asks for more than the machine has.
    case tooLarge(reason: String)
    /// The engine refused to run an executor's container.
    case engineFailed(position: Int, reason: String)
    /// The container vanished or was stopped from outside, or the worker was lost.
    case hostLost(reason: String)
    /// The shim found no way to start or to record an executor.
    case shimFailed(position: Int, reason: String)
    case internalError(reason: String)
    /// A cluster found no way to start the task within the time that the operator allows.
    case cannotStart(reason: String)
    /// A cluster took the place of the task for something else.
    case evicted(reason: String)
    /// The cluster's deadline for the task is over.
    case deadlineExceeded(reason: String)
    /// The task wrote more than the disk that a cluster gave it.
    case diskLimitExceeded(reason: String)
    /// A part of the task's Pod that is no executor failed.
    case partFailed(part: String, reason: String)

    /// The state that the task ends in.
    package var state: TESState {
        switch self {
        case .completed: .complete
        case .executorFailed: .executorError
        case .canceled: .canceled
        default: .systemError
        }
    }

    /// The cause's stable name, kept in the database.
    package var name: String {
        switch self {
        case .completed: "completed"
        case .executorFailed: "executor-failed"
        case .canceled: "canceled"
        case .overWalltime: "over-walltime"
        case .imageUnavailable: "image-unavailable"
        case .inputUnavailable: "input-unavailable"
        case .outputFailed: "output-failed"
        case .outputMissing: "output-missing"
        case .diskFull: "disk-full"
        case .tooLarge: "too-large"
        case .engineFailed: "engine-failed"
        case .hostLost: "host-lost"
        case .shimFailed: "shim-failed"
        case .internalError: "internal-error"
        case .cannotStart: "cannot-start"
        case .evicted: "evicted"
        case .deadlineExceeded: "deadline-exceeded"
        case .diskLimitExceeded: "disk-limit-exceeded"
        case .partFailed: "part-failed"
        }
    }

    /// Whether the same task may succeed in another attempt.
    package var retryHelps: Bool {
        switch self {
        case .hostLost, .evicted: true
        default: false
        }
    }

    /// The line that the user reads in `system_logs`; nil where the executor logs say everything.
    package var sentence: String? {
        switch self {
        case .completed, .canceled: nil
        case .overWalltime(let position):
            "executor \(position) was stopped because the task's walltime was over: ask for more with walltime in backend_parameters"
        case .executorFailed(let position, let exitCode, let reason):
            "executor \(position) ended with exit code \(exitCode)" + (reason.map { ": \($0)" } ?? "")
        case .imageUnavailable(let position, let image, let reason):
            "the image \"\(image)\" of executor \(position) cannot be had: \(reason). Check its name and tag, and that this server may pull it."
        case .inputUnavailable(let position, let url, let path, let reason):
            "input \(position) (\(url) for \(path)) cannot be had: \(reason)"
        case .outputFailed(let position, let url, let path, let reason):
            "output \(position) (\(path) to \(url)) could not be uploaded: \(reason)"
        case .outputMissing(let position, let path):
            "output \(position) (\(path)) does not exist, although all executors succeeded"
        case .diskFull(let what):
            "no space is left on this server's disk (\(what)). Free some, or run the task where there is more."
        case .tooLarge(let reason): "no machine of this server can run the task: \(reason)"
        case .engineFailed(let position, let reason):
            "the container engine could not run executor \(position): \(reason)"
        case .hostLost(let reason): "the attempt was lost: \(reason)"
        case .shimFailed(let position, let reason): "executor \(position) could not be run: \(reason)"
        case .internalError(let reason): "the server failed: \(reason)"
        case .cannotStart(let reason): "the task could not be started on the cluster: \(reason)"
        case .evicted(let reason): "the attempt was evicted: \(reason)"
        case .deadlineExceeded(let reason): "the task was ended because its time is over: \(reason)"
        case .diskLimitExceeded(let reason):
            "the task wrote more than the disk that it was given: \(reason). Ask for more disk_gb."
        case .partFailed(let part, let reason): "\(part) failed: \(reason)"
        }
    }
}

/// What is kept of a cause outside the process that found it.
package struct CauseSummary: Hashable, Sendable {
    /// ``Cause/name``
    package var name: String
    package var state: TESState
    package var sentence: String?
    package var retryHelps: Bool

    package init(_ cause: Cause) {
        name = cause.name
        state = cause.state
        sentence = cause.sentence
        retryHelps = cause.retryHelps
    }

    package init(name: String, state: TESState, sentence: String?, retryHelps: Bool) {
        self.name = name
        self.state = state
        self.sentence = sentence
        self.retryHelps = retryHelps
    }
}
