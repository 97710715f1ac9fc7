/// PostgreSQL DDL as Swift string constants: a resource bundle would bind the binary to its build folder.
struct SchemaRenderer {
    let access: String

    func render(_ tables: [TableModel], _ contract: Contract) -> String {
        var source = Source(header: "PostgreSQL schema of \(contract.title) \(contract.version).")
        source.line("/// Creates every table and index, in order.")
        source.block("\(access) enum TaskSchema") { source in
            source.line("\(access) static let name = \(literal(tables.first?.schemaName ?? "public"))")
            source.line("\(access) static let statements: [String] = [")
            source.indented { source in
                for statement in statements(tables) { source.line(literal(statement) + ",") }
            }
            source.line("]")
        }
        return source.text
    }

    /// DDL statements without their semicolons.
    func statements(_ tables: [TableModel]) -> [String] {
        var result = tables.first.map { ["CREATE SCHEMA IF NOT EXISTS \(quotedSQL($0.schemaName))"] } ?? []
        for table in tables {
            result.append(create(table))
            // A primary key takes columns alone; one on expressions is a unique index.
            if hasExpressionKey(table) {
                result.append(
                    "CREATE UNIQUE INDEX \(quotedSQL(table.name + "_key")) ON \(table.qualifiedName) \(table.primaryKey)"
                )
            }
            for index in table.indexes {
                result.append("CREATE INDEX \(quotedSQL(index.name)) ON \(table.qualifiedName) \(index.definition)")
            }
            if let comment = table.comment {
                result.append("COMMENT ON TABLE \(table.qualifiedName) IS \(quotedText(comment))")
            }
        }
        return result
    }

    private func hasExpressionKey(_ table: TableModel) -> Bool { table.primaryKey.dropFirst().contains("(") }

    private func create(_ table: TableModel) -> String {
        var lines = (table.keys + table.columns + table.ownColumns).map { column in
            var line = "\(column.quotedName) \(column.sqlType)"
            if column.isNotNull || table.keys.contains(column) { line += " NOT NULL" }
            if let expression = column.defaultExpression { line += " DEFAULT \(expression)" }
            if let check = column.check { line += " CHECK (\(check))" }
            return line
        }
        if !hasExpressionKey(table) { lines.append("PRIMARY KEY \(table.primaryKey)") }
        if let parent = table.parent ?? table.references {
            let keys = (table.parent == nil ? table.keys : table.keys.dropLast()).map(\.quotedName).joined(
                separator: ", ")
            lines.append(
                "FOREIGN KEY (\(keys)) REFERENCES \(quotedSQL(table.schemaName)).\(quotedSQL(parent)) ON DELETE CASCADE"
            )
        }
        var text = "CREATE TABLE \(table.qualifiedName) (\n    " + lines.joined(separator: ",\n    ") + "\n)"
        if let storage = table.storage { text += " WITH (\(storage))" }
        return text
    }
}
