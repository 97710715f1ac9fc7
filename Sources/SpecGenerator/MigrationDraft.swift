package import Migrations
import YAML

/// SQL that takes a database from the tables of one version to those of another: a draft, to be read before it is used.
///
/// Steps marked `expand` let the older and the newer program work at once; steps marked `contract` come one version later,
/// when no older program runs any more.
package struct MigrationDraft: Sendable {
    /// One statement and when it may run.
    package struct Step: Hashable, Sendable {
        package var phase: Migration.Phase
        package var sql: String
        /// What it means, for the report.
        package var meaning: String
        /// What somebody has to decide first: what a draft cannot know.
        package var review: String?
    }

    package private(set) var steps: [Step] = []
    /// Whether a step leaves programs of the version before without what they need.
    package private(set) var stopsOlderPrograms = false

    init(from old: [TableModel], to new: [TableModel]) {
        let renderer = SchemaRenderer(access: "package")
        for table in new {
            guard let before = old.first(where: { $0.name == table.name }) else {
                for statement in renderer.statements([table]).dropFirst() {
                    add(.expand, statement, "the table \(table.name) is new")
                }
                continue
            }
            // An index goes before its column, which would take it along, and comes after it.
            removeIndexes(before, table)
            compareColumns(before, table)
            compareKeys(before, table)
            addIndexes(before, table)
            compareSettings(before, table)
        }
        // Children before their parents.
        for table in old.reversed() where !new.contains(where: { $0.name == table.name }) {
            add(.contract, "DROP TABLE \(table.qualifiedName)", "the table \(table.name) goes, with what it holds")
        }
    }

    /// The file of a migration; nil where the tables stay as they are.
    ///
    /// - Parameter title: its first line: what it comes from.
    package func file(title: String) -> String? {
        if steps.isEmpty { return nil }
        var text = "-- \(title.onOneLine)\n"
        if stopsOlderPrograms { text += "-- \(Migration.stopMarker)\n" }
        for step in steps.filter({ $0.phase == .expand }) + steps.filter({ $0.phase == .contract }) {
            text += "\n-- \(step.phase.rawValue): \(step.meaning.onOneLine)\n"
            if let review = step.review { text += "-- \(Migration.reviewMarker) \(review.onOneLine)\n" }
            text += step.sql + ";\n"
        }
        return text
    }

    private mutating func add(
        _ phase: Migration.Phase, _ sql: String, _ meaning: String, review: String? = nil
    ) {
        steps.append(Step(phase: phase, sql: sql, meaning: meaning, review: review))
    }

    // MARK: Columns

    private mutating func compareColumns(_ old: TableModel, _ new: TableModel) {
        let before = old.keys + old.columns + old.ownColumns
        let after = new.keys + new.columns + new.ownColumns
        let name = new.qualifiedName
        for column in after {
            guard let earlier = before.first(where: { $0.name == column.name }) else {
                addColumn(column, to: new)
                continue
            }
            let place = "\(new.name).\(column.name)"
            if earlier.sqlType != column.sqlType { changeType(earlier, column, new) }
            if earlier.isNotNull, !column.isNotNull {
                add(
                    .expand, "ALTER TABLE \(name) ALTER COLUMN \(column.quotedName) DROP NOT NULL",
                    "\(place) may be NULL")
            } else if !earlier.isNotNull, column.isNotNull {
                setNotNull(column, new, "\(place) may not be NULL any more")
            }
            if earlier.defaultExpression != column.defaultExpression {
                let change = column.defaultExpression.map { "SET DEFAULT \($0)" } ?? "DROP DEFAULT"
                add(
                    .expand, "ALTER TABLE \(name) ALTER COLUMN \(column.quotedName) \(change)",
                    "\(place) has another default"
                )
            }
            if earlier.check != column.check { changeCheck(earlier, column, new) }
        }
        for column in before where !after.contains(where: { $0.name == column.name }) {
            if column.isNotNull, column.defaultExpression == nil {
                add(
                    .expand, "ALTER TABLE \(name) ALTER COLUMN \(column.quotedName) DROP NOT NULL",
                    "newer programs do not write \(new.name).\(column.name)")
            }
            add(
                .contract, "ALTER TABLE \(name) DROP COLUMN \(column.quotedName)",
                "the column \(new.name).\(column.name) goes, with what it holds")
        }
    }

    private mutating func addColumn(_ column: ColumnModel, to table: TableModel) {
        var definition = "\(column.quotedName) \(column.sqlType)"
        if let expression = column.defaultExpression { definition += " DEFAULT \(expression)" }
        let mayBeNotNull = column.isNotNull && column.defaultExpression != nil
        if mayBeNotNull { definition += " NOT NULL" }
        if let check = column.check { definition += " CHECK (\(check))" }
        add(
            .expand, "ALTER TABLE \(table.qualifiedName) ADD COLUMN \(definition)",
            "the column \(table.name).\(column.name) is new")
        if column.isNotNull, !mayBeNotNull {
            setNotNull(column, table, "\(table.name).\(column.name) may not be NULL")
        }
    }

    private mutating func setNotNull(_ column: ColumnModel, _ table: TableModel, _ meaning: String) {
        let example = "UPDATE \(table.qualifiedName) SET \(column.quotedName) = … WHERE \(column.quotedName) IS NULL"
        add(
            .contract, "ALTER TABLE \(table.qualifiedName) ALTER COLUMN \(column.quotedName) SET NOT NULL", meaning,
            review: "older rows need a value first: \(example)")
    }

    /// Types that hold every value of another, and that programs which expect the other can read.
    private static let wider: [String: Set<String>] = ["integer": ["bigint"]]

    private mutating func changeType(_ earlier: ColumnModel, _ column: ColumnModel, _ table: TableModel) {
        let change = "ALTER TABLE \(table.qualifiedName) ALTER COLUMN \(column.quotedName) TYPE \(column.sqlType)"
        let meaning = "\(table.name).\(column.name) changes from \(earlier.sqlType) to \(column.sqlType)"
        if Self.wider[earlier.sqlType]?.contains(column.sqlType) == true {
            add(.expand, change, meaning + "; older programs cannot show the values that are new")
            return
        }
        // The newer program needs the type at once, and the older one cannot use it.
        stopsOlderPrograms = true
        add(
            .expand, "\(change) USING \(column.quotedName)::\(column.sqlType)", meaning,
            review: "a value may not fit the new type, and older programs have to be stopped first")
    }

    /// PostgreSQL names a column's check after table and column.
    private mutating func changeCheck(_ earlier: ColumnModel, _ column: ColumnModel, _ table: TableModel) {
        let name = quotedSQL("\(table.name)_\(column.name)_check")
        let isWider =
            column.check == nil
            || earlier.check != nil && Self.values(earlier.check).isSubset(of: Self.values(column.check))
        var changes: [String] = []
        if earlier.check != nil { changes.append("DROP CONSTRAINT \(name)") }
        if let check = column.check { changes.append("ADD CONSTRAINT \(name) CHECK (\(check))") }
        add(
            isWider ? .expand : .contract, "ALTER TABLE \(table.qualifiedName) " + changes.joined(separator: ", "),
            "\(table.name).\(column.name) allows other values",
            review: isWider ? nil : "rows may hold a value that is gone: change those first")
    }

    /// The texts in quotes of a check.
    private static func values(_ check: String?) -> Set<Substring> {
        let parts = (check ?? "").split(separator: "'", omittingEmptySubsequences: false)
        return Set(parts.enumerated().filter { $0.offset % 2 == 1 }.map(\.element))
    }

    // MARK: Keys, indexes, settings

    /// Keys hardly ever change; when they do, somebody has to think.
    private mutating func compareKeys(_ old: TableModel, _ new: TableModel) {
        let names = { (table: TableModel) in table.keys.map(\.name).joined(separator: ", ") }
        let (before, after) = (old.parent ?? old.references, new.parent ?? new.references)
        guard old.primaryKey != new.primaryKey || before != after || names(old) != names(new) else { return }
        let was = "PRIMARY KEY \(old.primaryKey), parent \(before ?? "none"), keys \(names(old))"
        let isNow = "PRIMARY KEY \(new.primaryKey), parent \(after ?? "none"), keys \(names(new))"
        add(
            .contract,
            "ALTER TABLE \(new.qualifiedName) DROP CONSTRAINT \(quotedSQL(new.name + "_pkey")), ADD PRIMARY KEY \(new.primaryKey)",
            "the keys of \(new.name) change", review: "was \(was); is \(isNow): see what refers to them")
    }

    private func isThere(_ index: (name: String, definition: String), in table: TableModel) -> Bool {
        table.indexes.contains { $0.name == index.name && $0.definition == index.definition }
    }

    private mutating func removeIndexes(_ old: TableModel, _ new: TableModel) {
        for index in old.indexes where !isThere(index, in: new) {
            let isMadeAnew = new.indexes.contains { $0.name == index.name }
            add(
                isMadeAnew ? .expand : .contract, "DROP INDEX \(quotedSQL(new.schemaName)).\(quotedSQL(index.name))",
                "the index \(index.name) \(isMadeAnew ? "is made anew" : "goes")")
        }
    }

    private mutating func addIndexes(_ old: TableModel, _ new: TableModel) {
        for index in new.indexes where !isThere(index, in: old) {
            add(
                .expand, "CREATE INDEX \(quotedSQL(index.name)) ON \(new.qualifiedName) \(index.definition)",
                "the index \(index.name) is new")
        }
    }

    private mutating func compareSettings(_ old: TableModel, _ new: TableModel) {
        if old.comment != new.comment {
            let text = new.comment.map(quotedText) ?? "NULL"
            add(.expand, "COMMENT ON TABLE \(new.qualifiedName) IS \(text)", "the comment on \(new.name) changes")
        }
        guard old.storage != new.storage else { return }
        let settings = { (table: TableModel) in
            (table.storage ?? "").split(separator: ",").map { $0.split(separator: "=") }
        }
        let names = settings(old).compactMap { $0.first?.filter { $0 != " " } }
        let kept = Set(settings(new).compactMap { $0.first?.filter { $0 != " " } })
        let gone = names.filter { !kept.contains($0) }
        if !gone.isEmpty {
            add(
                .expand, "ALTER TABLE \(new.qualifiedName) RESET (\(gone.joined(separator: ", ")))",
                "settings of \(new.name) go")
        }
        if let storage = new.storage {
            add(.expand, "ALTER TABLE \(new.qualifiedName) SET (\(storage))", "settings of \(new.name) change")
        }
    }
}
