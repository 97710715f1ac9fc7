/// Why a batch did not give its results.
package enum PostgresError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No connection could be had: nothing of the batch was done.
    case unavailable(String)
    /// The connection broke after the batch was sent: it may or may not have been committed.
    case connectionLost(String)
    /// The server refused a statement; the whole batch was rolled back.
    case refused(ServerMessage)
    /// A value is not of the type that the caller expects.
    case decoding(String)
    /// The pool was shut down.
    case closed

    package var description: String {
        switch self {
        case .unavailable(let message): "the database cannot be reached: \(message)"
        case .connectionLost(let message): "the connection to the database broke: \(message)"
        case .refused(let message):
            "the database refused a statement: \(message.primary) (SQLSTATE \(message.sqlState))"
        case .decoding(let message): "the database answered something unexpected: \(message)"
        case .closed: "the connections to the database are closed"
        }
    }

    /// Whether the same batch may work when it is sent again a little later.
    package var isTransient: Bool {
        switch self {
        case .unavailable, .connectionLost: true
        case .refused(let message): message.isTransient
        case .decoding, .closed: false
        }
    }
}

/// The fields of a server's error that decide what to do; PostgreSQL manual, "Error and Notice Message Fields".
package struct ServerMessage: Hashable, Sendable {
    package var sqlState: String
    package var primary: String
    package var detail: String?
    package var constraint: String?
    /// The function of the server's source that reports it: tells apart what has one code, in any language.
    var routine: String?

    /// 23505
    package var isUniqueViolation: Bool { sqlState == "23505" }
    /// A named prepared statement that another connection of a pooler holds or lacks.
    var isPreparedStatementTrouble: Bool { sqlState == "26000" || sqlState == "42P05" }
    /// A prepared statement whose result would have other types now: a migration changed a column's.
    var isStalePlan: Bool { sqlState == "0A000" && routine == "RevalidateCachedQuery" }
    /// Shutdown, failover, read-only standby, serialisation failure, deadlock, too many connections, a connection that broke.
    package var isTransient: Bool {
        ["57P01", "57P02", "57P03", "25006", "40001", "40P01", "53300"].contains(sqlState) || sqlState.hasPrefix("08")
    }
    /// The connection is of no more use.
    var endsConnection: Bool { ["57P01", "57P02", "57P03", "25006"].contains(sqlState) || sqlState.hasPrefix("08") }
}
