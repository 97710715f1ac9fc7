nonisolated extension Timestamp {
    /// RFC 3339 in UTC with microseconds, for PostgreSQL.
    package var databaseText: String {
        let milliseconds = text
        let rest = ((microseconds % 1000) + 1000) % 1000
        let digits = String(rest)
        return milliseconds.dropLast() + String(repeating: "0", count: 3 - digits.count) + digits + "Z"
    }
}
