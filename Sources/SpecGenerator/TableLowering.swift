import SpecDocument
import YAML

/// One column of a table.
struct ColumnModel: Hashable, Sendable {
    /// As the catalogue has it, without quotation marks.
    var name: String
    var sqlType: String
    var isNotNull: Bool
    var defaultExpression: String?
    var check: String?
    /// Where its value comes from: properties from the table's structure inwards; empty for the server's own columns.
    var path: [PropertyModel]
    var viewLevel: Int

    /// As SQL writes it.
    var quotedName: String { quotedSQL(name) }
}

/// One table with everything that DDL and statements need.
struct TableModel: Hashable, Sendable {
    enum Content: Hashable, Sendable {
        case structure(String)
        /// A map from text to text as rows.
        case map
        case own
    }

    var name: String
    var content: Content
    var comment: String?
    /// The parent's table and the property whose elements these rows are.
    var parent: String?
    var property: PropertyModel?
    var keys: [ColumnModel]
    var columns: [ColumnModel]
    var ownColumns: [ColumnModel]
    var primaryKey: String
    /// The table that the key refers to, for a table of our own.
    var references: String?
    var indexes: [(name: String, definition: String)] = []
    var storage: String?
    var schemaName: String

    static func == (left: TableModel, right: TableModel) -> Bool { left.name == right.name }
    func hash(into hasher: inout Hasher) { hasher.combine(name) }

    /// As SQL writes it.
    var qualifiedName: String { quotedSQL(schemaName) + "." + quotedSQL(name) }
    /// `task_inputs` → `TaskInputsTable`
    var swiftName: String { Names.type(name) + "Table" }
}

/// Reads the persistence file against the contract: which schema is which table.
struct TableLowering {
    private let contract: Contract
    private var found: [Diagnostic] = []
    private var tables: [TableModel] = []

    init(_ contract: Contract) { self.contract = contract }

    mutating func tables(_ root: YAMLNode) throws(Diagnostics) -> [TableModel] {
        let schema = root["schema"]?.text ?? "public"
        check(root, ["schema", "tables"], "the persistence file")
        for node in root["tables"]?.items ?? [] {
            guard let table = table(node, schema: schema) else { continue }
            checkNames(table, at: node.location)
            tables.append(table)
        }
        for table in tables { checkChildren(table, root) }
        guard found.isEmpty else { throw Diagnostics(found) }
        return tables
    }

    private mutating func check(_ node: YAMLNode, _ known: Set<String>, _ what: String) {
        for entry in node.entries ?? [] where !known.contains(entry.key.text ?? "") {
            found.append(
                Diagnostic(
                    entry.key.location, "\"\(entry.key.text ?? "")\" is not a key of \(what)",
                    hint: "known are \(known.sorted().joined(separator: ", "))"))
        }
    }

    /// PostgreSQL cuts longer names off without a word (NAMEDATALEN).
    private static let longestName = 63

    private mutating func checkNames(_ table: TableModel, at location: SourceLocation) {
        let columns = table.keys + table.columns + table.ownColumns
        let names = columns.map(\.name)
        for (index, name) in names.enumerated() where names.firstIndex(of: name) != index {
            found.append(
                Diagnostic(
                    location, "the table \(table.name) has two columns named \(name)",
                    hint:
                        "rename the server's own column, the position or the map's key here; columns are in lower case")
            )
        }
        let constraints = columns.filter { $0.check != nil }.map { "\(table.name)_\($0.name)_check" }
        for name in [table.name] + names + constraints + table.indexes.map(\.name)
        where name.utf8.count > Self.longestName || name.isEmpty {
            found.append(
                Diagnostic(
                    location, "the name \"\(name)\" has more than \(Self.longestName) bytes, or none",
                    hint: "PostgreSQL would cut it off: choose a shorter name for the table, or leave the property out")
            )
        }
        if table.keys.isEmpty && (table.primaryKey.isEmpty || table.content != .own) {
            found.append(
                Diagnostic(
                    location, "the table \(table.name) has no key",
                    hint: "write key: {name: id, type: uuid}, or primary-key: \"(a, b)\""))
        }
        let relations = [table.name] + table.indexes.map(\.name)
        for (index, name) in relations.enumerated()
        where relations[..<index].contains(name)
            || tables.contains(where: { $0.name == name || $0.indexes.contains { $0.name == name } })
        {
            found.append(
                Diagnostic(
                    location, "two tables or indexes are named \(name)",
                    hint: "PostgreSQL keeps both under one roof: give one of them another name"))
        }
        if tables.contains(where: { $0.swiftName == table.swiftName && $0.name != table.name }) {
            found.append(
                Diagnostic(
                    location, "the table \(table.name) maps to a Swift name already in use: \(table.swiftName)",
                    hint: "give it another name"))
        }
        let types = Set(contract.structures.map(\.name) + contract.enumerations.map(\.name))
        for name in [table.swiftName] + (table.parent == nil ? Self.statements(table) : []) where types.contains(name) {
            found.append(
                Diagnostic(
                    location, "the code of the table \(table.name) and a schema have one Swift name: \(name)",
                    hint: "give the table another name here, or the schema with x-swift-name in the overlay"))
        }
    }

