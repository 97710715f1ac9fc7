import CLibPQ
import Glibc

/// One libpq connection; used by the thread that owns it alone, which it holds up.
///
/// A batch is sent in pipeline mode with one sync at its end, so that it is one transaction and one round trip.
struct Connection: ~Copyable {
    private let handle: OpaquePointer
    private var prepared: Set<String> = []
    /// Whether named prepared statements work here; behind a transaction pooler they don't.
    private var usesNames: Bool
    private var deadline = ContinuousClock.now

    /// How many statements are sent before their results are read: keeps both sides' buffers from filling up.
    private static let window = 200

    /// - Parameter url: a libpq connection string or URL.
    init(url: String, usesNames: Bool) throws(PostgresError) {
        // Settings of the URL come last and so win over these.
        let settings = [
            ("connect_timeout", "5"), ("tcp_user_timeout", "10000"), ("keepalives_idle", "10"),
            ("keepalives_interval", "5"), ("keepalives_count", "2"),
            ("target_session_attrs", "read-write"), ("application_name", "poiesis"), ("client_encoding", "UTF8"),
            ("dbname", url),
        ]
        var keywords: [UnsafeMutablePointer<CChar>?] = settings.map { strdup($0.0) }
        var values: [UnsafeMutablePointer<CChar>?] = settings.map { strdup($0.1) }
        defer { for pointer in keywords + values { free(pointer) } }
        keywords.append(nil)
        values.append(nil)
        let handle = keywords.map { UnsafePointer($0) }.withUnsafeBufferPointer { keywords in
            values.map { UnsafePointer($0) }.withUnsafeBufferPointer { values in
                PQconnectdbParams(keywords.baseAddress, values.baseAddress, 1)
            }
        }
        guard let handle else { throw .unavailable("out of memory") }
        guard PQstatus(handle) == CONNECTION_OK, PQenterPipelineMode(handle) == 1,
            PQsetnonblocking(handle, 1) == 0
        else {
            let message = Self.message(handle)
            PQfinish(handle)
            throw .unavailable(message)
        }
        // Notices would go to standard error.
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        self.handle = handle
        self.usesNames = usesNames
    }

    deinit { PQfinish(handle) }

    var namesWork: Bool { usesNames }
    var isUsable: Bool { PQstatus(handle) == CONNECTION_OK }

    private static func message(_ handle: OpaquePointer) -> String {
        let text = String(cString: PQerrorMessage(handle))
        return text.split(separator: "\n").joined(separator: " ")
    }

    /// Runs a batch as one transaction; one result for each statement.
    ///
    /// - Parameter deadline: without an answer until then the connection is given up.
    mutating func run(
        _ batch: [Statement], until deadline: ContinuousClock.Instant
    ) throws(PostgresError) -> [PostgresResult] {
        self.deadline = deadline
        do {
            return try attempt(batch)
        } catch .refused(let message) where message.isPreparedStatementTrouble && usesNames {
            usesNames = false
            return try attempt(batch)
        } catch .refused(let message) where message.isStalePlan {
            try command("DEALLOCATE ALL")
            prepared = []
            return try attempt(batch)
        }
    }

    private mutating func attempt(_ batch: [Statement]) throws(PostgresError) -> [PostgresResult] {
        var results: [PostgresResult] = []
        results.reserveCapacity(batch.count)
        var failure: PostgresError?
        // Being prepared by this batch: a statement that occurs twice in it is prepared once.
        var pending: Set<String> = []
        var start = 0
        while start < batch.count {
            let end = min(start + Self.window, batch.count)
            var preparing: [String?] = []
            for statement in batch[start..<end] { preparing.append(try send(statement, &pending)) }
            if end < batch.count { _ = PQsendFlushRequest(handle) } else { _ = PQpipelineSync(handle) }
            try flush()
            for name in preparing {
                // What was refused is thrown at the end: the rest of the pipeline's results have to be read first.
                do throws(PostgresError) {
                    if let name, try read() != nil { prepared.insert(name) }
                } catch {
                    guard case .refused = error else { throw error }
                    failure = failure ?? error
                }
                do throws(PostgresError) {
                    if let result = try read() { results.append(result) }
                } catch {
                    guard case .refused = error else { throw error }
                    failure = failure ?? error
                }
            }
            start = end
        }
        try readSync()
        // A transaction that the batch began itself is still open if the batch broke off.
        if PQtransactionStatus(handle) != PQTRANS_IDLE { try command("ROLLBACK") }
        if let failure { throw failure }
        guard results.count == batch.count else { throw .connectionLost("the batch was aborted") }
        return results
    }

