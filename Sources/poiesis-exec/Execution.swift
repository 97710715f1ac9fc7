import CLinux
import Glibc
import TaskCore

/// One program's run: from the plan to the result.
struct Execution {
    private let plan: ExecutorPlan
    private let signals: SignalPipe
    /// The program's umask; the shim's own is 0.
    private let umask: mode_t
    private var stdout: Stream
    private var stderr: Stream
    private var stopSignal: Int32?
    /// Told to stop when the program had ended.
    private(set) var wasStoppedLater = false
    private var isOverWalltime = false
    /// When the program is told to stop, and when it is killed; by ``uptime()``.
    private var stopTime = Int64.max
    private var killTime = Int64.max

    /// One of the program's output streams.
    private struct Stream {
        /// The redirect's file, or nil.
        var file: String?
        /// Where the container's engine reads.
        var forward: Int32
        var reader: Int32 = -1
        var writer: Int32 = -1
        var capture: Capture
    }

    init(plan: ExecutorPlan, folder: String, signals: SignalPipe, umask: mode_t) {
        self.plan = plan
        self.signals = signals
        self.umask = umask
        stdout = Stream(
            file: plan.stdout, forward: 1, capture: Capture(folder: folder, name: "stdout", limit: plan.captureLimit))
        stderr = Stream(
            file: plan.stderr, forward: 2, capture: Capture(folder: folder, name: "stderr", limit: plan.captureLimit))
    }

    mutating func run() -> ExecutorResult {
        var carrier = Carrier(plan: plan)
        carrier.bringBack()
        let start = now()
        var result = runProgram(start)
        carrier.carryOut()
        if let path = stdout.file { stdout.capture.cut(from: path) }
        if let path = stderr.file { stderr.capture.cut(from: path) }
        result.warnings = carrier.warnings
        result.failure = carrier.failure
        return result
    }

    private func refused(_ code: Int32, _ reason: String, _ start: Int64) -> ExecutorResult {
        var result = ExecutorResult(exitCode: code, startTime: start, endTime: now())
        result.reason = reason
        writeAll(2, Array("poiesis-exec: \(reason)\n".utf8))
        return result
    }

    private mutating func runProgram(_ start: Int64) -> ExecutorResult {
        if let folder = plan.workingDirectory, !folder.isEmpty {
            guard makeFolders(folder), chdir(folder) == 0 else {
                return refused(126, "the working directory \(folder) cannot be used: \(systemReason())", start)
            }
        }
        let input = openAtOnce(plan.stdin ?? "/dev/null", O_RDONLY)
        guard input >= 0 else {
            return refused(126, "stdin \(plan.stdin ?? "") cannot be read: \(systemReason())", start)
        }
        for stream in [\Execution.stdout, \.stderr] {
            if let reason = open(stream) { return refused(126, reason, start) }
        }
        let environment = mergedEnvironment()
        let program: String
        switch find(plan.arguments[0], environment["PATH"]) {
        case .found(let path): program = path
        case .failed(let code, let reason): return refused(code, reason, start)
        }
        poiesis_become_subreaper()
        var pid: Int32 = 0
        let code = spawn(program, environment, input, &pid)
        for descriptor in [input, stdout.writer, stderr.writer] { close(descriptor) }
        guard code == 0 else { return notStarted(program, code, start) }
        return watch(pid, start)
    }

    /// A file or a pipe for a stream; the reason where there can be none.
    private mutating func open(_ stream: WritableKeyPath<Execution, Stream>) -> String? {
        if let path = self[keyPath: stream].file {
            // Both streams may go to one file: the second must not cut off the first.
            let isShared = stream == \Execution.stderr && stdout.file == path
            guard makeFolders(ContainerPath.parent(path)) else {
                return "the folder of \(path) cannot be made: \(systemReason())"
            }
            let flags = O_WRONLY | O_CREAT | O_APPEND | (isShared ? 0 : O_TRUNC)
            self[keyPath: stream].writer = openAtOnce(path, flags)
            return self[keyPath: stream].writer < 0 ? "\(path) cannot be written: \(systemReason())" : nil
        }
        var ends: [Int32] = [0, 0]
        guard poiesis_pipe(&ends, 0) == 0 else { return "no pipe can be made: \(systemReason())" }
        self[keyPath: stream].reader = ends[0]
        self[keyPath: stream].writer = ends[1]
        return nil
    }

