package import TES
package import TaskCore

/// How an attempt ended, judged by its Pod and Job alone: what a controller records where the Pod's recorder did not.
package struct PodOutcome: Hashable, Sendable {
    /// What the task ends with, unless it is tried again.
    package var cause: Cause
    /// The exit codes that are known.
    package var executors: [Executor] = []
    /// What the user is to know besides.
    package var lines: [String] = []

    /// What is known of one executor.
    package struct Executor: Hashable, Sendable {
        /// In the task.
        package var position: Int
        /// Without its streams, which nobody outside of the Pod can read.
        package var log: TESExecutorLog
    }

    /// - Parameters:
    ///   - pod: as it was last seen; nil where nobody saw it.
    ///   - wasCanceled: somebody asked for the end.
    package init(_ pod: PodReading?, job: JobReading?, task: TESTask, wasCanceled: Bool = false) {
        var executors: [Executor] = []
        for (position, container) in pod?.executors ?? [] where position < task.executors.count {
            guard let code = ExecutorEnd(container).exitCode, let end = container.end else { continue }
            let log = TESExecutorLog(startTime: end.startedAt, endTime: end.finishedAt, exitCode: code)
            executors.append(Executor(position: position, log: log))
        }
        self.executors = executors
        let failure = Self.failedExecutor(pod, task)
        if wasCanceled {
            cause = .canceled
        } else if let failure {
            cause = failure
            if pod?[.tof]?.end?.report?.exitCode != 0 {
                lines.append("the outputs were not uploaded: \(Self.whyNoOutputs(pod))")
            }
        } else {
            cause = Self.cause(pod, job, task)
        }
        // The recorder keeps what it read; a controller outside the Pod cannot read it.
        if cause == .completed || failure != nil {
            lines.append(Self.unreported)
        }
    }

    /// A cause without a Pod.
    package init(cause: Cause) { self.cause = cause }

    /// A line of system_logs where the recorder's report is missing.
    package static let unreported = """
        the task's Pod ended before its recorder had written the end: what the executors wrote to stdout and stderr after its last \
        report, and the list of the uploaded files, are not known
        """

    private static func whyNoOutputs(_ pod: PodReading?) -> String {
        if pod?.executors.contains(where: { ($0.container.end?.isOutOfMemory ?? false) }) ?? false {
            return "after an executor has run out of memory the cluster starts nothing more in its Pod"
        }
        if let end = pod?[.tof]?.end { return "\(PodPart.tof.words) ended with status \(end.code)" }
        return "\(PodPart.tof.words) did not run"
    }

    /// The first executor whose end fails the task, whatever became of the Pod later.
    package static func failedExecutor(_ pod: PodReading?, _ task: TESTask) -> Cause? {
        for (position, container) in pod?.executors ?? [] where position < task.executors.count {
            switch ExecutorEnd(container) {
            case .outOfMemory(let code):
                let reason = "it used more memory than it was given; ask for more ram_gb"
                // A program that outlived the kill of another of its processes has failed all the same.
                return .executorFailed(position: position, exitCode: code == 0 ? 137 : code, reason: reason)
            case .ended(let code) where code != 0 && task.executors[position].ignoreError != true:
                return .executorFailed(position: position, exitCode: code, reason: nil)
            case .overWalltime: return .overWalltime(position: position)
            case .none, .ended, .stopped, .notStarted, .lost, .unreported: continue
            }
        }
        return nil
    }

    private static func cause(_ pod: PodReading?, _ job: JobReading?, _ task: TESTask) -> Cause {
        if job?.isPastDeadline == true {
            return .deadlineExceeded(reason: "the cluster's deadline for its Job (activeDeadlineSeconds) was reached")
        }
        guard let pod else {
            if job?.state == .complete { return .completed }
            return .hostLost(reason: "its Pod is gone, and nobody knows why")
        }
        if pod.phase == .succeeded { return .completed }
        if let reason = pod.statusReason, let cause = self.cause(status: reason) { return cause }
        if let disruption = pod.disruption { return .evicted(reason: words(disruption)) }
        let executors = pod.executors.map { ($0.position, ExecutorEnd($0.container)) }
        // Where the Pod is being deleted, what could not be started lacked a sandbox or a volume that had gone already.
        for case (let position, .notStarted(let reason)) in executors where !pod.isDeleting {
            return .engineFailed(position: position, reason: reason)
        }
        let parts = [PodPart.tif, .tof, .ack].compactMap { part in pod[part]?.end.map { (part, $0) } }
        if hasDoneAll(pod, task) { return .completed }
        for (part, end) in parts where !(pod.isDeleting && end.neverStarted) {
            if let cause = failure(part, end) { return cause }
        }
        if pod.isDeleting { return .hostLost(reason: gone(pod)) }
        for case (_, .lost(let reason)) in executors { return .hostLost(reason: reason) }
        for (part, end) in parts where end.code == 137 || end.code == 143 {
            return .hostLost(reason: "\(part.words) was ended from outside (status \(end.code))")
        }
        if !pod.hasEnded { return .hostLost(reason: gone(pod)) }
        for case (let position, .unreported) in executors {
            return .hostLost(reason: "executor \(position) ended without a report of its exit code")
        }
        if pod[.trec]?.end?.isMadeUp == true {
            return .hostLost(reason: "the node \(pod.node ?? "of its Pod") lost its containers")
        }
        return .hostLost(reason: "its Pod was stopped from outside, or its network was lost")
    }

    /// Everything was done, and only the recorder's word of it never came: its database was away for too long.
    private static func hasDoneAll(_ pod: PodReading, _ task: TESTask) -> Bool {
        guard pod[.ack]?.end?.report?.words == PodFolder.noVerdict, pod[.tof]?.end?.code == 0,
            pod[.tof]?.end?.report?.words.isEmpty == true, pod.executors.count == task.executors.count
        else { return false }
        return pod.executors.allSatisfy { position, container in
            guard case .ended(let code) = ExecutorEnd(container) else { return false }
            return code == 0 || position < task.executors.count && task.executors[position].ignoreError == true
        }
    }

    private static func gone(_ pod: PodReading) -> String {
        let node = pod.node.map { " on node \($0)" } ?? ""
        if pod.isDeleting { return "its Pod\(node) was deleted" }
        if Obstacle.neverEnds(pod) { return "its Pod\(node) lost its sandbox, so that nothing of it can run any more" }
        return "its Pod\(node) vanished"
    }

    /// What the kubelet says of the whole Pod.
    private static func cause(status: PodReading.Reason) -> Cause? {
        switch status.name {
        case "Evicted":
            let isOwnFault =
                status.message.contains("exceeds the limit") || status.message.contains("exceeds the total limit")
                || status.message.contains("exceeded its local ephemeral storage limit")
            let message = status.message.hasSuffix(".") ? String(status.message.dropLast()) : status.message
            return isOwnFault ? .diskLimitExceeded(reason: message) : .evicted(reason: message)
        case "DeadlineExceeded": return .deadlineExceeded(reason: status.message)
        case "Preempting", "Preempted", "Terminated", "NodeShutdown", "Shutdown": return .evicted(reason: words(status))
        case "NodeLost": return .hostLost(reason: words(status))
        default:
            // The kubelet did not admit the Pod: OutOfcpu, NodeAffinity, UnexpectedAdmissionError and others.
            return .hostLost(reason: "its node refused it: \(words(status))")
        }
    }

    private static func words(_ reason: PodReading.Reason) -> String {
        reason.message.isEmpty ? reason.name : "\(reason.name): \(reason.message)"
    }

    /// A part of ours that failed by itself; nil where it succeeded or was stopped from outside.
    private static func failure(_ part: PodPart, _ end: ContainerEnd) -> Cause? {
        if end.isMadeUp { return nil }
        if end.neverStarted { return .partFailed(part: part.words, reason: end.message) }
        if end.isOutOfMemory { return .partFailed(part: part.words, reason: "it ran out of memory") }
        if end.code == 0 { return nil }
        if let report = end.report {
            if report.words == "refused" {
                return .hostLost(reason: "its Pod was told that there is nothing to run")
            }
            if report.neverRan || report.exitCode == 143 { return nil }
            return .partFailed(
                part: part.words, reason: report.words.isEmpty ? "exit code \(report.exitCode)" : report.words)
        }
        if end.code == 137 || end.code == 143 { return nil }
        return .partFailed(part: part.words, reason: end.message.isEmpty ? "exit code \(end.code)" : end.message)
    }
}
