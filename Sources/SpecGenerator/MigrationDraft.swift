/// SQL that takes a database from the tables of one version to those of another: a draft, to be read before it is used.
///
/// Steps marked `expand` let the older and the newer program work at once; steps marked `contract` come one release later,
/// when no older program runs any more.
package struct MigrationDraft {
    /// One statement and when it may run.
    package struct Step: Hashable, Sendable {
        package enum Phase: String, Sendable { case expand, contract }
        package var phase: Phase
        package var sql: String
        /// What it means, for the report.
        package var meaning: String
    }

    private(set) var steps: [Step] = []

    init(from old: [TableModel], to new: [TableModel]) {
        let renderer = SchemaRenderer(access: "package")
        for table in new {
            guard let before = old.first(where: { $0.name == table.name }) else {
                for statement in renderer.statements([table]).dropFirst() {
                    add(.expand, statement, "the table \(table.name) is new")
                }
                continue
            }
            compareColumns(before, table)
            compareIndexes(before, table)
        }
        for table in old where !new.contains(where: { $0.name == table.name }) {
            add(.contract, "DROP TABLE \(table.qualifiedName)", "the table \(table.name) goes")
        }
    }

    private mutating func add(_ phase: Step.Phase, _ sql: String, _ meaning: String) {
        steps.append(Step(phase: phase, sql: sql, meaning: meaning))
    }

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
            if earlier.sqlType != column.sqlType {
                add(
                    .contract,
                    "ALTER TABLE \(name) ALTER COLUMN \(column.name) TYPE \(column.sqlType) USING \(column.name)::\(column.sqlType)",
                    "\(place) changes from \(earlier.sqlType) to \(column.sqlType): review, a value may not fit, and older programs stop working"
                )
            }
            if earlier.isNotNull, !column.isNotNull {
                add(.expand, "ALTER TABLE \(name) ALTER COLUMN \(column.name) DROP NOT NULL", "\(place) may be NULL")
            } else if !earlier.isNotNull, column.isNotNull {
                add(
                    .contract, "ALTER TABLE \(name) ALTER COLUMN \(column.name) SET NOT NULL",
                    "\(place) may not be NULL any more: review, older rows need a value first")
            }
            if earlier.defaultExpression != column.defaultExpression {
                let change = column.defaultExpression.map { "SET DEFAULT \($0)" } ?? "DROP DEFAULT"
                add(
                    .expand, "ALTER TABLE \(name) ALTER COLUMN \(column.name) \(change)", "\(place) has another default"
                )
            }
            if earlier.check != column.check { changeCheck(earlier, column, new) }
        }
        for column in before where !after.contains(where: { $0.name == column.name }) {
            if column.isNotNull {
                add(
                    .expand, "ALTER TABLE \(name) ALTER COLUMN \(column.name) DROP NOT NULL",
                    "newer programs do not write \(new.name).\(column.name)")
            }
            add(
                .contract, "ALTER TABLE \(name) DROP COLUMN \(column.name)",
                "the column \(new.name).\(column.name) goes, with what it holds")
        }
    }

    private mutating func addColumn(_ column: ColumnModel, to table: TableModel) {
        var definition = "\(column.name) \(column.sqlType)"
        if let expression = column.defaultExpression { definition += " DEFAULT \(expression)" }
        let mayBeNotNull = column.isNotNull && column.defaultExpression != nil
        if mayBeNotNull { definition += " NOT NULL" }
        if let check = column.check { definition += " CHECK (\(check))" }
        add(
            .expand, "ALTER TABLE \(table.qualifiedName) ADD COLUMN \(definition)",
            "the column \(table.name).\(column.name) is new")
        if column.isNotNull, !mayBeNotNull {
            add(
                .contract, "ALTER TABLE \(table.qualifiedName) ALTER COLUMN \(column.name) SET NOT NULL",
                "\(table.name).\(column.name) may not be NULL: review, older rows need a value first")
        }
    }

    /// PostgreSQL names a column's check after table and column.
    private mutating func changeCheck(_ earlier: ColumnModel, _ column: ColumnModel, _ table: TableModel) {
        let name = "\(table.name)_\(column.name)_check"
        let isWider = column.check == nil || Self.values(earlier.check).isSubset(of: Self.values(column.check))
        var changes: [String] = []
        if earlier.check != nil { changes.append("DROP CONSTRAINT \(name)") }
        if let check = column.check { changes.append("ADD CONSTRAINT \(name) CHECK (\(check))") }
        add(
            isWider ? .expand : .contract, "ALTER TABLE \(table.qualifiedName) " + changes.joined(separator: ", "),
            "\(table.name).\(column.name) allows other values"
                + (isWider ? "" : ": review, rows may hold one that is gone"))
    }

    /// The texts in quotes of a check.
    private static func values(_ check: String?) -> Set<Substring> {
        let parts = (check ?? "").split(separator: "'", omittingEmptySubsequences: false)
        return Set(parts.enumerated().filter { $0.offset % 2 == 1 }.map(\.element))
    }

    private mutating func compareIndexes(_ old: TableModel, _ new: TableModel) {
        for index in new.indexes
        where !old.indexes.contains(where: { $0.name == index.name && $0.definition == index.definition }) {
            if old.indexes.contains(where: { $0.name == index.name }) {
                add(.expand, "DROP INDEX \(new.schemaName).\(index.name)", "the index \(index.name) is made anew")
            }
            add(
                .expand, "CREATE INDEX \(index.name) ON \(new.qualifiedName) \(index.definition)",
                "the index \(index.name) is new")
        }
        for index in old.indexes where !new.indexes.contains(where: { $0.name == index.name }) {
            add(.contract, "DROP INDEX \(new.schemaName).\(index.name)", "the index \(index.name) goes")
        }
    }
}
