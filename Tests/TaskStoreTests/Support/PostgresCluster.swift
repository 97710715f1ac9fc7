import Glibc
import LocalSystem
import Synchronization

/// A throwaway PostgreSQL server behind a unix socket, in a folder of its own; it ends with this process at the latest.
final class PostgresCluster: Sendable {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// One for all suites; made when the first of them asks.
    static let shared = Result { () throws -> PostgresCluster in
        let cluster = try PostgresCluster()
        leftBehind.withLock { $0.append(cluster.folder) }
        atexit { PostgresCluster.removeAll() }
        return cluster
    }
    private static let leftBehind = Mutex<[String]>([])

    /// Holds the data and the socket; short, as a socket's path has room for 107 bytes.
    let folder: String
    private let programs: String
    private let process = Mutex<BoundProcess?>(nil)

    static let user: (id: UInt32, group: UInt32)? = Machine.isRoot ? Machine.user("postgres") : nil

    init() throws {
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

    /// A connection string for one of its databases.
    func url(_ database: String = "postgres") -> String { "host=\(folder) user=tests dbname=\(database)" }

    /// Starts the server and waits until it takes connections.
    func start() throws {
        let settings = [
            "listen_addresses=", "fsync=off", "full_page_writes=off", "max_connections=200",
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
    func crash() {
        let bytes = (try? Folder(folder).read("data/postmaster.pid", limit: 4096)) ?? nil
        let first = String(decoding: bytes ?? [], as: UTF8.self).split(separator: "\n").first
        if let pid = first.flatMap({ Int32($0) }) { kill(pid, SIGQUIT) }
        _ = process.withLock { $0 }?.wait()
    }

    func remove() {
        process.withLock { $0 }?.stop()
        Self.remove(folder)
    }

    private static func remove(_ folder: String) {
        guard let parent = try? Folder("/tmp") else { return }
        try? parent.remove(String(folder.dropFirst(5)))
        try? parent.remove(String(folder.dropFirst(5)) + ".log")
    }

    private static func removeAll() {
        if case .success(let cluster) = shared { cluster.remove() }
        for folder in leftBehind.withLock({ $0 }) { remove(folder) }
    }
}