    /// The name of the declaration for a root with all its children.
    private static func statements(_ table: TableModel) -> [String] {
        guard case .structure(let name) = table.content else { return [] }
        return [name + "Statements"]
    }

    private mutating func table(_ node: YAMLNode, schema: String) -> TableModel? {
        let known: Set = [
            "name", "comment", "schema", "of", "key", "position", "map-key", "map-value", "leave-out", "columns",
            "indexes",
            "with", "primary-key",
        ]
        check(node, known, "a table")
        for index in node["indexes"]?.items ?? [] { check(index, ["name", "on"], "an index") }
        guard let name = node["name"]?.text else {
            found.append(Diagnostic(node.location, "a table needs a name", hint: "write name: tasks"))
            return nil
        }
        var table = TableModel(
            name: name, content: .own, comment: node["comment"]?.text, keys: [], columns: [], ownColumns: [],
            primaryKey: "", schemaName: schema)
        if let key = node["key"] {
            table.keys = [column(key)]
            table.references = key["references"]?.text
        }
        if let place = node["of"] {
            guard attach(&table, to: place, node) else { return nil }
        } else if let schemaNode = node["schema"] {
            guard let structure = contract.structures.first(where: { $0.schemaName == schemaNode.text }) else {
                found.append(
                    Diagnostic(
                        schemaNode.location, "the contract has no schema \"\(schemaNode.text ?? "")\"",
                        hint: "the specification may have dropped it: remove the table here and write a migration"))
                return nil
            }
            table.content = .structure(structure.name)
        }
        if case .structure(let name) = table.content, let structure = structure(name) {
            let leftOut = node["leave-out"]?.items ?? []
            for item in leftOut where !structure.properties.contains(where: { $0.jsonName == item.text }) {
                found.append(
                    Diagnostic(
                        item.location, "\(name) has no property \"\(item.text ?? "")\" to leave out",
                        hint: "write the property's name as the document has it, or remove it here"))
            }
            table.columns = columns(structure, leftOut: Set(leftOut.compactMap(\.text)))
        }
        table.ownColumns = (node["columns"]?.items ?? []).map { column($0) }
        let keys = table.keys.map(\.quotedName).joined(separator: ", ")
        table.primaryKey = node["primary-key"]?.text ?? (keys.isEmpty ? "" : "(\(keys))")
        table.indexes = (node["indexes"]?.items ?? []).map { ($0["name"]?.text ?? "", $0["on"]?.text ?? "") }
        table.storage = node["with"]?.text
        return table
    }

    /// `of: tasks.inputs`: keys are the parent's and a position, or a map's key.
    private mutating func attach(_ table: inout TableModel, to place: YAMLNode, _ node: YAMLNode) -> Bool {
        let parts = (place.text ?? "").split(separator: ".").map(String.init)
        guard parts.count == 2, let parent = tables.first(where: { $0.name == parts[0] }),
            case .structure(let owner) = parent.content,
            let property = structure(owner)?.properties.first(where: { $0.jsonName == parts[1] })
        else {
            found.append(
                Diagnostic(
                    place.location, "\"\(place.text ?? "")\" is no property of a table above",
                    hint: "write TABLE.PROPERTY; a parent comes before its children"))
            return false
        }
        table.parent = parent.name
        table.property = property
        table.keys = parent.keys
        switch property.type {
        case .array(.structure(let element)):
            table.content = .structure(element)
            table.keys.append(own(node["position"]?.text ?? "position", "integer"))
        case .map:
            table.content = .map
            table.columns = []
            table.keys.append(own(node["map-key"]?.text ?? "key", "text"))
            table.columns.append(own(node["map-value"]?.text ?? "value", "text"))
        default:
            found.append(
                Diagnostic(
                    place.location, "only arrays of objects and maps become tables of their own",
                    hint: "other properties are columns of \(parent.name): remove this table"))
            return false
        }
        return true
    }

    private func own(_ name: String, _ type: String) -> ColumnModel {
        ColumnModel(name: name, sqlType: type, isNotNull: true, path: [], viewLevel: 0)
    }