    /// Queues one statement; returns the name under which it is being prepared, if it is.
    private func send(_ statement: Statement, _ pending: inout Set<String>) throws(PostgresError) -> String? {
        let name = usesNames ? Self.name(statement.sql) : ""
        var preparing: String?
        if usesNames, !prepared.contains(name), pending.insert(name).inserted {
            guard PQsendPrepare(handle, name, statement.sql, 0, nil) == 1 else {
                throw .connectionLost(Self.message(handle))
            }
            preparing = name
        }
        var storage: [UnsafeMutablePointer<CChar>?] = statement.parameters.map { $0.text.flatMap { strdup($0) } }
        defer { for pointer in storage { free(pointer) } }
        let count = Int32(storage.count)
        if storage.isEmpty { storage.append(nil) }
        let sent = storage.map { UnsafePointer($0) }.withUnsafeBufferPointer { values in
            // Parameters go as text, results come in binary.
            usesNames
                ? PQsendQueryPrepared(handle, name, count, values.baseAddress, nil, nil, 1)
                : PQsendQueryParams(handle, statement.sql, count, nil, values.baseAddress, nil, nil, 1)
        }
        guard sent == 1 else { throw .connectionLost(Self.message(handle)) }
        return preparing
    }

    /// The result of one queued command; nil where an earlier failure made the server skip it.
    private func read() throws(PostgresError) -> PostgresResult? {
        guard let result = try next() else {
            throw .connectionLost(Self.message(handle))
        }
        // Frees the result unless its rows are handed on.
        let rows = PostgresRows(taking: result)
        // Each command's results end with a null.
        while let extra = try next() { PQclear(extra) }
        defer { withExtendedLifetime(rows) {} }
        switch PQresultStatus(result) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
            return PostgresResult(rows: rows, affectedRows: Int(String(cString: PQcmdTuples(result))) ?? 0)
        case PGRES_PIPELINE_ABORTED: return nil
        default:
            guard PQstatus(handle) == CONNECTION_OK else { throw .connectionLost(Self.message(handle)) }
            throw .refused(serverMessage(result))
        }
    }

    // MARK: Waiting

    /// The next result; nil at the end of one command's.
    private func next() throws(PostgresError) -> OpaquePointer? {
        while PQisBusy(handle) == 1 {
            // What is still to be sent may be what the server waits for.
            try wait(sends: PQflush(handle) == 1)
        }
        return PQgetResult(handle)
    }

    /// Sends everything that is queued, and takes in what comes meanwhile, so that neither side's buffers stay full.
    private func flush() throws(PostgresError) {
        while true {
            switch PQflush(handle) {
            case 0: return
            case 1: try wait(sends: true)
            default: throw .connectionLost(Self.message(handle))
            }
        }
    }

    /// Waits until the socket can be read, or written where something is to be sent.
    private func wait(sends: Bool) throws(PostgresError) {
        let left = ContinuousClock.now.duration(to: deadline) / .milliseconds(1)
        guard left > 0 else { throw .connectionLost("the database gave no answer in time") }
        var socket = pollfd(fd: PQsocket(handle), events: Int16(POLLIN | (sends ? POLLOUT : 0)), revents: 0)
        guard poll(&socket, 1, Int32(min(left + 1, 60000))) >= 0 || errno == EINTR else {
            throw .connectionLost("poll failed: \(errno)")
        }
        if socket.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0, PQconsumeInput(handle) == 0 {
            throw .connectionLost(Self.message(handle))
        }
    }

    /// Runs what has neither parameters nor rows, on its own.
    private func command(_ sql: String) throws(PostgresError) {
        guard PQsendQueryParams(handle, sql, 0, nil, nil, nil, nil, 0) == 1, PQpipelineSync(handle) == 1 else {
            throw .connectionLost(Self.message(handle))
        }
        _ = try read()
        try readSync()
    }

    private func readSync() throws(PostgresError) {
        guard let result = try next() else { throw .connectionLost(Self.message(handle)) }
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_PIPELINE_SYNC else {
            throw .connectionLost("the connection lost its place in the pipeline: \(Self.message(handle))")
        }
    }

    private func serverMessage(_ result: OpaquePointer) -> ServerMessage {
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
        }
        return ServerMessage(
            sqlState: field("C") ?? "XX000", primary: field("M") ?? Self.message(handle), detail: field("D"),
            constraint: field("n"), routine: field("R"))
    }

    /// A name from the statement's text, so that every connection calls the same statement the same.
    private static func name(_ sql: String) -> String { "poiesis_" + fingerprint(sql) }
}

/// A short name for a text (FNV-1a, 64 bits): the same in every process, good against chance, not against malice.
package func fingerprint(_ text: String) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return String(hash, radix: 36)
}
