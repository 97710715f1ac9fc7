/// Column lists, inserts, selects for each view and row decoders.
struct StatementRenderer {
    let access: String

    func render(_ tables: [TableModel], _ contract: Contract) -> String {
        var source = Source(
            header: "Statements of \(contract.title) \(contract.version).",
            imports: ["package import Postgres", "package import TES"])
        let stored = tables.filter { $0.content != .own }
        for table in stored {
            self.table(table, isServersOwn: !isClients(table, in: stored), contract, &source)
            source.line()
        }
        for root in stored where root.parent == nil { whole(root, family(of: root, in: stored), contract, &source) }
        return source.text
    }

    /// A root, then all tables below it, in the order of the persistence file: parents come first there.
    private func family(of root: TableModel, in tables: [TableModel]) -> [TableModel] {
        var family = [root]
        for table in tables where family.contains(where: { $0.name == table.parent }) { family.append(table) }
        return family
    }

    // MARK: One table

    /// Whether clients write the rows: with the whole root, by ``insertChildren(of:_:keys:_:_:)``.
    private func isClients(_ table: TableModel, in tables: [TableModel]) -> Bool {
        guard let parent = tables.first(where: { $0.name == table.parent }) else { return true }
        return table.property?.isReadOnly == false && isClients(parent, in: tables)
    }

    private func table(_ table: TableModel, isServersOwn: Bool, _ contract: Contract, _ source: inout Source) {
        source.documentation(table.comment, pointer: nil)
        source.block("\(access) enum \(table.swiftName)") { source in
            insert(table, &source)
            source.line()
            if isServersOwn, case .structure = table.content { fromJSON(table, &source) }
            select(table, &source)
            if case .structure(let name) = table.content {
                source.line()
                decode(table, name, contract, &source)
            }
        }
    }

    /// Own columns of the root and its map rows are given by the caller; elsewhere they have defaults.
    private func givenColumns(_ table: TableModel) -> [ColumnModel] {
        table.parent == nil || table.content == .map ? table.ownColumns : []
    }

    /// For the state-writing functions, which take a value as it is written in JSON.
    private func fromJSON(_ table: TableModel, _ source: inout Source) {
        source.line("/// The columns of a value, and what they hold of its JSON in a column `value`.")
        source.line(
            "\(access) static let columns = \(literal(table.columns.map(\.quotedName).joined(separator: ", ")))")
        source.line(
            "\(access) static let columnsFromJSON = \(literal(table.columns.map(jsonExpression).joined(separator: ", ")))"
        )
        source.line()
    }

    private func jsonExpression(_ column: ColumnModel) -> String {
        let names = column.path.map { "'" + $0.jsonName.replacing("'", with: "''") + "'" }
        let parent = (["value"] + names.dropLast()).joined(separator: "->")
        guard let type = column.path.last?.type, let name = names.last else { return "NULL" }
        switch type {
        case .map: return "\(parent)->\(name)"
        case .array, .structure:
            return
                "CASE WHEN jsonb_typeof(\(parent)->\(name)) = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(\(parent)->\(name)))::\(column.sqlType) END"
        default: return "(\(parent)->>\(name))::\(column.sqlType)"
        }
    }

    private func insert(_ table: TableModel, _ source: inout Source) {
        let columns = table.keys + table.columns + givenColumns(table)
        let places = columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        source.line(
            "\(access) static let insert = \(literal("INSERT INTO \(table.qualifiedName) (\(columns.map(\.quotedName).joined(separator: ", "))) VALUES (\(places))"))"
        )
        source.line()
        source.line(
            "/// Parameters of ``insert`` after the keys\(givenColumns(table).isEmpty ? "" : "; the server's own columns follow")."
        )
        switch table.content {
        case .structure(let name):
            source.block("\(access) static func values(_ value: \(name)) -> [PostgresValue]") { source in
                source.line("[")
                source.indented { source in
                    for column in table.columns { source.line(encode(column) + ",") }
                }
                source.line("]")
            }
        case .map:
            source.block("\(access) static func values(_ value: String) -> [PostgresValue]") {
                $0.line("[.text(value)]")
            }
        case .own: break
        }
    }

    private func encode(_ column: ColumnModel) -> String {
        var expression = "value"
        var isOptional = false
        for property in column.path {
            expression += (isOptional ? "?." : ".") + property.swiftName
            isOptional = isOptional || !property.isRequired
        }
        guard let last = column.path.last else { return "" }
        let chain = last.isRequired ? "." : "?."
        switch last.type {
        case .string: return ".text(\(expression))"
        case .int32, .int64, .int64Text:
            return ".integer(\(isOptional ? "(\(expression)).map { Int64($0) }" : "Int64(\(expression))"))"
        case .double: return ".double(\(expression))"
        case .boolean: return ".boolean(\(expression))"
        case .timestamp: return ".text(\(expression)\(chain)databaseText)"
        case .enumeration: return ".text(\(expression)\(chain)rawValue)"
        case .map: return ".map(\(expression))"
        case .array, .structure: return ".textArray(\(expression))"
        }
    }

