import TES

/// What an executor's container tells of its program, read from outside the Pod.
package enum ExecutorEnd: Hashable, Sendable {
    /// Its container has not ended, or its program was never started.
    case none
    /// The program ended by itself.
    case ended(exitCode: Int32)
    /// The program ended after the container was told to stop from outside, or as part of a cancel.
    case stopped(exitCode: Int32)
    /// The kernel killed a process of the container because its memory was used up.
    case outOfMemory(exitCode: Int32)
    /// The program was stopped because it ran longer than the task allows.
    case overWalltime(exitCode: Int32)
    /// The runtime could not start the container.
    case notStarted(reason: String)
    /// The container was ended from outside, or nobody knows how it ended.
    case lost(reason: String)
    /// The container ended well, and did not say how its program did.
    case unreported

    /// The code that counts as the program's own.
    package var exitCode: Int32? {
        switch self {
        case .ended(let code), .stopped(let code), .outOfMemory(let code), .overWalltime(let code): code
        case .none, .notStarted, .lost, .unreported: nil
        }
    }

    /// Exit codes count only where the shim reported one, or for an OOM kill: all others are the kubelet's inventions or the shim's.
    package init(_ container: ContainerReading) {
        guard let end = container.end else {
            self = .none
            return
        }
        let report = end.report
        if end.isMadeUp {
            self = .lost(reason: "the container of \(container.part.words) was lost")
        } else if let report, end.code == 143, !report.neverRan, !report.endedBeforeStop, !report.isOverWalltime {
            // Being told to stop is nobody's error, whatever came of it.
            self = .stopped(exitCode: report.exitCode)
        } else if end.isOutOfMemory {
            self = .outOfMemory(exitCode: report?.exitCode ?? 137)
        } else if end.neverStarted {
            self = .notStarted(reason: end.message)
        } else if let report {
            if report.neverRan {
                self = .none
            } else if report.isOverWalltime {
                self = .overWalltime(exitCode: report.exitCode)
            } else if end.code == 0 || report.endedBeforeStop {
                self = .ended(exitCode: report.exitCode)
            } else {
                // The shim of one machine's kind exits with the program's code; ours in a Pod never does.
                self = .lost(reason: "the container of \(container.part.words) ended with status \(end.code)")
            }
        } else if end.code == 0 {
            self = .unreported
        } else if end.code == 137 || end.code == 143 {
            self = .lost(reason: "the container of \(container.part.words) was ended from outside (status \(end.code))")
        } else {
            self = .lost(reason: "the container of \(container.part.words) ended with status \(end.code) and no report")
        }
    }
}
