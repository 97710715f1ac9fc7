import Glibc
import LocalSystem
import Synchronization

/// A throwaway PostgreSQL server behind a unix socket, in a folder of its own; it ends with this process at the latest.
package final class PostgresCluster: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package init(description: String) { self.description = description }

        package var description: String
    }

    /// One for all suites; made when the first of them asks.
    package static let shared = Result { try PostgresCluster().untilExit() }
    /// The same on TCP, for containers.
    package static let sharedOnTCP = Result { try PostgresCluster(listensOnTCP: true).untilExit() }
    private static let leftBehind = Mutex<[PostgresCluster]>([])

    /// Holds the data and the socket; short, as a socket's path has room for 107 bytes.
    package let folder: String
    private let programs: String
    private let process = Mutex<BoundProcess?>(nil)

    package static let user: (id: UInt32, group: UInt32)? = Machine.isRoot ? Machine.user("postgres") : nil

    /// A TCP port of 127.0.0.1, where there is one.
    package let port: Int?

    /// A running server; everybody who reaches it may do everything.
    ///
    /// - Parameter listensOnTCP: whether it can be reached beside its socket on a port of 127.0.0.1.
    package init(listensOnTCP: Bool = false) throws {
        port = listensOnTCP ? try Self.freePort() : nil
        programs = try Self.findPrograms()
        folder = "/tmp/pg-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        guard !Machine.isRoot || Self.user != nil else { throw Failure(description: "there is no user postgres") }
        _ = try Folder.make(folder, mode: 0o700)
        if let user = Self.user { try setOwner(folder, user: user.id, group: user.group) }
        let setup = try BoundProcess(
            programs + "/initdb",
            ["-D", folder + "/data", "-U", "tests", "-E", "UTF8", "--no-locale", "--auth=trust", "--no-sync"],
            user: Self.user, folder: "/", log: folder + ".log")
        guard setup.wait() == 0 else { throw Failure(description: "initdb failed: see \(folder).log") }
        do { try start() } catch {
            process.withLock { $0 }?.stop()
            throw error
        }
    }

    /// PostgreSQL's programs, of the newest version there is.
    private static func findPrograms() throws -> String {
        let root = "/usr/lib/postgresql"
        let versions = ((try? Folder(root).list()) ?? []).compactMap { Int($0.name) }.sorted()
        guard let newest = versions.last(where: { access("\(root)/\($0)/bin/initdb", X_OK) == 0 }) else {
            throw Failure(description: "no PostgreSQL under \(root): install postgresql")
        }
        return "\(root)/\(newest)/bin"
    }

    private static func freePort() throws -> Int {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let found = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe bind(socket, generic, length) == 0 && getsockname(socket, generic, &length) == 0
            }
        }
        guard found else { throw Failure(description: "no free port on 127.0.0.1") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// The URL of one of its databases for other network namespaces of this machine, or for containers on its network.
    package func tcpURL(_ database: String) throws -> String {
        guard let port else { throw Failure(description: "this server listens on its socket alone") }
        return "postgresql://tests@127.0.0.1:\(port)/\(database)"
    }

    /// A connection string for one of its databases.
    package func url(_ database: String = "postgres") -> String {
        "host=\(folder) port=\(port ?? 5432) user=tests dbname=\(database)"
    }

    /// Starts the server and waits until it takes connections.
    package func start() throws {
        let settings = [
            "listen_addresses=\(port == nil ? "" : "127.0.0.1")", "port=\(port ?? 5432)", "fsync=off",
            "full_page_writes=off", "max_connections=200",
            "shared_buffers=64MB", "unix_socket_permissions=0777", "log_min_messages=warning",
        ]
        let server = try BoundProcess(
            programs + "/postgres", ["-D", folder + "/data", "-k", folder] + settings.flatMap { ["-c", $0] },
            user: Self.user,
            folder: "/", log: folder + ".log")
        process.withLock { $0 = server }
        let deadline = Machine.clock() + 60_000_000
        while !statusLine.hasPrefix("ready") {
            guard server.isRunning, Machine.clock() < deadline else {
                throw Failure(description: "PostgreSQL did not start: see \(folder).log")
            }
            usleep(5000)
        }
    }

    /// The last line of the server's own file says whether it is ready.
    private var statusLine: Substring {
        let bytes = (try? Folder(folder).read("data/postmaster.pid", limit: 4096)) ?? nil
        return String(decoding: bytes ?? [], as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            .dropFirst(7).first ?? ""
    }

    /// Ends the server as a crash would: no client gets an answer, and the next start recovers.
    package func crash() {
        let bytes = (try? Folder(folder).read("data/postmaster.pid", limit: 4096)) ?? nil
        let first = String(decoding: bytes ?? [], as: UTF8.self).split(separator: "\n").first
        if let pid = first.flatMap({ Int32($0) }) { kill(pid, SIGQUIT) }
        _ = process.withLock { $0 }?.wait()
    }

    package func remove() {
        process.withLock { $0 }?.stop()
        guard let parent = try? Folder("/tmp") else { return }
        try? parent.remove(String(folder.dropFirst(5)))
        try? parent.remove(String(folder.dropFirst(5)) + ".log")
    }

    private func untilExit() -> PostgresCluster {
        let isFirst = Self.leftBehind.withLock { clusters in
            clusters.append(self)
            return clusters.count == 1
        }
        if isFirst { atexit { for cluster in PostgresCluster.leftBehind.withLock({ $0 }) { cluster.remove() } } }
        return self
    }
}
