package import TES

/// What the shim needs to run one executor: written into the executor's control folder as the file `plan`.
package struct ExecutorPlan: Hashable, Sendable {
    package var arguments: [String]
    package var environment: [String: String] = [:]
    package var workingDirectory: String?
    package var stdin: String?
    package var stdout: String?
    package var stderr: String?
    package var carried: [MountPlan.Carried] = []
    /// Seconds from a SIGTERM that the shim passed on to its SIGKILL; nil where the engine sends that.
    package var grace: Int?
    /// Seconds that the program may run; then it is told to stop as by a SIGTERM.
    package var walltime: Int?
    /// Seconds without a sign of life from a Pod's recorder, after which the shim waits for its turn no more; nil for its own default.
    package var patience: Int?
    /// Bytes kept of each stream, half of them head and half tail.
    package var captureLimit = 16 * 1024

    package init(arguments: [String]) { self.arguments = arguments }

    /// What one of a task's executors is to run.
    package init(_ executor: TESExecutor, mounts: MountPlan, captureLimit: Int) {
        arguments = executor.command
        environment = executor.env ?? [:]
        workingDirectory = executor.workdir
        stdin = executor.stdin
        stdout = executor.stdout
        stderr = executor.stderr
        carried = mounts.carried
        self.captureLimit = captureLimit
    }

    /// One field after the other: `name length\nbytes\n`. Lengths are in bytes, so any text passes.
    package var encoded: [UInt8] {
        var writer = FieldWriter()
        for argument in arguments { writer.add("argument", argument) }
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) {
            writer.add("environment", "\(name)=\(value)")
        }
        writer.add("workdir", workingDirectory)
        writer.add("stdin", stdin)
        writer.add("stdout", stdout)
        writer.add("stderr", stderr)
        for item in carried { writer.add(item.isPattern ? "carry-pattern" : "carry", item.path) }
        writer.add("grace", grace.map { "\($0)" })
        writer.add("walltime", walltime.map { "\($0)" })
        writer.add("patience", patience.map { "\($0)" })
        writer.add("capture", "\(captureLimit)")
        return writer.bytes
    }

    /// Reads ``encoded``; nil where it is damaged. The capture limit is the last field: without it something was cut off.
    package init?(encoded bytes: [UInt8]) {
        guard let fields = readFields(bytes), fields.last?.name == "capture" else { return nil }
        arguments = []
        for (name, value) in fields {
            switch name {
            case "argument": arguments.append(value)
            case "environment":
                let halves = value.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                environment[String(halves[0])] = halves.count > 1 ? String(halves[1]) : ""
            case "workdir": workingDirectory = value
            case "stdin": stdin = value
            case "stdout": stdout = value
            case "stderr": stderr = value
            case "carry": carried.append(.init(path: value, isPattern: false))
            case "carry-pattern": carried.append(.init(path: value, isPattern: true))
            case "grace": grace = Int(value)
            case "walltime": walltime = Int(value)
            case "patience": patience = Int(value).flatMap { (0...86400).contains($0) ? $0 : nil }
            case "capture": captureLimit = Int(value) ?? 0
            default: return nil
            }
        }
        guard !arguments.isEmpty, captureLimit > 0 else { return nil }
    }
}

/// How one executor ended: written by the shim as the file `result`.
package struct ExecutorResult: Hashable, Sendable {
    /// The program's status; 128 plus the signal's number where one ended it, 126 or 127 where it could not be started.
    package var exitCode: Int32
    /// Microseconds since 1970.
    package var startTime: Int64
    package var endTime: Int64
    /// Of the program and its children, in microseconds.
    package var cpuTime: Int64 = 0
    /// In bytes; of the cgroup where it can be read, else of the largest process.
    package var peakMemory: Int64 = 0
    /// The kernel killed something in the container for lack of memory.
    package var isOutOfMemory = false
    /// The program was told to stop because its time was over.
    package var isOverWalltime = false
    /// A signal that told the shim to stop while the program ran: who stops a container is not the program.
    package var stopSignal: Int32?
    /// Why the program could not be started, or what ended it.
    package var reason: String?
    /// The shim could not do its own work: the program never ran, or its files could not be carried.
    package var failure: String?
    /// Things that the user should read although they are no failure.
    package var warnings: [String] = []

    /// Most warnings that are kept, and most bytes of each text: names in them are as long as a program makes them.
    private static let maximumWarnings = 20
    private static let maximumText = 8192

    package init(exitCode: Int32, startTime: Int64, endTime: Int64) {
        self.exitCode = exitCode
        self.startTime = startTime
        self.endTime = endTime
    }

    package var encoded: [UInt8] {
        var writer = FieldWriter()
        writer.add("exit-code", "\(exitCode)")
        writer.add("start", "\(startTime)")
        writer.add("end", "\(endTime)")
        writer.add("cpu", "\(cpuTime)")
        writer.add("peak-memory", "\(peakMemory)")
        if isOutOfMemory { writer.add("out-of-memory", "") }
        if isOverWalltime { writer.add("over-walltime", "") }
        writer.add("stop-signal", stopSignal.map { "\($0)" })
        writer.add("reason", reason.map(Self.cut))
        writer.add("failure", failure.map(Self.cut))
        for warning in warnings.prefix(Self.maximumWarnings) { writer.add("warning", Self.cut(warning)) }
        return writer.bytes
    }

    private static func cut(_ text: String) -> String {
        text.utf8.count <= maximumText ? text : String(decoding: text.utf8.prefix(maximumText), as: UTF8.self) + "…"
    }

    /// Reads ``encoded``, which a hostile task may have written; nil where it is damaged or says what cannot be.
    package init?(encoded bytes: [UInt8]) {
        guard let fields = readFields(bytes) else { return nil }
        var code: Int32?
        var start: Int64?
        var end: Int64?
        self.init(exitCode: 0, startTime: 0, endTime: 0)
        for (name, value) in fields {
            switch name {
            case "exit-code": code = Int32(value)
            case "start": start = Int64(value)
            case "end": end = Int64(value)
            // Those of several executors are added.
            case "cpu": cpuTime = min(max(0, Int64(value) ?? 0), 1_000_000_000_000_000)
            case "peak-memory": peakMemory = max(0, Int64(value) ?? 0)
            case "out-of-memory": isOutOfMemory = true
            case "over-walltime": isOverWalltime = true
            case "stop-signal": stopSignal = Int32(value)
            case "reason": reason = value
            case "failure": failure = value
            case "warning": if warnings.count < Self.maximumWarnings { warnings.append(value) }
            default: return nil
            }
        }
        guard let code, let start, let end, (0...255).contains(code) else { return nil }
        exitCode = code
        startTime = start
        endTime = end
    }
}
