package import Postgres

/// Why a database could not be made ready; nothing of what failed was changed.
package enum SchemaError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Newer programs took away what this one needs.
    case tooNew(found: Int, servesFrom: Int, program: Int)
    /// The migrations that it would need are no longer in this program.
    case tooOld(found: Int, oldest: Int)
    /// Another migration was applied under the same number.
    case otherHistory(version: Int, database: String, program: String)
    /// A program works that would be left without what it needs.
    case olderProgram(String, what: String)
    /// Others held the tables all the time.
    case busy(String, holder: String?, Duration)
    /// The server refused a step.
    case failed(String, ServerMessage)
    /// There are parts of a schema, and no row that says which it is.
    case incomplete

    package var description: String {
        switch self {
        case .tooNew(let found, let servesFrom, let program):
            "the database has schema version \(found) and serves programs from version \(servesFrom) on, this one has version \(program): run a newer poiesis"
        case .tooOld(let found, let oldest):
            "the database has schema version \(found), this program's migrations start at version \(oldest): run an older release first"
        case .otherHistory(let version, let database, let program):
            "migration \(version) was applied to the database as \(database), in this program it is \(program): run the program that the database belongs to, or restore a copy from before"
        case .olderProgram(let which, let what):
            "\(what) would take away what an older program needs: \(which). Stop it; if it has ended, wait for a minute"
        case .busy(let what, let holder, let patience):
            "\(what) found no moment to lock its tables within \(patience.components.seconds) s, and changed nothing: \(holder.map { "\($0) holds one" } ?? "others hold them"). End that, or try again when less happens"
        case .failed(let what, let message):
            "\(what) failed and changed nothing: \(message.primary) (SQLSTATE \(message.sqlState))\(message.detail.map { "; \($0)" } ?? "")"
        case .incomplete:
            "the schema poiesis is there in part, without the row in poiesis.instance that says which it is: drop it, or restore the database"
        }
    }
}
