package import TES
package import TaskCore

/// What an attempt's results mean and what is recorded of them: the same wherever it runs. Pure.
package struct AttemptOutcome: Sendable {
    /// What follows from an executor's result.
    package enum Step: Sendable {
        case goesOn(AttemptRecord)
        case ends(AttemptRecord, Cause)
        /// The program was told to stop by a signal from outside: its failure is not its own.
        case stopped(AttemptRecord, signal: Int32)
    }

    private let task: TESTask
    private let mounts: MountPlan
    private let missingOutputsFail: Bool
    /// Of all executors: in microseconds, and in bytes.
    private var cpuTime: Int64 = 0
    private var peakMemory: Int64 = 0

    /// - Parameter missingOutputsFail: whether a declared output that does not exist fails a task whose executors succeeded.
    package init(_ task: TESTask, mounts: MountPlan, missingOutputsFail: Bool) {
        self.task = task
        self.mounts = mounts
        self.missingOutputsFail = missingOutputsFail
    }

    /// Reads an executor's result, which a hostile task may have written.
    ///
    /// - Parameters:
    ///   - streams: what was captured of stdout and stderr.
    ///   - time: now.
    package mutating func step(
        _ position: Int, _ result: ExecutorResult, streams: (stdout: String, stderr: String), at time: Timestamp
    ) -> Step {
        cpuTime += result.cpuTime
        peakMemory = max(peakMemory, result.peakMemory)
        let hasFailed = result.exitCode != 0 && task.executors[position].ignoreError != true
        // Its times stay within the attempt's.
        let end = min(max(result.endTime, 0), time.microseconds)
        let start = min(max(result.startTime, 0), end)
        var record = AttemptRecord(time: time)
        let log = TESExecutorLog(
            startTime: Timestamp(microseconds: start), endTime: Timestamp(microseconds: end), stdout: streams.stdout,
            stderr: streams.stderr, exitCode: result.exitCode)
        record.executors = [(position, log)]
        record.systemLogs = result.warnings.map { "executor \(position): \($0)" }
        if let signal = result.stopSignal, result.exitCode != 0, !result.isOverWalltime {
            return .stopped(record, signal: signal)
        }
        // A program's own failure decides; what else went wrong is told.
        if hasFailed, let failure = result.failure { record.systemLogs.append("executor \(position): \(failure)") }
        if result.isOverWalltime { return .ends(record, .overWalltime(position: position)) }
        if hasFailed {
            return .ends(
                record,
                .executorFailed(position: position, exitCode: result.exitCode, reason: reason(position, result)))
        }
        if let failure = result.failure { return .ends(record, .shimFailed(position: position, reason: failure)) }
        return .goesOn(record)
    }

    /// A program that is missing because the task's own directory lies over the image's is told so.
    private func reason(_ position: Int, _ result: ExecutorResult) -> String? {
        guard result.exitCode == 127, let program = task.executors[position].command.first, program.hasPrefix("/"),
            let path = ContainerPath.normalized(program), let hiding = mounts.mount(hiding: path),
            let reason = result.reason
        else { return result.reason }
        return reason + "; the task's own directory at \(hiding) hides what the image has there"
    }

    /// Whether outputs are uploaded after such an end.
    package static func uploads(after cause: Cause) -> Bool {
        switch cause {
        case .completed, .executorFailed, .overWalltime: true
        default: false
        }
    }

    /// What is recorded at the end, without the state; see ``close(_:cause:attempt:)``.
    ///
    /// - Parameter uploads: nil where nothing was uploaded.
    package func ending(
        _ cause: Cause, uploads: FilerResult?, at time: Timestamp
    ) -> (cause: CauseSummary, record: AttemptRecord) {
        var summary = CauseSummary(cause)
        var record = AttemptRecord(time: time)
        record.metadata = ["cpu_seconds": Self.seconds(cpuTime), "peak_memory_bytes": "\(peakMemory)"]
        guard let uploads else { return (summary, record) }
        record.outputs = uploads.records
        record.systemLogs = uploads.lines
        for missing in uploads.missing {
            record.systemLogs.append("output \(missing.position) (\(missing.path)) does not exist and was not uploaded")
        }
        if cause == .completed {
            let missing = missingOutputsFail ? uploads.missing.first : nil
            summary =
                uploads.failure
                ?? missing.map { CauseSummary(.outputMissing(position: $0.position, path: $0.path)) } ?? summary
        } else if let line = uploads.failure?.sentence {
            // After an executor failed, the task ends EXECUTOR_ERROR whatever goes wrong later.
            record.systemLogs.append(line)
        }
        return (summary, record)
    }

    /// `1.250`
    private static func seconds(_ microseconds: Int64) -> String {
        let digits = String(microseconds / 1000 % 1000)
        return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 3 - digits.count) + digits
    }

    /// Completes the record that ends an attempt: the state, or the way back into the queue where another attempt may help.
    package static func close(_ record: inout AttemptRecord, cause: CauseSummary, attempt number: Int) {
        let mayRetry = cause.retryHelps && number < LifeCycle.mostAttempts
        record.state = mayRetry ? .queued : cause.state
        record.cause = cause.name
        if let sentence = cause.sentence {
            record.systemLogs.append(mayRetry ? sentence + "; the task is queued again" : sentence)
        }
    }
}
