/// One version of the database's schema: the steps that lead to it from the version before, read from a file of SQL.
package struct Migration: Hashable, Sendable {
    /// When a step runs.
    package enum Phase: String, Sendable {
        /// With the release that needs it: programs of the version before work on.
        case expand
        /// One version later: takes away what only programs of the version before needed.
        case contract

        /// The phase that a comment opens: `expand: what it is for`.
        init?(opening comment: String) {
            guard let colon = comment.firstIndex(of: ":"), let phase = Phase(rawValue: String(comment[..<colon])) else {
                return nil
            }
            self = phase
        }
    }

    /// From 2: version 1 is the schema that came before all migrations.
    package var version: Int
    /// What the file's name says after the number.
    package var name: String
    /// Whether programs of the version before cannot work with what the `expand` steps make.
    package var stopsOlderPrograms: Bool
    /// SQL statements without their semicolons, in order.
    package var expand: [String]
    package var contract: [String]

    package init(version: Int, name: String, stopsOlderPrograms: Bool, expand: [String], contract: [String]) {
        self.version = version
        self.name = name
        self.stopsOlderPrograms = stopsOlderPrograms
        self.expand = expand
        self.contract = contract
    }

    package func steps(_ phase: Phase) -> [String] { phase == .expand ? expand : contract }

    /// `0002-name.sql`
    package var fileName: String {
        String(repeating: "0", count: max(0, 4 - "\(version)".count)) + "\(version)-\(name).sql"
    }

    /// The oldest program's schema version that works once a phase was applied.
    package func servesFrom(after phase: Phase) -> Int {
        phase == .contract && !contract.isEmpty || stopsOlderPrograms ? version : version - 1
    }
}

/// What is wrong with a migration's file.
package struct MigrationError: Error, Hashable, Sendable, CustomStringConvertible {
    package var file: String
    /// From 1.
    package var line: Int
    package var message: String

    package var description: String { "\(file):\(line): \(message)" }
}

extension Migration {
    /// The comment that says that programs of the version before have to be stopped first.
    package static let stopMarker = "older programs: stop"
    /// The comment that opens a sentence which somebody has to decide on, and remove, before the migration can be used.
    package static let reviewMarker = "review:"

    /// Reads a file: comments `-- expand: …` and `-- contract: …` each open steps of their phase.
    ///
    /// - Parameter path: where it was read; its last part is `NUMBER-name.sql`.
    package init(path: String, text: String) throws(MigrationError) {
        func failure(_ line: Int, _ message: String) -> MigrationError {
            MigrationError(file: path, line: line, message: message)
        }
        let file = path.split(separator: "/").last.map(String.init) ?? path
        let parts = file.split(separator: "-", maxSplits: 1)
        guard parts.count == 2, parts[1].hasSuffix(".sql"), parts[1].count > 4, let version = Int(parts[0]), version > 1
        else { throw failure(1, "a migration's file is called NUMBER-name.sql, such as 0002-name.sql, not \(file)") }
        self.init(
            version: version, name: String(parts[1].dropLast(4)), stopsOlderPrograms: false, expand: [], contract: [])
        var phase: Phase?
        do throws(SQLScript.Failure) {
            for part in try SQLScript.parts(of: text) {
                switch part {
                case .comment(let comment, let line, let isInside):
                    let opened = Phase(opening: comment)
                    if isInside, opened != nil {
                        throw SQLScript.Failure(line: line, message: "the statement before does not end with ;")
                    }
                    phase = opened ?? phase
                    if comment == Self.stopMarker { stopsOlderPrograms = true }
                    if comment.hasPrefix(Self.reviewMarker) {
                        let question = comment.dropFirst(Self.reviewMarker.count).drop { $0 == " " }
                        throw SQLScript.Failure(
                            line: line,
                            message: "to be reviewed: \(question). Decide, correct the step, and remove this line")
                    }
                case .statement(let sql, let line):
                    guard let phase else {
                        throw SQLScript.Failure(
                            line: line, message: "no comment \"-- expand: …\" or \"-- contract: …\" opens this step")
                    }
                    if let word = SQLScript.breaksTransaction(sql) {
                        throw SQLScript.Failure(
                            line: line,
                            message: "\(word) has no place here: all steps of a phase are one transaction")
                    }
                    if phase == .expand { expand.append(sql) } else { contract.append(sql) }
                }
            }
        } catch { throw failure(error.line, error.message) }
    }
}

/// Migrations in order, without gaps.
package struct MigrationHistory: Hashable, Sendable {
    package let migrations: [Migration]

    /// The schema's version after all of them.
    package var version: Int { migrations.last?.version ?? 1 }
    /// The oldest version of a database that they can start from.
    package var oldest: Int { (migrations.first?.version ?? 2) - 1 }

    /// - Parameter migrations: as a program was built with them.
    package init(_ migrations: [Migration]) { self.migrations = migrations }

    /// Reads files in any order.
    package init(files: [(path: String, text: String)]) throws(MigrationError) {
        var found: [(path: String, migration: Migration)] = []
        for file in files { found.append((file.path, try Migration(path: file.path, text: file.text))) }
        found.sort { $0.migration.version < $1.migration.version }
        for (one, next) in zip(found, found.dropFirst()) where next.migration.version != one.migration.version + 1 {
            let expected = one.migration.version + 1
            throw MigrationError(
                file: next.path, line: 1,
                message:
                    "the number \(next.migration.version) follows \(one.migration.version): it has to be \(expected)")
        }
        migrations = found.map(\.migration)
    }

    package var isEmpty: Bool { migrations.isEmpty }

    package subscript(version version: Int) -> Migration? { migrations.first { $0.version == version } }
}
