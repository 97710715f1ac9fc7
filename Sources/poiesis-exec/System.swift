import CLinux
import Glibc
import TaskCore

/// Microseconds since 1970.
func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
}

/// Microseconds since the machine started, those that it slept included: for deadlines, as nobody can set this clock.
func uptime() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
}

/// The same without those that it slept: for waits for another process, which slept as long.
func awake() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
}

/// A file's bytes, at most `limit`; nil where it cannot be read.
func readFile(_ path: String, limit: Int) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while bytes.count < limit {
        let count = read(file, &buffer, min(buffer.count, limit - bytes.count))
        if count < 0, errno == EINTR { continue }
        if count <= 0 { return count == 0 ? bytes : nil }
        bytes += buffer[..<count]
    }
    return bytes
}

/// Writes everything; false where the system refuses.
@discardableResult
func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    var written = 0
    while written < bytes.count {
        let count = bytes.withUnsafeBytes {
            write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written)
        }
        if count < 0 {
            if errno == EINTR { continue }
            return false
        }
        written += count
    }
    return true
}

func fileStatus(_ path: String) -> stat? {
    var status = stat()
    return lstat(path, &status) == 0 ? status : nil
}

/// Makes a folder with all above it; false where that fails.
func makeFolders(_ path: String) -> Bool {
    var current = ""
    for segment in ContainerPath.segments(path) {
        current += "/" + segment
        if mkdir(current, 0o777) != 0, errno != EEXIST { return false }
    }
    return true
}

/// The names in a folder that are text, in order.
func entries(_ folder: String) -> [String] {
    names(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
        .compactMap { String(validating: $0.dropLast(), as: UTF8.self) }.sorted()
}

/// Visits a tree, folders before what is in them; links are visited, not followed.
///
/// - Parameter visit: whether to go into the folder that it is given.
func walk(_ path: String, depth: Int = 0, _ visit: (String, stat) -> Bool) {
    guard depth < 200, let status = fileStatus(path) else { return }
    guard visit(path, status), status.st_mode & S_IFMT == S_IFDIR else { return }
    for name in entries(path) { walk(path == "/" ? "/" + name : path + "/" + name, depth: depth + 1, visit) }
}

/// Visits everything in a tree of any depth, whatever the names' bytes are: each with the open folder that holds it.
///
/// Nobody may change the tree meanwhile: the way back up is each folder's `..`.
func visitAll(_ path: String, _ visit: (_ folder: Int32, _ name: [CChar], _ status: stat) -> Void) {
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
    var status = stat()
    let name = Array(path.utf8CString)
    guard lstat(path, &status) == 0 else { return }
    visit(AT_FDCWD, name, status)
    var current = openat(AT_FDCWD, name, flags)
    guard current >= 0 else { return }
    /// Folders still to visit, by level.
    var waiting = [visitEntries(current, visit)]
    while !waiting.isEmpty {
        if let next = waiting[waiting.count - 1].popLast() {
            let inner = openat(current, next, flags)
            guard inner >= 0 else { continue }
            close(current)
            current = inner
            waiting.append(visitEntries(current, visit))
        } else {
            waiting.removeLast()
            if waiting.isEmpty { break }
            let outer = openat(current, "..", flags)
            close(current)
            current = outer
            guard outer >= 0 else { return }
        }
    }
    close(current)
}

/// Visits what is directly in a folder; the names of the folders among it.
private func visitEntries(_ folder: Int32, _ visit: (Int32, [CChar], stat) -> Void) -> [[CChar]] {
    var folders: [[CChar]] = []
    for name in names(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
        var status = stat()
        guard fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
        visit(folder, name, status)
        if status.st_mode & S_IFMT == S_IFDIR { folders.append(name) }
    }
    return folders
}

/// The names in a folder as the disk has them, each with its NUL; closes the folder.
private func names(_ folder: Int32) -> [[CChar]] {
    guard folder >= 0, let stream = fdopendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [[CChar]] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { name in
                Array(UnsafeBufferPointer(start: name, count: strlen(name) + 1))
            }
        }
        if name != [46, 0], name != [46, 46, 0] { names.append(name) }
    }
    return names
}

/// Where signal handlers write; set once before the first is installed.
nonisolated(unsafe) private var signalWriter: Int32 = -1
/// Whether a signal's sender tells if it came from inside the container; set as the other.
nonisolated(unsafe) private var knowsSenders = false

/// A signal that came.
struct ReceivedSignal {
    let number: Int32
    /// The sender is a process of this container: the program's own business, and no stop.
    let isFromInside: Bool
}

/// Signals as bytes of a pipe, so that one poll waits for them and for output.
struct SignalPipe {
    let reader: Int32
    /// In a byte of the pipe, beside the signal's number.
    private static let inside: UInt8 = 0x80
    private let isInPod: Bool

    /// Those that a container engine or a user sends; and SIGCHLD.
    private static let caught = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD]
    /// Those that images name as their STOPSIGNAL besides: of web servers, and of systemd (SIGRTMIN+3 of the kernel).
    private static let stops = [SIGWINCH, 37]

    /// - Parameter inPod: whether every signal that is caught, and comes from outside, is a stop, and so taken for SIGTERM: in a Pod the image says which one
    ///   the kubelet sends.
    init(inPod: Bool) {
        isInPod = inPod
        var ends: [Int32] = [0, 0]
        guard poiesis_pipe(&ends, 1) == 0 else { Shim.stop("no pipe for signals", 125) }
        reader = ends[0]
        signalWriter = ends[1]
        // Who sends from outside of a PID namespace has no number in it: sigaction(2), pid_namespaces(7). Only the first process of one is
        // safe from the others' SIGKILL, so nothing is gained where the shim is another.
        if getpid() == 1 { knowsSenders = true }
        var action = sigaction()
        action.sa_flags = SA_SIGINFO | SA_RESTART
        action.__sigaction_handler.sa_sigaction = { number, info, _ in
            var byte = UInt8(truncatingIfNeeded: number)
            // sigqueue(3) sets si_pid as it likes, but no si_code from 0 on.
            if knowsSenders, let info, info.pointee._sifields._kill.si_pid != 0 || info.pointee.si_code < 0 {
                byte |= SignalPipe.inside
            }
            let saved = errno
            write(signalWriter, &byte, 1)
            errno = saved
        }
        for number in Self.caught + (inPod ? Self.stops : []) { sigaction(number, &action, nil) }
        signal(SIGPIPE, SIG_IGN)
        // Whoever started this may have blocked some.
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
    }

    /// The signals that came, waiting for the first if need be.
    func wait(milliseconds: Int32) -> [ReceivedSignal] {
        var descriptor = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
        poll(&descriptor, 1, milliseconds)
        return take()
    }

    func take() -> [ReceivedSignal] {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(reader, &bytes, bytes.count)
        guard count > 0 else { return [] }
        return bytes[..<count].map { byte in
            let number = Int32(byte & ~Self.inside)
            let isFromInside = number != SIGCHLD && byte & Self.inside != 0
            return ReceivedSignal(
                number: isInPod && number != SIGCHLD && !isFromInside ? SIGTERM : number, isFromInside: isFromInside)
        }
    }
}