    /// Opens what a task may have made, which may be a FIFO: without waiting for its other end. The program then waits as usual.
    private func openAtOnce(_ path: String, _ flags: Int32) -> Int32 {
        let file = Glibc.open(path, flags | O_CLOEXEC | O_NONBLOCK, 0o666)
        if file >= 0 { _ = fcntl(file, F_SETFL, flags & O_APPEND) }
        return file
    }

    /// The image's environment, and over it the task's.
    private func mergedEnvironment() -> [String: String] {
        var environment: [String: String] = [:]
        var place = environ
        while let entry = place.pointee {
            let text = String(cString: entry)
            if let equals = text.firstIndex(of: "="), equals != text.startIndex {
                environment[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            place += 1
        }
        return environment.merging(plan.environment) { _, task in task }
    }

    // MARK: Starting

    private enum Program {
        case found(String)
        case failed(Int32, String)
    }

    /// execvp(3)'s search, without its fallback to a shell.
    private func find(_ name: String, _ path: String?) -> Program {
        if name.contains("/") {
            guard access(name, F_OK) == 0 else { return .failed(127, "the program \(name) does not exist") }
            return executable(name) ? .found(name) : .failed(126, "the program \(name) is not executable")
        }
        let folders = (path ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .split(separator: ":", omittingEmptySubsequences: false)
        var denied: String?
        for folder in folders {
            let candidate = (folder.isEmpty ? "." : String(folder)) + "/" + name
            guard access(candidate, F_OK) == 0 else { continue }
            if executable(candidate) { return .found(candidate) }
            denied = denied ?? candidate
        }
        if let denied { return .failed(126, "the program \(denied) is not executable") }
        return .failed(127, "the program \(name) is not in the PATH of the image")
    }

    private func executable(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }

    private func spawn(_ program: String, _ environment: [String: String], _ input: Int32, _ pid: inout Int32) -> Int32
    {
        var arguments: [UnsafeMutablePointer<CChar>?] = plan.arguments.map { strdup($0) }
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") }
        defer { for pointer in arguments + variables { free(pointer) } }
        arguments.append(nil)
        variables.append(nil)
        Glibc.umask(umask)
        defer { Glibc.umask(0) }
        return poiesis_spawn(&pid, program, &arguments, &variables, nil, input, stdout.writer, stderr.writer)
    }

    private func notStarted(_ program: String, _ code: Int32, _ start: Int64) -> ExecutorResult {
        switch code {
        case ENOENT:
            refused(
                127, "the program \(program) exists, but the interpreter or loader that it asks for does not", start)
        case ENOEXEC: refused(126, "the program \(program) has a format that this machine cannot execute", start)
        case E2BIG: refused(126, "the command line and environment of \(program) are too long for this machine", start)
        default: refused(126, "the program \(program) cannot be started: \(String(cString: strerror(code)))", start)
        }
    }

    // MARK: Watching

    private mutating func watch(_ pid: Int32, _ start: Int64) -> ExecutorResult {
        var ended: poiesis_child?
        var end: Int64?
        var deadline = Int64.max
        if let walltime = plan.walltime {
            let (length, isTooLong) = Int64(walltime).multipliedReportingOverflow(by: 1_000_000)
            let (end, isTooLate) = uptime().addingReportingOverflow(length)
            if !isTooLong, !isTooLate { stopTime = end }
        }
        while stdout.reader >= 0 || stderr.reader >= 0 || ended == nil {
            // After the end, pipes are drained for a second: a child in the background may hold them for ever.
            if uptime() >= deadline { break }
            var descriptors = [
                pollfd(fd: signals.reader, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stdout.reader, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stderr.reader, events: Int16(POLLIN), revents: 0),
            ]
            poll(&descriptors, 3, ended == nil ? 1000 : 50)
            for signal in signals.take() where signal.number != SIGCHLD {
                // Others are a program's own business.
                let isStop = !signal.isFromInside && [SIGTERM, SIGINT, SIGQUIT].contains(signal.number)
                if ended != nil {
                    wasStoppedLater = wasStoppedLater || isStop
                    continue
                }
                if isStop {
                    stopSignal = stopSignal ?? signal.number
                    // What comes first is the cause.
                    stopTime = .max
                    startGrace()
                }
                kill(-pid, signal.number)
            }
            if ended == nil { enforceTimes(pid) }
            if descriptors[1].revents != 0 { pump(\.stdout) }
            if descriptors[2].revents != 0 { pump(\.stderr) }
            var child = poiesis_child()
            while poiesis_wait(&child, 1) > 0 {
                guard child.pid == pid else { continue }
                ended = child
                end = now()
                deadline = uptime() + 1_000_000
            }
        }
        kill(-pid, SIGKILL)
        guard let ended, let end else { return refused(125, "the program's end was lost", start) }
        return result(ended, start, end)
    }

    /// From a stop on, the program has its grace.
    private mutating func startGrace() {
        if let grace = plan.grace, killTime == .max { killTime = uptime() + Int64(grace) * 1_000_000 }
    }

    private mutating func enforceTimes(_ pid: Int32) {
        let time = uptime()
        if time >= stopTime {
            stopTime = .max
            isOverWalltime = true
            if plan.grace == nil { killTime = min(killTime, time + 5_000_000) }
            startGrace()
            kill(-pid, SIGTERM)
        }
        if time >= killTime {
            killTime = .max
            kill(-pid, SIGKILL)
        }
    }

    private mutating func pump(_ stream: WritableKeyPath<Execution, Stream>) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = read(self[keyPath: stream].reader, &buffer, buffer.count)
        if count < 0, errno == EINTR || errno == EAGAIN { return }
        guard count > 0 else {
            close(self[keyPath: stream].reader)
            self[keyPath: stream].reader = -1
            return
        }
        self[keyPath: stream].capture.add(buffer[..<count])
        writeAll(self[keyPath: stream].forward, Array(buffer[..<count]))
    }

    private func result(_ child: poiesis_child, _ start: Int64, _ end: Int64) -> ExecutorResult {
        let memory = ControlGroup.read()
        var result = ExecutorResult(exitCode: child.exit_code, startTime: start, endTime: end)
        result.cpuTime = child.cpu_microseconds
        result.peakMemory = max(memory.peak ?? 0, child.peak_memory_bytes)
        result.isOutOfMemory = memory.kills > 0
        result.stopSignal = stopSignal
        result.isOverWalltime = isOverWalltime
        if child.signal != 0 {
            let name = String(cString: strsignal(child.signal))
            result.reason = "the program was ended by signal \(child.signal) (\(name))"
            if child.signal == SIGKILL, result.isOutOfMemory {
                result.reason = "the program needed more memory than its limit: ask for more with ram_gb"
            }
        }
        return result
    }
}

/// What the kernel counted for this container; cgroup v2, else v1.
private enum ControlGroup {
    static func read() -> (peak: Int64?, kills: Int) {
        let peak = number("/sys/fs/cgroup/memory.peak") ?? number("/sys/fs/cgroup/memory/memory.max_usage_in_bytes")
        let kills = counter("/sys/fs/cgroup/memory.events") ?? counter("/sys/fs/cgroup/memory/memory.oom_control")
        return (peak, kills ?? 0)
    }

    private static func number(_ path: String) -> Int64? {
        readFile(path, limit: 64).flatMap { bytes in
            Int64(String(decoding: bytes.prefix { (48...57).contains($0) }, as: UTF8.self))
        }
    }

    private static func counter(_ path: String) -> Int? {
        guard let bytes = readFile(path, limit: 4096) else { return nil }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix("oom_kill ") {
            return Int(line.dropFirst(9))
        }
        return nil
    }
}

private func systemReason() -> String { String(cString: strerror(errno)) }
