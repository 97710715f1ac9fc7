import ArgumentParser
import TES
import TaskCore

/// How a command ends after a task: the same for `run` and `task create --wait`.
enum TaskEnd {
    /// 0 for COMPLETE, the failing executor's code, 130 for a cancelled task, 70 for everything else.
    static func exitCode(_ task: TESTask) -> Int32 {
        switch task.state {
        case .complete: return 0
        case .executorError:
            let codes = task.logs?.last?.logs.map(\.exitCode) ?? []
            return codes.last { $0 != 0 } ?? 1
        case .canceled: return 130
        default: return 70
        }
    }

    /// Why a task did not succeed, for people.
    static func lines(_ task: TESTask) -> [String] {
        (task.logs?.last?.systemLogs ?? []).map { printable($0, keepingNewlines: true) }
    }
}

/// Follows a task and tells what is new.
struct TaskProgress {
    private var state: TESState?
    private var executors = 0
    private var attempts = 0

    /// The lines to print for what changed since the last call.
    mutating func lines(_ task: TESTask) -> [String] {
        var lines: [String] = []
        let logs = task.logs ?? []
        if logs.count > attempts {
            attempts = logs.count
            executors = 0
            if attempts > 1 { lines.append("attempt \(attempts)") }
        }
        if let log = logs.last {
            for (position, executor) in log.logs.enumerated().dropFirst(executors) {
                lines.append("executor \(position) ended with exit code \(executor.exitCode)")
            }
            executors = max(executors, log.logs.count)
        }
        if task.state != state {
            state = task.state
            lines.append(task.state?.rawValue ?? "UNKNOWN")
        }
        return lines
    }
}
