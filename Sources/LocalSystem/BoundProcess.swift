import CLinux
import Foundation
import Glibc
import Synchronization

/// A child process that ends when this process does, however that ends.
///
/// It is bound to the thread that starts it, so that thread lives until the child has ended.
package final class BoundProcess: Sendable {
    private struct State {
        var pid: Int32 = 0
        var startError: Int32?
        var status: Int32?
    }

    private let state = Mutex(State())

    /// - Parameters:
    ///   - user: user and group to run as; nil stays the same.
    ///   - folder: the working directory.
    ///   - log: a file that standard output and error are appended to.
    package init(
        _ program: String, _ arguments: [String], user: (id: UInt32, group: UInt32)?, folder: String, log: String
    ) throws(FileError) {
        let output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw FileError("open", log) }
        Thread.detachNewThread { [self] in
            var list: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
            list.append(nil)
            var pid: Int32 = 0
            let code = poiesis_spawn_bound(
                &pid, program, &list, user.map { Int64($0.id) } ?? -1, user.map { Int64($0.group) } ?? -1, folder,
                output)
            for pointer in list { free(pointer) }
            close(output)
            state.withLock { state in
                state.pid = pid
                if code != 0 { state.startError = code }
            }
            guard code == 0 else { return }
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            state.withLock { $0.status = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F) }
        }
        while true {
            let (pid, error) = state.withLock { ($0.pid, $0.startError) }
            if let error { throw FileError("start", program, code: error) }
            if pid != 0 { return }
            usleep(1000)
        }
    }

    /// Its process id.
    package var pid: Int32 { state.withLock { $0.pid } }

    package var isRunning: Bool { state.withLock { $0.status == nil } }

    /// Waits for the end; the exit code, or 128 plus the signal's number.
    package func wait() -> Int32 {
        while true {
            if let status = state.withLock({ $0.status }) { return status }
            usleep(5000)
        }
    }

    /// Asks it to stop with SIGINT, with SIGQUIT after 20 seconds, and kills it after 10 more; waits for its end.
    package func stop() {
        for (signal, tries) in [(SIGINT, 4000), (SIGQUIT, 2000), (SIGKILL, 2000)] {
            guard isRunning else { return }
            kill(state.withLock { $0.pid }, signal)
            for _ in 0..<tries where isRunning { usleep(5000) }
        }
    }
}

/// Gives a file or folder, not what is in it, to a user; lchown(2).
package func setOwner(_ path: String, user: UInt32, group: UInt32) throws(FileError) {
    guard lchown(path, user, group) == 0 else { throw FileError("change the owner of", path) }
}

extension Machine {
    /// A user's id and group; nil where there is no such user.
    package static func user(_ name: String) -> (id: UInt32, group: UInt32)? {
        guard let entry = getpwnam(name) else { return nil }
        return (entry.pointee.pw_uid, entry.pointee.pw_gid)
    }

    /// The program that a process runs; nil where there is no such process.
    package static func program(of pid: Int32) -> String? { try? resolvedPath("/proc/\(pid)/exe") }
}
