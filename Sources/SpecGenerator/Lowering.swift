import SpecDocument
import YAML

/// Turns a loaded document into the declarations to render; collects every problem on the way.
///
/// Extensions that it understands: `x-swift-name` (schemas), `x-view` and `x-default-view` (which view shows a property first),
/// `x-views: true` (the enum of views), `x-fill-in: true` (a default to fill in), `x-sensitive: true`, `x-ignore-case: true`.
struct Lowering {
    private let document: SpecDocument
    private var found: [Diagnostic] = []
    private var structures: [StructureModel] = []
    private var enumerations: [EnumerationModel] = []
    private var lowered: [SchemaID: TypeReference] = [:]
    private var typeNames: [String: SourceLocation] = [:]
    private var views: [String] = []

    private static let extensions: Set = [
        "x-swift-name", "x-view", "x-default-view", "x-views", "x-fill-in", "x-sensitive", "x-ignore-case",
        "x-codegen-request-body-name",
    ]

    init(_ document: SpecDocument) { self.document = document }

    mutating func contract() throws(Diagnostics) -> Contract {
        findViews()
        for (id, _) in document.schemas where id.file == document.file { _ = type(of: id) }
        let operations = document.operations.map { operation($0) }
        guard found.isEmpty else { throw Diagnostics(found) }
        return Contract(
            title: document.title, version: document.version, basePath: document.basePath, structures: structures,
            enumerations: enumerations, operations: operations)
    }

    private mutating func findViews() {
        for parameter in document.operations.flatMap(\.parameters)
        where parameter.schema.extensions["x-views"]?.bool == true {
            if case .string(_, let cases) = parameter.schema.kind { views = cases.compactMap(\.text) }
        }
    }

    // MARK: Schemas

    private mutating func type(of id: SchemaID) -> TypeReference {
        if let known = lowered[id] { return known }
        guard let schema = document.schema(id) else { return .string }
        let result = type(of: schema, suggestedName: Names.type(id.name), schemaName: id.name)
        lowered[id] = result
        return result
    }

    private mutating func type(of schema: Schema, suggestedName: String, schemaName: String? = nil) -> TypeReference {
        check(schema.extensions)
        let name = schema.extensions["x-swift-name"]?.text ?? suggestedName
        switch schema.kind {
        case .reference(let id): return type(of: id)
        case .boolean: return .boolean
        case .integer(let format): return format == "int64" ? .int64 : .int32
        case .number: return .double
        case .string(let format, let cases):
            if !cases.isEmpty { return enumeration(name, cases, schema) }
            return format == "int64" ? .int64Text : format == "date-time" ? .timestamp : .string
        case .array(let items):
            let element = type(of: items, suggestedName: name + "Item")
            if case .array = element {
                found.append(Diagnostic(items.location, "an array of arrays is not supported"))
            }
            return .array(element)
        case .map(let values):
            if type(of: values, suggestedName: name + "Value") != .string {
                found.append(Diagnostic(values.location, "only maps from text to text are supported"))
            }
            return .map
        case .object, .allOf:
            return structure(name, schema, schemaName: schemaName)
        }
    }

    /// Extensions come from a dictionary: in the order of their names, so that messages are the same in each run.
    private mutating func check(_ extensions: [String: YAMLNode]) {
        for (name, node) in extensions.sorted(by: { $0.key < $1.key }) where !Self.extensions.contains(name) {
            found.append(
                Diagnostic(
                    node.location, "the extension \"\(name)\" is not understood",
                    hint: "known are \(Self.extensions.sorted().joined(separator: ", "))"))
        }
    }

    private mutating func enumeration(_ name: String, _ cases: [YAMLNode], _ schema: Schema) -> TypeReference {
        guard claim(name, at: schema.location) else { return .enumeration(name) }
        var models: [EnumerationModel.Case] = []
        for node in cases {
            let member = Names.member(node.text ?? "")
            if models.contains(where: { $0.swiftName == member }) {
                found.append(
                    Diagnostic(
                        node.location,
                        "the enum value \"\(node.text ?? "")\" maps to a Swift name already in use: \(member)"))
            }
            models.append(.init(swiftName: member, value: node.text ?? ""))
        }
        enumerations.append(
            EnumerationModel(name: name, cases: models, documentation: schema.description, pointer: schema.pointer))
        return .enumeration(name)
    }

    /// A Swift type name belongs to one schema.
    private mutating func claim(_ name: String, at location: SourceLocation) -> Bool {
        if let first = typeNames[name] {
            if first != location {
                found.append(
                    Diagnostic(
                        location, "the Swift type name \(name) is already used by the schema at \(first)",
                        hint: "give one of them another name with x-swift-name in the overlay"))
            }
            return false
        }
        typeNames[name] = location
        return true
    }

    private mutating func structure(_ name: String, _ schema: Schema, schemaName: String?) -> TypeReference {
        guard claim(name, at: schema.location) else { return .structure(name) }
        let (merged, required) = flatten(schema)
        let defaultView = level(schema.extensions["x-default-view"]) ?? 0
        var properties: [PropertyModel] = []
        for property in merged {
            let model = self.property(property, of: name, required: required, defaultView: defaultView)
            if properties.contains(where: { $0.swiftName == model.swiftName }) {
                found.append(
                    Diagnostic(
                        property.location,
                        "the property \"\(property.name)\" maps to a Swift name already in use: \(model.swiftName)"))
            }
            properties.append(model)
        }
        structures.append(
            StructureModel(
                name: name, schemaName: schemaName, properties: properties, documentation: schema.description,
                pointer: schema.pointer))
        return .structure(name)
    }

