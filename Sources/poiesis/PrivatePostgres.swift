import Foundation
import LocalSystem
import Synchronization

/// A PostgreSQL server of this program's own: durable, in the data folder, reachable through a socket alone, ended with the program.
final class PrivatePostgres: Sendable {
    private typealias User = (id: UInt32, group: UInt32)

    /// A libpq connection string.
    let url: String
    /// What the server logs.
    let log: String
    private let cluster: String
    private let programs: String
    private let user: User?
    private let socketFolder: String
    private let process = Mutex<BoundProcess?>(nil)

    /// Makes the cluster if there is none, and starts it.
    init(in folder: Folder) throws {
        cluster = folder.path + "/postgres"
        log = folder.path + "/postgres.log"
        programs = try Self.programs(for: cluster)
        user = try Self.user()
        if user != nil { try Self.checkPath(to: folder.path) }
        if !FileManager.default.fileExists(atPath: cluster) {
            try Self.makeCluster(in: folder, programs, user, log)
        }
        socketFolder = try Self.makeSocketFolder(in: folder, user)
        url = "host=\(socketFolder) user=poiesis dbname=postgres"
        try start()
    }

    /// Starts the server on the cluster; returns before it is ready.
    func start() throws {
        try Self.waitForOldServer(cluster)
        let started = try BoundProcess(
            programs + "/postgres",
            [
                "-D", cluster, "-k", socketFolder, "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700",
                "-c", "max_connections=40",
            ], user: user, folder: "/", log: log)
        process.withLock { $0 = started }
    }

    /// Ends the server in order; nothing committed is lost in any case.
    func stop() {
        process.withLock { $0 }?.stop()
        try? FileManager.default.removeItem(atPath: socketFolder)
    }

    var isRunning: Bool { process.withLock { $0 }?.isRunning ?? false }

    /// A cluster that initdb did not finish never gets the cluster's name.
    private static func makeCluster(in folder: Folder, _ programs: String, _ user: User?, _ log: String) throws {
        let part = "postgres.new"
        try? folder.remove(part)
        try folder.makeFolders(part, mode: 0o700)
        if let user { try setOwner(folder.path + "/" + part, user: user.id, group: user.group) }
        try run(
            programs + "/initdb",
            [
                "-D", folder.path + "/" + part, "-U", "poiesis", "-E", "UTF8", "--no-locale", "--auth=trust",
                "--no-instructions",
            ], user, log)
        try folder.rename(part, "postgres")
    }

    /// The folder of the PostgreSQL programs: of the cluster's own version where there is a cluster.
    private static func programs(for cluster: String) throws -> String {
        let root = "/usr/lib/postgresql"
        let versions = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }
            .filter { FileManager.default.isExecutableFile(atPath: "\(root)/\($0)/bin/postgres") }.sorted()
        if let data = FileManager.default.contents(atPath: cluster + "/PG_VERSION"),
            let version = Int(String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        {
            guard versions.contains(version) else {
                let found = versions.map(String.init).joined(separator: ", ")
                throw StartError(
                    "the database in \(cluster) belongs to PostgreSQL \(version), which is not installed (found: \(found.isEmpty ? "none" : found)): install postgresql-\(version), or move the folder away with pg_upgrade"
                )
            }
            return "\(root)/\(version)/bin"
        }
        guard let newest = versions.last else {
            throw StartError(
                "no PostgreSQL is installed: install it (apt-get install postgresql), or give a database with --database URL"
            )
        }
        return "\(root)/\(newest)/bin"
    }

    /// PostgreSQL refuses to run as root.
    private static func user() throws -> User? {
        guard Machine.isRoot else { return nil }
        guard let user = Machine.user("postgres") else {
            throw StartError(
                "there is no user postgres to run the database as: install postgresql, or give --database URL")
        }
        return user
    }

    /// The user postgres has to pass through every folder above the database.
    private static func checkPath(to folder: String) throws {
        var path = ""
        for segment in folder.split(separator: "/") {
            path += "/" + segment
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int ?? 0o777
            if mode & 0o001 == 0 {
                throw StartError(
                    "the user postgres, who runs the private database, cannot pass through \(path): chmod o+x \(path), or give another folder with --data DIR, or a database with --database URL"
                )
            }
        }
    }

    /// A path of a socket has room for 107 bytes only. What a killed server left is removed.
    private static func makeSocketFolder(in folder: Folder, _ user: User?) throws -> String {
        if let old = try folder.read("postgres.socket", limit: 64).map({ String(decoding: $0, as: UTF8.self) }),
            old.hasPrefix("/tmp/poiesis-"), !old.dropFirst(5).contains("/")
        {
            try? FileManager.default.removeItem(atPath: old)
        }
        let path = "/tmp/poiesis-\(UInt32.random(in: 0 ... .max))"
        _ = try Folder.make(path, mode: 0o700)
        if let user { try setOwner(path, user: user.id, group: user.group) }
        try folder.write("postgres.socket", Array(path.utf8))
        return path
    }

    private static func run(
        _ program: String, _ arguments: [String], _ user: User?, _ log: String
    ) throws {
        let process = try BoundProcess(program, arguments, user: user, folder: "/", log: log)
        let status = process.wait()
        if status != 0 { throw StartError("\(program) failed with status \(status): see \(log)") }
    }

    /// After a `kill -9` of this program its database may still be shutting down.
    private static func waitForOldServer(_ cluster: String) throws {
        for _ in 0..<300 {
            guard let data = FileManager.default.contents(atPath: cluster + "/postmaster.pid"),
                let pid = String(decoding: data, as: UTF8.self).split(separator: "\n").first.flatMap({ Int32($0) }),
                Machine.program(of: pid)?.hasSuffix("/postgres") == true
            else { return }
            Thread.sleep(forTimeInterval: 0.1)
        }
        throw StartError("the database in \(cluster) is still run by another process: end it first")
    }
}
