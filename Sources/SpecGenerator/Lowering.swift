import SpecDocument
import YAML

/// Turns a loaded document into the declarations to render; collects every problem on the way.
///
/// Extensions that it understands: `x-swift-name` (a schema's type), `x-swift-member` (a property), `x-view` and `x-default-view`
/// (which view shows a property first), `x-views: true` (the enum of views), `x-fill-in: true` (a default to fill in),
/// `x-sensitive: true`, `x-ignore-case: true`.
struct Lowering {
    let document: SpecDocument
    var found: [Diagnostic] = []
    private var structures: [StructureModel] = []
    private var enumerations: [EnumerationModel] = []
    private var lowered: [SchemaID: TypeReference] = [:]
    private var typeNames: [String: SourceLocation] = [:]
    private var views: [String] = []

    private static let extensions: Set = [
        "x-swift-name", "x-swift-member", "x-view", "x-default-view", "x-views", "x-fill-in", "x-sensitive",
        "x-ignore-case",
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
        where flag("x-views", parameter.schema) {
            if case .string(_, let cases) = resolved(parameter.schema).kind { views = cases.compactMap(\.text) }
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
        let type = lower(
            schema, name: schema.extensions["x-swift-name"]?.text ?? suggestedName, schemaName: schemaName)
        checkBounds(schema, type)
        if let place = schema.extensions["x-swift-name"]?.location {
            switch (schema.kind, type) {
            case (.reference, _), (_, .string), (_, .int32), (_, .int64), (_, .int64Text), (_, .double), (_, .boolean),
                (_, .timestamp), (_, .map):
                found.append(
                    Diagnostic(
                        place, "x-swift-name has no effect here: no Swift type is made of this schema",
                        hint: "objects and enumerations have types; behind a $ref, name the schema it leads to"))
            default: break
            }
        }
        return type
    }

    private mutating func lower(_ schema: Schema, name: String, schemaName: String?) -> TypeReference {
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
                found.append(
                    Diagnostic(
                        items.location, "an array of arrays is not supported",
                        hint: "put the inner array into an object"))
            }
            return .array(element)
        case .map(let values):
            if type(of: values, suggestedName: name + "Value") != .string {
                found.append(
                    Diagnostic(
                        values.location, "only maps from text to text are supported",
                        hint: "an array of objects with a key can hold other values"))
            }
            return .map
        case .object, .allOf:
            return structure(name, schema, schemaName: schemaName)
        }
    }

    /// Extensions come from a dictionary: in the order of their names, so that messages are the same in each run.
    mutating func check(_ extensions: [String: YAMLNode]) {
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
            let value = node.text ?? ""
            let member = Names.enumerationCase(value)
            if !Names.isIdentifier(member) || models.contains(where: { $0.swiftName == member }) {
                let why =
                    Names.isIdentifier(member) ? "maps to a Swift name already in use: \(member)" : "has no Swift name"
                found.append(
                    Diagnostic(
                        node.location, "the enum value \"\(value)\" \(why)",
                        hint: "remove the enum with the overlay, so that the value is read as text"))
            }
            models.append(.init(swiftName: member, value: value))
        }
        enumerations.append(
            EnumerationModel(name: name, cases: models, documentation: schema.description, pointer: schema.pointer))
        return .enumeration(name)
    }

    /// A Swift type name belongs to one schema or operation, and to nothing that is there already.
    private mutating func claim(_ name: String, at location: SourceLocation, _ what: String = "schema") -> Bool {
        let hint =
            what == "schema"
            ? "give it another name with x-swift-name in the overlay"
            : "give a schema another name with x-swift-name, or the operation another operationId, in the overlay"
        if let first = typeNames[name] {
            if first != location {
                found.append(
                    Diagnostic(
                        location, "the Swift type name \(name) of this \(what) is already used at \(first)", hint: hint)
                )
            }
            return false
        }
        typeNames[name] = location
        if !Names.isIdentifier(name) {
            found.append(Diagnostic(location, "\"\(name)\" is no name of a Swift type", hint: hint))
        } else if ReservedNames.types.contains(name) {
            found.append(
                Diagnostic(location, "the Swift type name \(name) has another meaning in generated code", hint: hint))
        }
        return true
    }

    private mutating func structure(_ name: String, _ schema: Schema, schemaName: String?) -> TypeReference {
        guard claim(name, at: schema.location) else { return .structure(name) }
        let (merged, required) = flatten(schema)
        let defaultView = level(schema.extensions["x-default-view"]) ?? 0
        var properties: [PropertyModel] = []
        for property in merged {
            let model = self.property(property, of: name, required: required, defaultView: defaultView)
            let isTaken =
                properties.contains { $0.swiftName == model.swiftName }
                || ReservedNames.structureMembers.contains(model.swiftName)
            if isTaken || !Names.isIdentifier(model.swiftName) {
                let why = isTaken ? "maps to a Swift name already in use: \(model.swiftName)" : "has no Swift name"
                found.append(
                    Diagnostic(
                        property.location, "the property \"\(property.name)\" \(why)",
                        hint: "give it a name with x-swift-member in the overlay"))
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
        let isRequired = required.contains(property.name)
        return PropertyModel(
            jsonName: property.name,
            swiftName: schema.extensions["x-swift-member"]?.text ?? Names.member(property.name), type: type,
            isRequired: isRequired, isReadOnly: chain(schema).contains(where: \.isReadOnly),
            isSensitive: ([schema] + elements(of: schema)).contains { flag("x-sensitive", $0) },
            viewLevel: level(extended("x-view", schema)) ?? defaultView,
            filledIn: isRequired ? nil : filledIn(schema, type), constraints: constraints(schema, type),
            elementConstraints: elementConstraints(schema, type),
            documentation: schema.description ?? target.description, pointer: schema.pointer)
    }

    /// The enum case to fill in where a request leaves the property out.
    private mutating func filledIn(_ schema: Schema, _ type: TypeReference) -> String? {
        guard flag("x-fill-in", schema), let place = extended("x-fill-in", schema)?.location else { return nil }
        guard case .enumeration(let name) = type, let value = defaultCase(schema, type) else {
            found.append(
                Diagnostic(
                    place, "only an enumeration with a default can be filled in",
                    hint: "remove x-fill-in, or give the enumeration a default"))
            return nil
        }
        return name + "." + value
    }

    /// The Swift name of an enumeration's default.
    private mutating func defaultCase(_ schema: Schema, _ type: TypeReference) -> String? {
        guard case .enumeration(let name) = type,
            let node = chain(schema).compactMap(\.defaultValue).first
        else { return nil }
        let cases = enumerations.first { $0.name == name }?.cases ?? []
        guard let item = cases.first(where: { $0.value == node.text }) else {
            found.append(
                Diagnostic(
                    node.location, "the default \"\(node.text ?? "")\" is no value of the enumeration",
                    hint: "its values are \(cases.map(\.value).joined(separator: ", "))"))
            return nil
        }
        return item.swiftName
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

    // MARK: References

    /// A schema, the one that it refers to, and so on to the one that says what it is.
    func chain(_ schema: Schema) -> [Schema] {
        guard case .reference(let id) = schema.kind, let target = document.schema(id) else { return [schema] }
        return [schema] + chain(target)
    }

    func resolved(_ schema: Schema) -> Schema {
        guard case .reference(let id) = schema.kind, let target = document.schema(id) else { return schema }
        return resolved(target)
    }

    /// What an array or a map holds; nothing for others.
    func elements(of schema: Schema) -> [Schema] {
        switch resolved(schema).kind {
        case .array(let items): [items]
        case .map(let values): [values]
        default: []
        }
    }

    /// An extension of a schema, or of what it refers to.
    private func extended(_ name: String, _ schema: Schema) -> YAMLNode? {
        chain(schema).compactMap { $0.extensions[name] }.first
    }

    private func flag(_ name: String, _ schema: Schema) -> Bool { extended(name, schema)?.bool ?? false }

    // MARK: Operations

    private mutating func operation(_ operation: Operation) -> OperationModel {
        let typeName = Names.type(operation.id)
        _ = claim(typeName, at: operation.location, "operation")
        let parameters = operation.parameters.map { parameter($0, of: typeName) }
        for (index, parameter) in parameters.enumerated() {
            let isTaken = parameters[..<index].contains { $0.swiftName == parameter.swiftName }
            let isBody = operation.requestBody != nil && parameter.swiftName == "body"
            guard isTaken || isBody || !Names.isIdentifier(parameter.swiftName) else { continue }
            let why =
                isTaken || isBody ? "maps to a Swift name already in use: \(parameter.swiftName)" : "has no Swift name"
            found.append(
                Diagnostic(
                    operation.parameters[index].location, "the parameter \"\(parameter.name)\" \(why)",
                    hint: "give it a name with x-swift-member in the overlay"))
        }
        let output = type(of: operation.response, suggestedName: typeName + "Output")
        let body = operation.requestBody.map { type(of: $0, suggestedName: typeName + "Body") }
        for (schema, type, what) in [
            (operation.requestBody, body, "request body"), (operation.response, output, "response"),
        ] {
            guard let schema, let type else { continue }
            if case .structure = type { continue }
            found.append(
                Diagnostic(
                    schema.location, "a \(what) that is \(type.noun) is not supported",
                    hint: "only objects are; an object with the value as a property can grow later"))
        }
        return OperationModel(
            name: Names.member(operation.id), typeName: typeName, method: operation.method, path: operation.path,
            parameters: parameters, body: body, output: output, documentation: operation.description,
            pointer: operation.pointer)
    }

    private mutating func parameter(_ parameter: Parameter, of operation: String) -> ParameterModel {
        let schema = parameter.schema
        let type = type(of: schema, suggestedName: operation + Names.type(parameter.name))
        check(parameter.extensions)
        switch (parameter.place, type) {
        case (.path, .string): break
        case (.query, .string), (.query, .int32), (.query, .int64), (.query, .enumeration), (.query, .array(.string)):
            break
        case (.path, _):
            found.append(
                Diagnostic(
                    parameter.location, "a parameter in the path must be text",
                    hint: "make it {type: string} with the overlay; a pattern can narrow it"))
        case (.query, _):
            found.append(
                Diagnostic(
                    parameter.location,
                    "a parameter in the query must be text, an integer, an enumeration of text or an array of text",
                    hint: "\(type.noun) has no agreed form in a query"))
        }
        if parameter.place == .query, parameter.isRequired {
            found.append(
                Diagnostic(
                    parameter.location, "a required parameter in the query is not supported",
                    hint: "make it optional with the overlay, and refuse its absence in the handler"))
        }
        if parameter.place == .path, !parameter.isRequired {
            found.append(
                Diagnostic(
                    parameter.location, "a parameter in the path is always required", hint: "add required: true"))
        }
        let choosesView = flag("x-views", schema)
        return ParameterModel(
            name: parameter.name,
            swiftName: parameter.extensions["x-swift-member"]?.text ?? Names.member(parameter.name), type: type,
            isInPath: parameter.place == .path, isRequired: parameter.isRequired,
            defaultExpression: choosesView ? defaultCase(schema, type).map { type.swift + "." + $0 } : nil,
            constraints: constraints(schema, type), elementConstraints: elementConstraints(schema, type),
            ignoresCase: flag("x-ignore-case", schema), choosesView: choosesView,
            documentation: parameter.description)
    }
}