    private mutating func property(
        _ property: Schema.Property, of owner: String, required: Set<String>, defaultView: Int
    ) -> PropertyModel {
        let schema = property.schema
        let type = type(of: schema, suggestedName: owner + Names.type(property.name))
        let target = resolved(schema)
        return PropertyModel(
            jsonName: property.name, swiftName: Names.member(property.name), type: type,
            isRequired: required.contains(property.name), isReadOnly: schema.isReadOnly || target.isReadOnly,
            isSensitive: schema.extensions["x-sensitive"]?.bool ?? false,
            viewLevel: level(schema.extensions["x-view"]) ?? defaultView,
            filledIn: target.extensions["x-fill-in"]?.bool == true
                ? target.defaultValue?.text.map { "." + Names.member($0) } : nil,
            constraints: constraints(schema), documentation: schema.description ?? target.description,
            pointer: schema.pointer)
    }

    private func constraints(_ schema: Schema) -> Constraints {
        Constraints(
            minItems: schema.minItems, minLength: schema.minLength, maxLength: schema.maxLength,
            minimum: schema.minimum, maximum: schema.maximum)
    }

    private mutating func level(_ node: YAMLNode?) -> Int? {
        guard let node else { return nil }
        if let index = views.firstIndex(of: node.text ?? "") { return index }
        found.append(
            Diagnostic(
                node.location, "\"\(node.text ?? "")\" is no view",
                hint: "views are the values of the parameter with x-views: \(views.joined(separator: ", "))"))
        return nil
    }

    private func resolved(_ schema: Schema) -> Schema {
        guard case .reference(let id) = schema.kind, let target = document.schema(id) else { return schema }
        return resolved(target)
    }

    // MARK: allOf

    /// All properties of an object or of the parts of an `allOf`; one that is repeated gets the narrower of its schemas.
    private mutating func flatten(_ schema: Schema) -> (properties: [Schema.Property], required: Set<String>) {
        switch resolved(schema).kind {
        case .object(let properties, let required):
            return (properties, Set(required.compactMap(\.text)))
        case .allOf(let parts):
            var merged: [Schema.Property] = []
            var required: Set<String> = []
            for part in parts {
                let (properties, names) = flatten(part)
                required.formUnion(names)
                for property in properties {
                    if let index = merged.firstIndex(where: { $0.name == property.name }) {
                        merged[index].schema = narrower(merged[index].schema, property.schema)
                    } else {
                        merged.append(property)
                    }
                }
            }
            return (merged, required)
        default:
            found.append(Diagnostic(schema.location, "each part of \"allOf\" must be an object"))
            return ([], [])
        }
    }

    private mutating func narrower(_ first: Schema, _ second: Schema) -> Schema {
        if includes(second, first) { return second }
        if includes(first, second) { return first }
        switch (resolved(first).kind, resolved(second).kind) {
        case (.string, .string(_, let cases)) where !cases.isEmpty: return second
        case (.string(_, let cases), .string) where !cases.isEmpty: return first
        case (.string, .string), (.integer, .integer), (.number, .number), (.boolean, .boolean): return second
        default:
            found.append(
                Diagnostic(
                    second.location, "the property is declared twice in \"allOf\" with types that cannot be intersected"
                ))
            return first
        }
    }

    /// Whether `schema` is `part`, or an `allOf` that contains it.
    private func includes(_ schema: Schema, _ part: Schema) -> Bool {
        if case .reference(let id) = schema.kind, case .reference(let other) = part.kind, id == other { return true }
        guard case .allOf(let parts) = resolved(schema).kind else { return false }
        return parts.contains { includes($0, part) }
    }

    // MARK: Operations

    private mutating func operation(_ operation: Operation) -> OperationModel {
        let typeName = Names.type(operation.id)
        return OperationModel(
            name: Names.member(operation.id), typeName: typeName, method: operation.method, path: operation.path,
            parameters: operation.parameters.map { parameter($0, of: typeName) },
            body: operation.requestBody.map { type(of: $0, suggestedName: typeName + "Body") },
            output: type(of: operation.response, suggestedName: typeName + "Output"),
            documentation: operation.description, pointer: operation.pointer)
    }

    private mutating func parameter(_ parameter: Parameter, of operation: String) -> ParameterModel {
        let type = type(of: parameter.schema, suggestedName: operation + Names.type(parameter.name))
        check(parameter.extensions)
        switch (parameter.place, type) {
        case (.path, .string): break
        case (.query, .string), (.query, .int32), (.query, .int64), (.query, .enumeration), (.query, .array(.string)):
            break
        case (.path, _): found.append(Diagnostic(parameter.location, "a parameter in the path must be text"))
        case (.query, _):
            found.append(
                Diagnostic(
                    parameter.location,
                    "a parameter in the query must be text, an integer, an enumeration of text or an array of text"))
        }
        if parameter.place == .query, parameter.isRequired {
            found.append(Diagnostic(parameter.location, "a required parameter in the query is not supported"))
        }
        var defaultExpression: String?
        if parameter.schema.extensions["x-views"]?.bool == true, let value = parameter.schema.defaultValue?.text {
            defaultExpression = "." + Names.member(value)
        }
        return ParameterModel(
            name: parameter.name, swiftName: Names.member(parameter.name), type: type,
            isInPath: parameter.place == .path, isRequired: parameter.isRequired,
            defaultExpression: defaultExpression, constraints: constraints(parameter.schema),
            ignoresCase: parameter.schema.extensions["x-ignore-case"]?.bool ?? false,
            choosesView: parameter.schema.extensions["x-views"]?.bool ?? false,
            documentation: parameter.description)
    }
}
