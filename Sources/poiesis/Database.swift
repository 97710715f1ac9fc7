import Foundation
import Logging
import Postgres
import ServiceLifecycle
import TaskCore
import TaskStore

/// Gives the URL of a database for each new connection.
typealias DatabaseURL = @Sendable () -> String

/// The given database, or the private one, which ends with the program and is started again when it ends before.
final class Database: Service {
    let pool: PostgresPool
    /// Of lists that may take long: two connections, so that a search on each core leaves the others' work alone.
    private let searchPool: PostgresPool
    private let privateServer: PrivatePostgres?
    private let logger: Logger

    private init(url: @escaping DatabaseURL, privateServer: PrivatePostgres?, logger: Logger) {
        self.logger = logger
        self.privateServer = privateServer
        pool = PostgresPool(connections: 8, url: url)
        searchPool = PostgresPool(connections: 2, url: url)
    }

    /// The database of the settings, or the private one in the data folder.
    convenience init(settings: Settings, data: DataFolder, logger: Logger) async throws {
        if let url = try settings.databaseURL() {
            try await self.init(url: url, logger: logger)
            return
        }
        let server = try PrivatePostgres(in: data.folder)
        self.init(url: { server.url }, privateServer: server, logger: logger)
        var tries = 0
        while server.isRunning {
            if (try? await pool.run("SELECT 1")) != nil { break }
            try await Task.sleep(for: .milliseconds(50))
            tries += 1
            // Recovery after a crash takes its time, and would start over if it were broken off.
            if tries % 200 == 0 {
                logger.notice("the private database is not ready yet", metadata: ["log": "\(server.log)"])
            }
        }
        guard server.isRunning else {
            server.stop()
            throw StartError("the private database does not start: see \(server.log)")
        }
        try await Self.checkVersion(pool)
    }

    /// The database at a URL.
    convenience init(url: @escaping DatabaseURL, logger: Logger) async throws {
        self.init(url: url, privateServer: nil, logger: logger)
        try await Self.checkVersion(pool)
    }

    /// The store on its schema, ready for use.
    ///
    /// - Parameter worker: the one that is to be started, if there is one.
    func store(_ composition: Composition, worker: WorkerID? = nil) async throws -> PostgresTaskStore {
        let logger = logger
        try await SchemaSetup(pool, worker: worker) { logger.notice("\($0)") }.run()
        let store = PostgresTaskStore(
            pool: pool, searches: TaskSearches(pool: searchPool, timeout: try composition.settings.listTimeout()),
            metadata: composition.metadata, logger: logger, localClock: Composition.clock)
        try await store.maintain()
        // Read once now, so that service-info is answered while the database is away.
        _ = try await store.createdAt()
        return store
    }

    private static func checkVersion(_ pool: PostgresPool) async throws {
        var row = try await pool.run("SELECT current_setting('server_version_num')::int, version()").rows.first
        let number = try row?.int64() ?? 0
        guard number >= 130000 else {
            throw StartError(
                "the database is PostgreSQL \(number / 10000); 13 or newer is needed: upgrade it, or give another with --database"
            )
        }
    }

    func stop() { privateServer?.stop() }

    /// Waits for what runs, then closes all connections.
    func close() async {
        await pool.close()
        await searchPool.close()
    }

    /// Starts the private server again when it has ended, as on a disk that was full or for want of memory.
    func run() async throws {
        guard let privateServer else {
            try? await gracefulShutdown()
            return
        }
        await cancelWhenGracefulShutdown {
            var pause = Duration.seconds(1)
            while !Task.isCancelled {
                try? await Task.sleep(for: pause)
                if privateServer.isRunning || Task.isCancelled {
                    pause = .seconds(1)
                    continue
                }
                self.logger.error(
                    "the private database has ended; starting it again", metadata: ["log": "\(privateServer.log)"])
                do { try privateServer.start() } catch {
                    self.logger.error("the private database does not start", metadata: ["reason": "\(error)"])
                }
                pause = min(pause * 2, .seconds(30))
            }
        }
    }
}

extension Settings {
    /// The URL of the database, or what gives it anew for each connection where a file holds it: its password may change.
    func databaseURL() throws -> DatabaseURL? {
        if let url = text("database") {
            try Self.checkEncoding(of: url)
            return { url }
        }
        return try text("database_file").map { try Self.databaseURL(file: $0) }
    }

    /// The URL that a file holds, read for each connection.
    static func databaseURL(file path: String) throws -> DatabaseURL {
        @Sendable func read() -> String {
            let data = FileManager.default.contents(atPath: path) ?? Data()
            return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let first = read()
        guard !first.isEmpty else {
            throw StartError("the file \(path) with the database's URL is missing, empty, or closed to this user")
        }
        try checkEncoding(of: first)
        // For a moment there may be none.
        return {
            let url = read()
            return url.isEmpty ? first : url
        }
    }

    /// PostgreSQL's client would take a part of such a password for the host, and show it.
    private static func checkEncoding(of url: String) throws {
        guard let scheme = url.prefixMatch(of: /postgres(ql)?:\/\//) else { return }
        let rest = url[scheme.range.upperBound...]
        let login = rest.prefix { !"/?#".contains($0) }
        let path = rest.dropFirst(login.count).prefix { $0 != "?" }
        guard
            path.contains("@") || login.count(where: { $0 == "@" }) > 1
                || login.replacing(/%[0-9A-Fa-f]{2}/, with: "").contains("%")
        else { return }
        throw StartError(
            usage: """
                the database's URL cannot be read: in its user and password write all characters but letters, digits and -._~ \
                percent-encoded (/ is %2F, @ is %40, # is %23, % is %25)
                """)
    }

    fileprivate func listTimeout() throws -> Duration {
        let milliseconds = try integer("server.list_timeout") ?? 5000
        guard milliseconds <= 20_000 else {
            throw StartError(usage: "server.list_timeout must be at most 20000 milliseconds, not \(milliseconds)")
        }
        return .milliseconds(milliseconds)
    }
}
