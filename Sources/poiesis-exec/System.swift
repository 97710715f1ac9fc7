import CLinux
import Glibc

/// Microseconds since 1970.
func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
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
    for segment in path.split(separator: "/") {
        current += "/" + segment
        if mkdir(current, 0o777) != 0, errno != EEXIST { return false }
    }
    return true
}

func entries(_ folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// Visits a tree, folders before what is in them; links are visited, not followed.
func walk(_ path: String, depth: Int = 0, _ visit: (String, stat) -> Void) {
    guard depth < 200, let status = fileStatus(path) else { return }
    visit(path, status)
    guard status.st_mode & S_IFMT == S_IFDIR else { return }
    for name in entries(path) { walk(path == "/" ? "/" + name : path + "/" + name, depth: depth + 1, visit) }
}

/// Where signal handlers write; set once before the first is installed.
nonisolated(unsafe) private var signalWriter: Int32 = -1

/// Signals as bytes of a pipe, so that one poll waits for them and for output.
struct SignalPipe {
    let reader: Int32

    /// Those that a container engine or a user sends; and SIGCHLD.
    private static let caught = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD]

    init() {
        var ends: [Int32] = [0, 0]
        guard poiesis_pipe(&ends, 1) == 0 else { Shim.stop("no pipe for signals", 125) }
        reader = ends[0]
        signalWriter = ends[1]
        for number in Self.caught {
            signal(number) { number in
                var byte = UInt8(truncatingIfNeeded: number)
                let saved = errno
                write(signalWriter, &byte, 1)
                errno = saved
            }
        }
        signal(SIGPIPE, SIG_IGN)
    }

    /// The signals that came, waiting for the first if need be.
    func wait(milliseconds: Int32) -> [Int32] {
        var descriptor = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
        poll(&descriptor, 1, milliseconds)
        return take()
    }

    func take() -> [Int32] {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(reader, &bytes, bytes.count)
        return count > 0 ? bytes[..<count].map { Int32($0) } : []
    }
}