    private func select(_ table: TableModel, _ source: inout Source) {
        source.line(
            "/// Rows of the root keys in `$1`, or from `$1` to `$2`, by key; columns as the decoder wants them.")
        source.block("\(access) static func select(viewLevel: Int, isRange: Bool = false) -> String") { source in
            source.line("var columns = \(literal(table.keys.map(\.quotedName).joined(separator: ", ")))")
            for column in table.columns {
                let add = "columns += \(literal(", " + column.quotedName))"
                source.line(column.viewLevel > 0 ? "if viewLevel >= \(column.viewLevel) { \(add) }" : add)
            }
            let root = table.keys[0]
            source.line(
                "let keys = isRange ? \(literal("BETWEEN $1::\(root.sqlType) AND $2::\(root.sqlType)")) : \(literal("= ANY($1::\(root.sqlType)[])"))"
            )
            // A map has no order: sorting by its key would only cost time.
            let order = (table.content == .map ? table.keys.dropLast() : table.keys[...]).map(\.quotedName)
            let from = literal(" FROM \(table.qualifiedName) WHERE \(root.quotedName) ")
            let by = literal(" ORDER BY " + order.joined(separator: ", "))
            source.line("return \"SELECT \\(columns)" + from.dropFirst().dropLast() + "\\(keys)" + by.dropFirst())
        }
    }

    private func decode(_ table: TableModel, _ name: String, _ contract: Contract, _ source: inout Source) {
        source.line("/// A row of ``select(viewLevel:)`` after its keys.")
        source.block(
            "\(access) static func decode(_ row: inout RowReader, viewLevel: Int) throws(PostgresError) -> \(name)"
        ) { source in
            source.line("var value = \(name)()")
            var nested: [String] = []
            for column in table.columns where column.path.count > 1 {
                let property = column.path[0]
                if !nested.contains(property.swiftName) {
                    nested.append(property.swiftName)
                    source.line("var \(nestedName(property)) = \(property.type.swift)()")
                }
            }
            for column in table.columns {
                let target =
                    column.path.count > 1
                    ? nestedName(column.path[0]) + "." + column.path.dropFirst().map(\.swiftName).joined(separator: ".")
                    : "value." + column.path[0].swiftName
                guard let last = column.path.last else { continue }
                let read = "try " + decode(last.type)
                let assign =
                    last.isRequired
                    ? "\(target) = \(read) ?? \(last.type.emptyValue)" : "\(target) = \(read)"
                source.line(column.viewLevel > 0 ? "if viewLevel >= \(column.viewLevel) { \(assign) }" : assign)
            }
            for column in table.columns where column.path.count == 2 {
                let property = column.path[0]
                guard let index = nested.firstIndex(of: property.swiftName) else { continue }
                nested.remove(at: index)
                source.line(
                    "if \(nestedName(property)) != \(property.type.swift)() { value.\(property.swiftName) = \(nestedName(property)) }"
                )
            }
            source.line("return value")
        }
    }

    /// The variable for a nested object under construction.
    private func nestedName(_ property: PropertyModel) -> String { Names.local(property.jsonName, "Part") }

    /// The variable for the rows of a child table.
    private func rowsName(_ table: TableModel) -> String { Names.local(table.name, "Rows") }

    /// The variable for one row of a table.
    private func rowName(_ table: TableModel) -> String { Names.local(table.name, "Row") }

    private func decode(_ type: TypeReference) -> String {
        switch type {
        case .string: "row.text()"
        case .int32: "row.int32()"
        case .int64, .int64Text: "row.int64()"
        case .double: "row.double()"
        case .boolean: "row.boolean()"
        case .timestamp: "row.microseconds().map(Timestamp.init(microseconds:))"
        case .enumeration(let name): "row.text().map(\(name).init(rawValue:))"
        case .map: "row.map()"
        case .array, .structure: "row.textArray()"
        }
    }

    // MARK: The root with all its children

