/// Column lists, inserts, selects for each view and row decoders.
struct StatementRenderer {
    let access: String

    func render(_ tables: [TableModel], _ contract: Contract) -> String {
        var source = Source(
            header: "Statements of \(contract.title) \(contract.version).",
            imports: ["package import Postgres", "package import TES"])
        let stored = tables.filter { $0.content != .own }
        for table in stored {
            self.table(table, contract, &source)
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

    private func table(_ table: TableModel, _ contract: Contract, _ source: inout Source) {
        if let comment = table.comment { source.line("/// \(comment)") }
        source.block("\(access) enum \(table.swiftName)") { source in
            insert(table, &source)
            source.line()
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
        source.line("/// Rows of the root keys in `$1`, ordered by key; columns as the decoder wants them.")
        source.block("\(access) static func select(viewLevel: Int) -> String") { source in
            let keys = table.keys.map(\.quotedName).joined(separator: ", ")
            source.line("var columns = \(literal(keys))")
            for column in table.columns {
                let expression =
                    column.sqlType == "timestamptz"
                    ? "(extract(epoch FROM \(column.quotedName)) * 1000000)::bigint" : column.quotedName
                let add = "columns += \(literal(", " + expression))"
                source.line(column.viewLevel > 0 ? "if viewLevel >= \(column.viewLevel) { \(add) }" : add)
            }
            let root = table.keys[0]
            let rest =
                " FROM \(table.qualifiedName) WHERE \(root.quotedName) = ANY($1::\(root.sqlType)[]) ORDER BY \(keys)"
            source.line("return \"SELECT \\(columns)" + literal(rest).dropFirst())
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

    private func decode(_ type: TypeReference) -> String {
        switch type {
        case .string: "row.text()"
        case .int32: "row.int32()"
        case .int64, .int64Text: "row.int64()"
        case .double: "row.double()"
        case .boolean: "row.boolean()"
        case .timestamp: "row.int64().map(Timestamp.init(microseconds:))"
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
            source.line("/// One statement for each table, the root's first; all take an array of root keys.")
            source.block("\(access) static func selects(viewLevel: Int) -> [String]") { source in
                source.line(
                    "[\(tables.map { "\($0.swiftName).select(viewLevel: viewLevel)" }.joined(separator: ", "))]")
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
        source.line("/// Root values by key from the results of ``selects(viewLevel:)``.")
        source.block(
            "\(access) static func assemble(_ results: [PostgresResult], viewLevel: Int) throws(PostgresError) -> [String: \(name)]"
        ) { source in
            for (index, table) in tables.enumerated().reversed() {
                guard case let variable = rowsName(table), table != root else { continue }
                let count = table.keys.count
                switch table.content {
                case .map: source.line("var \(variable): [[String]: [String: String]] = [:]")
                case .structure(let element): source.line("var \(variable): [[String]: [\(element)]] = [:]")
                case .own: continue
                }
                source.block("for row in results[\(index)].rows") { source in
                    source.line("var row = row")
                    source.line("let key = try row.keys(\(count))")
                    let parent = "Array(key.prefix(\(count - 1)))"
                    if table.content == .map {
                        source.line("\(variable)[\(parent), default: [:]][key[\(count - 1)]] = try row.text()")
                    } else {
                        decodeWithChildren(table, tables, &source)
                        source.line("\(variable)[\(parent), default: []].append(value)")
                    }
                }
            }
            source.line("var values: [String: \(name)] = [:]")
            source.block("for row in results[0].rows") { source in
                source.line("var row = row")
                source.line("let key = try row.keys(\(root.keys.count))")
                decodeWithChildren(root, tables, &source)
                source.line("values[key[0]] = value")
            }
            source.line("return values")
        }
    }

    private func decodeWithChildren(_ table: TableModel, _ tables: [TableModel], _ source: inout Source) {
        let children = tables.filter { $0.parent == table.name }
        source.line(
            "\(children.isEmpty ? "let" : "var") value = try \(table.swiftName).decode(&row, viewLevel: viewLevel)")
        for child in children {
            guard let property = child.property else { continue }
            let fallback = property.isRequired ? " ?? \(property.type.emptyValue)" : ""
            source.line("value.\(property.swiftName) = \(rowsName(child))[key]\(fallback)")
        }
    }
}