    private mutating func column(_ node: YAMLNode) -> ColumnModel {
        check(node, ["name", "type", "enum", "not-null", "default", "references"], "a column")
        let name = node["name"]?.text ?? ""
        var type = node["type"]?.text ?? "text"
        var check: String?
        if let schema = node["enum"] {
            type = "text"
            let pointer = "/components/schemas/" + (schema.text ?? "")
            if let enumeration = contract.enumerations.first(where: { $0.pointer == pointer }) {
                check = Self.check(name, enumeration)
            } else {
                found.append(
                    Diagnostic(
                        schema.location, "the contract has no enumeration \"\(schema.text ?? "")\"",
                        hint: "write the name of a schema with \"enum\" under components/schemas"))
            }
        }
        return ColumnModel(
            name: name, sqlType: type, isNotNull: node["not-null"]?.bool ?? false,
            defaultExpression: node["default"]?.text, check: check, path: [], viewLevel: 0)
    }

    private static func check(_ column: String, _ enumeration: EnumerationModel) -> String {
        let values = enumeration.cases.map { "'" + $0.value.replacing("'", with: "''") + "'" }
        return "\(quotedSQL(column)) IN (\(values.joined(separator: ", ")))"
    }

    private func structure(_ name: String) -> StructureModel? { contract.structures.first { $0.name == name } }

    /// A structure's columns; a nested single object is flattened, children that are tables of their own are left to them.
    private func columns(
        _ structure: StructureModel, leftOut: Set<String>, prefix: String = "", outer: [PropertyModel] = []
    ) -> [ColumnModel] {
        var result: [ColumnModel] = []
        for property in structure.properties where !leftOut.contains(property.jsonName) {
            let name = prefix + property.jsonName.lowercased()
            let path = outer + [property]
            var check: String?
            let type: String
            switch property.type {
            case .string: type = "text"
            case .int32: type = "integer"
            case .int64, .int64Text: type = "bigint"
            case .double: type = "double precision"
            case .boolean: type = "boolean"
            case .timestamp: type = "timestamptz"
            case .map: type = "jsonb"
            case .enumeration(let name):
                type = "text"
                check = contract.enumerations.first { $0.name == name }.map {
                    Self.check(prefix + property.jsonName.lowercased(), $0)
                }
            case .structure(let inner):
                if let inner = self.structure(inner) {
                    result += columns(inner, leftOut: [], prefix: name + "_", outer: path)
                }
                continue
            case .array(.structure): continue
            case .array: type = "text[]"
            }
            result.append(
                ColumnModel(
                    name: name, sqlType: type, isNotNull: path.allSatisfy(\.isRequired), check: check, path: path,
                    viewLevel: path.map(\.viewLevel).max() ?? 0))
        }
        return result
    }

    /// Every array of objects needs a table; a map that has one is no column.
    private mutating func checkChildren(_ table: TableModel, _ root: YAMLNode) {
        guard case .structure(let name) = table.content, let structure = structure(name),
            let index = tables.firstIndex(where: { $0.name == table.name })
        else { return }
        let node = root["tables"]?.items?.first { $0["name"]?.text == table.name }
        let location = (node ?? root).location
        for property in structure.properties {
            let child = tables.first { $0.parent == table.name && $0.property?.jsonName == property.jsonName }
            switch property.type {
            case .array(.structure) where child == nil:
                found.append(
                    Diagnostic(
                        location,
                        "the property \"\(property.jsonName)\" of \(table.name) is an array of objects and has no table",
                        hint: "add a table with \"of: \(table.name).\(property.jsonName)\""))
            case .map where child != nil:
                tables[index].columns.removeAll { $0.path.count == 1 && $0.path[0] == property }
            case .structure(let inner): checkFlattened(inner, path: property.jsonName, of: table.name, at: location)
            default: checkArray(property.type, path: property.jsonName, of: table.name, at: location)
            }
        }
    }

    /// What lies in a flattened object has no table to go to.
    private mutating func checkFlattened(
        _ name: String, path: String, of table: String, at location: SourceLocation
    ) {
        for property in structure(name)?.properties ?? [] {
            let path = path + "." + property.jsonName
            switch property.type {
            case .array(.structure):
                let what = "is an array of objects inside a flattened object; that is not supported"
                found.append(
                    Diagnostic(
                        location, "the property \"\(path)\" of \(table) \(what)",
                        hint: "leave out the property that holds it, or remove it with the overlay"))
            case .structure:
                let what = "is an object inside a flattened object; that is not supported"
                found.append(
                    Diagnostic(
                        location, "the property \"\(path)\" of \(table) \(what)",
                        hint: "leave out the property that holds it, or remove it with the overlay"))
            default: checkArray(property.type, path: path, of: table, at: location)
            }
        }
    }

    private mutating func checkArray(
        _ type: TypeReference, path: String, of table: String, at location: SourceLocation
    ) {
        guard case .array(let element) = type, element != .string else { return }
        if case .structure = element { return }
        found.append(
            Diagnostic(
                location,
                "the property \"\(path)\" of \(table) is an array of \(element.swift); only text is supported",
                hint: "leave it out, or make its items text with the overlay"))
    }
}