    private func whole(_ root: TableModel, _ tables: [TableModel], _ contract: Contract, _ source: inout Source) {
        guard case .structure(let name) = root.content else { return }
        source.line(
            "/// A \(name) with all its children: written in one batch, read with one statement for each table.")
        source.block("\(access) enum \(name)Statements") { source in
            source.line("/// - Parameters:")
            source.line("///   - own: the server's own columns of \(root.name), in their order.")
            source.line("///   - mapOwn: the server's own columns of maps that are rows.")
            source.block(
                "\(access) static func insert(_ value: \(name), key: PostgresValue, own: [PostgresValue], mapOwn: [PostgresValue]) -> [Statement]"
            ) { source in
                let own = "[Statement(\(root.swiftName).insert, [key] + \(root.swiftName).values(value) + own)]"
                guard tables.contains(where: { $0.parent == root.name && $0.property?.isReadOnly == false }) else {
                    source.line(own)
                    return
                }
                source.line("var statements = " + own)
                insertChildren(of: root, "value", keys: ["key"], tables, &source)
                source.line("return statements")
            }
            source.line()
            source.line(
                "/// One statement for each table, the root's first; all take an array of root keys, or the least and the greatest."
            )
            source.block("\(access) static func selects(viewLevel: Int, isRange: Bool = false) -> [String]") { source in
                let selects = tables.map { "\($0.swiftName).select(viewLevel: viewLevel, isRange: isRange)" }
                source.line("[\(selects.joined(separator: ", "))]")
            }
            source.line()
            assemble(name, root, tables, &source)
        }
    }

    /// Loops over the children that a client writes, theirs inside.
    ///
    /// - Parameters:
    ///   - value: the expression of the parent.
    ///   - keys: the expressions of its keys.
    private func insertChildren(
        of parent: TableModel, _ value: String, keys: [String], _ tables: [TableModel], _ source: inout Source
    ) {
        let suffix = keys.count > 1 ? "\(keys.count)" : ""
        for table in tables where table.parent == parent.name && table.property?.isReadOnly == false {
            guard let property = table.property else { continue }
            let access =
                "\(value).\(property.swiftName)" + (property.isRequired ? "" : " ?? \(property.type.emptyValue)")
            let (name, index, element) = ("name" + suffix, "index" + suffix, "element" + suffix)
            if table.content == .map {
                source.block("for (\(name), \(element)) in (\(access)).sorted(by: { $0.key < $1.key })") {
                    $0.line(
                        "statements.append(Statement(\(table.swiftName).insert, [\((keys + [".text(\(name))"]).joined(separator: ", "))] + \(table.swiftName).values(\(element)) + mapOwn))"
                    )
                }
            } else {
                let own = keys + [".integer(Int64(\(index)))"]
                source.block("for (\(index), \(element)) in (\(access)).enumerated()") { source in
                    source.line(
                        "statements.append(Statement(\(table.swiftName).insert, [\(own.joined(separator: ", "))] + \(table.swiftName).values(\(element))))"
                    )
                    insertChildren(of: table, element, keys: own, tables, &source)
                }
            }
        }
    }

    private func assemble(_ name: String, _ root: TableModel, _ tables: [TableModel], _ source: inout Source) {
        source.line(
            "/// Root values with their keys, in order of the keys, from the results of ``selects(viewLevel:isRange:)``."
        )
        source.block(
            "\(access) static func assemble(_ results: [PostgresResult], viewLevel: Int) throws(PostgresError) -> [(key: String, value: \(name))]"
        ) { source in
            let children = tables.enumerated().filter { $0.element.parent != nil }
            for (index, table) in children {
                source.line("var \(rowsName(table)) = ChildRows(results[\(index)])")
            }
            source.line("var values: [(key: String, value: \(name))] = []")
            source.line("values.reserveCapacity(results[0].rows.count)")
            let rootRow = rowName(root)
            source.block("for \(rootRow) in results[0].rows") { source in
                source.line("var row = \(rootRow)")
                source.line("let key = try row.key()")
                decodeWithChildren(root, tables, &source)
                source.line("values.append((key, value))")
            }
            for (_, table) in children { source.line("try \(rowsName(table)).finish()") }
            source.line("return values")
        }
    }

    /// Decodes what follows a row's keys, and the rows of its children.
    private func decodeWithChildren(_ table: TableModel, _ tables: [TableModel], _ source: inout Source) {
        let children = tables.filter { $0.parent == table.name }
        source.line(
            "\(children.isEmpty ? "let" : "var") value = try \(table.swiftName).decode(&row, viewLevel: viewLevel)")
        for child in children {
            guard let property = child.property else { continue }
            let (row, found) = (rowName(child), Names.local(child.name, "Found"))
            if case .structure(let element) = child.content {
                source.line("var \(found): [\(element)] = []")
            } else {
                source.line("var \(found): [String: String] = [:]")
            }
            source.block(
                "while let \(row) = \(rowsName(child)).next(of: \(rowName(table)), keys: \(table.keys.count))"
            ) { source in
                source.line("var row = \(row)")
                if child.content == .map {
                    source.line("row.skip(\(table.keys.count))")
                    source.line("let key = try row.key()")
                    source.line("\(found)[key] = try row.text()")
                } else {
                    source.line("row.skip(\(child.keys.count))")
                    decodeWithChildren(child, tables, &source)
                    source.line("\(found).append(value)")
                }
            }
            let all = property.isRequired ? found : "\(found).isEmpty ? nil : \(found)"
            source.line("value.\(property.swiftName) = \(all)")
        }
    }
}
