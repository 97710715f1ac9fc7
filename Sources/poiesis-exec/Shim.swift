import CLinux
import Glibc
import TaskCore

/// Starts an executor's program inside the user's unmodified image: one control folder, one plan, one result.
///
///     poiesis-exec CONTROL-FOLDER       run the plan in the folder, end as the program does
///     poiesis-exec --pod CONTROL-FOLDER the same as an init container of a Pod: see ``endInPod(_:)``
///     poiesis-exec --open-up PATH...    make trees readable and writable for everybody
///     poiesis-exec --check FOLDER       write a file into the folder and read it back
@main
struct Shim {
    /// Exit codes of the shim's own troubles, none of which leaves a result.
    enum Trouble {
        static let usage: Int32 = 64
        /// Somebody started the container again.
        static let startedBefore: Int32 = 123
        static let noTurn: Int32 = 124
        static let refused: Int32 = 125
    }

    static func main() {
        let programs = umask(0)
        let arguments = CommandLine.arguments.dropFirst()
        switch arguments.first {
        case "--open-up": exit(openUp(arguments.dropFirst()))
        case "--check": exit(check(arguments.dropFirst().first ?? ""))
        case "--pod" where arguments.count == 2: exit(run(arguments.last ?? "", programs, inPod: true))
        case let folder? where arguments.count == 1: exit(run(folder, programs, inPod: false))
        default: stop("usage: poiesis-exec [--pod] CONTROL-FOLDER", Trouble.usage)
        }
    }

    static func stop(_ message: String, _ status: Int32) -> Never {
        writeAll(2, Array("poiesis-exec: \(message)\n".utf8))
        exit(status)
    }

    private static func run(_ folder: String, _ programs: mode_t, inPod: Bool) -> Int32 {
        guard let bytes = readFile(folder + "/plan", limit: 64 << 20), let plan = ExecutorPlan(encoded: bytes) else {
            stop("there is no plan in \(folder)", Trouble.refused)
        }
        let signals = SignalPipe(inPod: inPod)
        switch waitForTurn(folder, signals, plan.patience ?? 600, inPod: inPod) {
        case .run: break
        case .skip:
            if inPod { leaveMessage("0 skipped") }
            return 0
        case .stopped(let signal):
            if inPod { leaveMessage("\(128 + signal) never ran") }
            return 128 + signal
        }
        let marker = open(folder + "/started", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard marker >= 0 else {
            if errno == EEXIST { stop("this executor was started before", Trouble.startedBefore) }
            stop("\(folder) cannot be written to: \(String(cString: strerror(errno)))", Trouble.refused)
        }
        close(marker)
        var execution = Execution(plan: plan, folder: folder, signals: signals, umask: programs)
        let result = execution.run()
        guard writeResult(result, to: folder) else { stop("the result cannot be written", Trouble.refused) }
        guard inPod else { return result.exitCode }
        return endInPod(
            result,
            wasStoppedLater: execution.wasStoppedLater
                || signals.take().contains { $0.number == SIGTERM && !$0.isFromInside })
    }

    /// The exit status of an init container: 0 whatever became of the program, so that the Pod goes on to the outputs; after a stop
    /// not 0, as a Pod whose sandbox was lost would stay Pending for ever; nor after an OOM kill, for the same reason.
    ///
    /// - Parameter wasStoppedLater: told to stop when the program had ended.
    private static func endInPod(_ result: ExecutorResult, wasStoppedLater: Bool) -> Int32 {
        var words = "\(result.exitCode) oom=\(result.isOutOfMemory ? "yes" : "no")"
        if result.isOverWalltime { words += " over-walltime" }
        if wasStoppedLater, result.stopSignal == nil { words += " ended-before-stop" }
        leaveMessage(words)
        if result.stopSignal != nil || wasStoppedLater { return 128 + SIGTERM }
        return result.isOutOfMemory ? 1 : 0
    }

    /// What somebody outside the Pod can read of this container's end; at most 96 bytes.
    private static func leaveMessage(_ text: String) {
        let file = open("/dev/termination-log", O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return }
        writeAll(file, Array(text.utf8.prefix(96)))
        close(file)
    }

    private enum Turn {
        case run, skip
        /// Told to stop before its turn: the program is never started.
        case stopped(Int32)
    }

    /// - Parameter patience: seconds without a sign of life from a Pod's recorder, after which none will come.
    private static func waitForTurn(_ folder: String, _ signals: SignalPipe, _ patience: Int, inPod: Bool) -> Turn {
        // Says that the executor before this one has ended.
        if inPod { close(open(folder + "/waiting", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)) }
        let length = Int64(patience) * 1_000_000
        var pulse: [UInt8]?
        var deadline = awake() + length
        while awake() < deadline {
            let beat = readFile(folder + "/../bin/alive", limit: 64)
            if beat != pulse { (pulse, deadline) = (beat, awake() + length) }
            if let signal = stop(signals.take()) { return .stopped(signal) }
            if let turn = readFile(folder + "/turn", limit: 16) {
                let word = String(decoding: turn, as: UTF8.self)
                if word.hasPrefix("run") { return .run }
                if word.hasPrefix("skip") { return .skip }
            }
            if let signal = stop(signals.wait(milliseconds: 50)) { return .stopped(signal) }
        }
        stop("no turn came, and no sign of life from who gives it, for \(patience) s", Trouble.noTurn)
    }

    /// The first that comes from outside.
    private static func stop(_ signals: [ReceivedSignal]) -> Int32? {
        signals.first { $0.number != SIGCHLD && !$0.isFromInside }?.number
    }

    private static func writeResult(_ result: ExecutorResult, to folder: String) -> Bool {
        // A program may have closed the folder to others, who are to read the result.
        chmod(folder, 0o777)
        let temporary = folder + "/result.new"
        unlink(temporary)
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
        guard file >= 0 else { return false }
        let isWhole = writeAll(file, result.encoded) && fsync(file) == 0
        return close(file) == 0 && isWhole && rename(temporary, folder + "/result") == 0
    }

    private static func check(_ folder: String) -> Int32 {
        let bytes = Array("\(getpid())".utf8)
        let file = open(folder + "/check", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard file >= 0, writeAll(file, bytes), close(file) == 0, readFile(folder + "/check", limit: 64) == bytes else {
            stop("\(folder) cannot be written to: \(String(cString: strerror(errno)))", 1)
        }
        return 0
    }

    /// Files that a container's user left unreadable are handed over: by mode, as root inside a container.
    private static func openUp(_ paths: ArraySlice<String>) -> Int32 {
        for path in paths {
            visitAll(path) { folder, name, status in
                let kind = status.st_mode & S_IFMT
                guard kind == S_IFREG || kind == S_IFDIR else { return }
                let isProgram = kind == S_IFDIR || status.st_mode & 0o111 != 0
                // Not the sticky bit: it would keep others from removing what lies there.
                fchmodat(folder, name, (status.st_mode & 0o777) | 0o666 | (isProgram ? 0o111 : 0), 0)
            }
        }
        return 0
    }
}
