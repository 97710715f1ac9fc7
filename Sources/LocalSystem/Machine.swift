import Glibc

/// Facts of this machine and this process.
package enum Machine {
    /// Microseconds since 1970-01-01T00:00:00Z.
    package static func clock() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    package static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, 255) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Memory that this process holds, in bytes; proc_pid_statm(5).
    package static var residentBytes: Int64 {
        let fields = (try? Folder("/proc/self").read("statm", limit: 256)) ?? nil
        let pages = String(decoding: fields ?? [], as: UTF8.self).split(separator: " ").dropFirst().first
        return (pages.flatMap { Int64($0) } ?? 0) * Int64(sysconf(Int32(_SC_PAGESIZE)))
    }

    package static var isRoot: Bool { geteuid() == 0 }

    /// The program that runs, with links resolved.
    package static var programPath: String { (try? resolvedPath("/proc/self/exe")) ?? CommandLine.arguments[0] }
}
