import CLinux
import Glibc

/// What a program left that has ended.
package struct ProgramRun: Hashable, Sendable {
    /// The exit code, or 128 plus the signal's number.
    package var exitCode: Int32
    /// Standard output.
    package var output: [UInt8]
    /// The beginning of standard error.
    package var errors: [UInt8]

    private static let longestErrors = 4096

    /// Runs a program that asks nobody: standard input is empty. Blocks until it has ended; see ``onDisk(_:)``.
    ///
    /// - Parameters:
    ///   - program: a path, or a name that is looked up in this process's `PATH`.
    ///   - environment: all of its variables.
    ///   - limit: most bytes of standard output.
    ///   - timeout: after which it is killed, with everything that it started.
    ///   - isCancelled: asked ten times a second; it is killed likewise once that is true.
    /// - Throws: ENOENT and the like where it cannot be started, ETIMEDOUT, EFBIG for too much output, ECANCELED.
    package static func run(
        _ program: String, _ arguments: [String], environment: [String: String], limit: Int = 1 << 20,
        timeout: Duration, isCancelled: () -> Bool = { false }
    ) throws(FileError) -> ProgramRun {
        let output = try ProgramPipe()
        let errors = try ProgramPipe()
        let pid = try start(program, arguments, environment, output: output.writing, errors: errors.writing)
        output.closeWriting()
        errors.closeWriting()
        let deadline = ContinuousClock.now + timeout
        do throws(FileError) {
            try drain(output, errors, limit, program, until: deadline, isCancelled)
            // Both pipes are closed: it is about to end, unless it closed them itself and goes on.
            while true {
                if let exitCode = waitForEnd(pid, options: WNOHANG) {
                    return ProgramRun(exitCode: exitCode, output: output.bytes, errors: errors.bytes)
                }
                try goesOn(program, until: deadline, isCancelled)
                usleep(1000)
            }
        } catch {
            // Its whole process group: what it started holds the pipes, too.
            kill(-pid, SIGKILL)
            _ = waitForEnd(pid)
            throw error
        }
    }

    private static func goesOn(
        _ program: String, until deadline: ContinuousClock.Instant, _ isCancelled: () -> Bool
    ) throws(FileError) {
        if isCancelled() { throw FileError("run", program, code: ECANCELED) }
        if ContinuousClock.now > deadline { throw FileError("run", program, code: ETIMEDOUT) }
    }

    private static func start(
        _ program: String, _ arguments: [String], _ environment: [String: String], output: Int32, errors: Int32
    ) throws(FileError) -> pid_t {
        let path = try find(program)
        let input = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw FileError("open", "/dev/null") }
        defer { close(input) }
        var list: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0.key + "=" + $0.value) }
        list.append(nil)
        variables.append(nil)
        defer { for pointer in list + variables { free(pointer) } }
        var pid: pid_t = 0
        let code = poiesis_spawn(&pid, path, list, variables, nil, input, output, errors)
        guard code == 0 else { throw FileError("start", program, code: code) }
        return pid
    }

    /// The path of a program, as execvp(3) finds it.
    private static func find(_ program: String) throws(FileError) -> String {
        guard !program.contains("/") else { return program }
        let folders = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        for folder in folders.split(separator: ":") where access("\(folder)/\(program)", X_OK) == 0 {
            return "\(folder)/\(program)"
        }
        throw FileError("find", "\(program) in PATH", code: ENOENT)
    }

    private static func drain(
        _ output: ProgramPipe, _ errors: ProgramPipe, _ limit: Int, _ program: String,
        until deadline: ContinuousClock.Instant, _ isCancelled: () -> Bool
    ) throws(FileError) {
        while output.isOpen || errors.isOpen {
            try goesOn(program, until: deadline, isCancelled)
            // A negative descriptor is passed over.
            var polled = [output, errors].map { pollfd(fd: $0.reading, events: Int16(POLLIN), revents: 0) }
            poll(&polled, 2, 100)
            if polled[0].revents != 0 { output.read(atMost: limit + 1) }
            if polled[1].revents != 0 { errors.read(atMost: longestErrors) }
            if output.bytes.count > limit { throw FileError("take the output of", program, code: EFBIG) }
        }
    }

    private static func waitForEnd(_ pid: pid_t, options: Int32 = 0) -> Int32? {
        var status: Int32 = 0
        var ended = waitpid(pid, &status, options)
        while ended < 0, errno == EINTR { ended = waitpid(pid, &status, options) }
        guard ended != 0 else { return nil }
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
    }
}

/// A pipe from a child, and what came out of it.
private final class ProgramPipe {
    private(set) var reading: Int32
    private(set) var writing: Int32
    private(set) var bytes: [UInt8] = []

    init() throws(FileError) {
        var ends: [Int32] = [-1, -1]
        guard poiesis_pipe(&ends, 0) == 0 else { throw FileError("make", "a pipe") }
        (reading, writing) = (ends[0], ends[1])
    }

    deinit {
        closeWriting()
        if reading >= 0 { close(reading) }
    }

    var isOpen: Bool { reading >= 0 }

    func closeWriting() {
        if writing >= 0 { close(writing) }
        writing = -1
    }

    /// Keeps so many bytes in all, and loses the rest.
    func read(atMost limit: Int) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = Glibc.read(reading, &buffer, buffer.count)
        if count > 0 {
            bytes += buffer[..<min(count, max(0, limit - bytes.count))]
        } else if count == 0 || errno != EINTR {
            close(reading)
            reading = -1
        }
    }
}
