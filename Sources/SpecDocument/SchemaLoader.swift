import YAML

/// Reads schema objects; collects what is wrong instead of stopping at the first.
struct SchemaLoader {
    /// Files that hold what an absolute `$ref` names: URL without fragment → file name.
    let files: [String: String]
    /// References met on the way, to be followed by the document loader.
    var references: [(id: SchemaID, location: SourceLocation)] = []
    var found: [Diagnostic] = []

    private static let ignored: Set = [
        "description", "title", "example", "examples", "externalDocs", "nullable", "deprecated",
    ]
    private static let formats: [String: Set<String>] = [
        "string": ["date-time", "uri", "int64"], "integer": ["int32", "int64"], "number": ["double", "float"],
        "boolean": ["boolean"],
    ]
    private static let bounds: Set = [
        "minItems", "maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum",
    ]
    /// Keywords that say what a schema is, and the types that each one belongs to.
    private static let shapes: [String: Set<String>] = [
        "properties": ["object"], "required": ["object"], "additionalProperties": ["object"], "items": ["array"],
        "enum": ["string"],
    ]
    private static let keywords = bounds.union(shapes.keys).union([
        "type", "format", "allOf", "$ref", "readOnly", "default",
    ])
    private static let removal = "remove it with the overlay, or teach the generator what it means"

    init(files: [String: String]) { self.files = files }

    /// - Parameter isPart: whether it is a part of an `allOf`, whose `required` may name properties of other parts.
    mutating func schema(_ node: YAMLNode, file: String, pointer: String, isPart: Bool = false) -> Schema {
        var schema = Schema(
            kind: .object(properties: [], required: []), location: node.location, pointer: pointer, isReadOnly: false,
            extensions: [:])
        guard let entries = node.entries else {
            found.append(
                Diagnostic(
                    node.location, "a schema is a mapping, not \(node.kindName)",
                    hint: "write {type: string}, or a $ref to another schema"))
            return schema
        }
        for entry in entries {
            let name = entry.key.text ?? ""
            if name.hasPrefix("x-") {
                schema.extensions[name] = entry.value
            } else if Self.bounds.contains(name) {
                schema.boundLocations[name] = entry.key.location
            } else if !Self.ignored.contains(name), !Self.keywords.contains(name) {
                found.append(
                    Diagnostic(
                        entry.key.location, "the schema keyword \"\(name)\" is not supported", hint: Self.removal))
            }
        }
        schema.description = node["description"]?.text
        schema.isReadOnly = boolean(node, "readOnly")
        schema.defaultValue = node["default"]
        schema.minItems = integer(node, "minItems")
        schema.maxItems = integer(node, "maxItems")
        schema.minLength = integer(node, "minLength")
        schema.maxLength = integer(node, "maxLength")
        schema.pattern = pattern(node)
        schema.minimum = number(node, "minimum")
        schema.maximum = number(node, "maximum")
        schema.kind = kind(node, file: file, pointer: pointer, isPart: isPart)
        return schema
    }

    private mutating func boolean(_ node: YAMLNode, _ key: String) -> Bool {
        guard let value = node[key] else { return false }
        if value.bool == nil {
            found.append(
                Diagnostic(value.location, "\"\(key)\" must be true or false", hint: "write \(key): true"))
        }
        return value.bool ?? false
    }

    private mutating func integer(_ node: YAMLNode, _ key: String) -> Int? {
        guard let value = node[key] else { return nil }
        guard let integer = value.integer, integer >= 0 else {
            found.append(
                Diagnostic(
                    value.location, "\"\(key)\" must be a whole number that is not negative",
                    hint: "write \(key): 1"))
            return nil
        }
        return integer
    }

    private mutating func number(_ node: YAMLNode, _ key: String) -> Double? {
        guard let value = node[key] else { return nil }
        guard let number = value.number, number.isFinite else {
            found.append(
                Diagnostic(value.location, "\"\(key)\" must be a number", hint: "write \(key): 1, without quotes"))
            return nil
        }
        return number
    }

    private mutating func pattern(_ node: YAMLNode) -> String? {
        guard let value = node["pattern"] else { return nil }
        if value.text == nil {
            found.append(
                Diagnostic(
                    value.location, "\"pattern\" must be text",
                    hint: "write it in quotation marks: pattern: '^[a-z]+$'"))
        }
        return value.text
    }

    private mutating func kind(_ node: YAMLNode, file: String, pointer: String, isPart: Bool) -> Schema.Kind {
        let empty = Schema.Kind.object(properties: [], required: [])
        if let reference = node["$ref"] {
            for entry in node.entries ?? [] {
                let name = entry.key.text ?? ""
                guard Self.shapes[name] != nil || ["type", "format", "allOf"].contains(name) else { continue }
                found.append(
                    Diagnostic(
                        entry.key.location, "\"\(name)\" beside \"$ref\" has no effect in OpenAPI 3.0",
                        hint: "remove one of them, or join both with \"allOf\""))
            }
            guard let id = resolve(reference, file: file) else { return empty }
            references.append((id, reference.location))
            return .reference(id)
        }
        if let parts = node["allOf"] { return allOf(parts, of: node, file: file, pointer: pointer) }
        guard let typeNode = node["type"], let type = typeNode.text else {
            found.append(
                Diagnostic(
                    node.location, "a schema needs \"type\", \"$ref\" or \"allOf\"",
                    hint: "add one of them with the overlay"))
            return empty
        }
        checkFormat(node, type)
        for entry in node.entries ?? [] {
            guard let types = Self.shapes[entry.key.text ?? ""], !types.contains(type) else { continue }
            found.append(
                Diagnostic(
                    entry.key.location,
                    "\"\(entry.key.text ?? "")\" is only supported for the type \"\(types.sorted().joined())\"",
                    hint: Self.removal))
        }
        let format = node["format"]?.text
        switch type {
        case "object": return object(node, file: file, pointer: pointer, isPart: isPart)
        case "array":
            guard let items = node["items"] else {
                found.append(
                    Diagnostic(node.location, "an array schema needs \"items\"", hint: "say what its elements are"))
                return empty
            }
            return .array(items: schema(items, file: file, pointer: pointer + "/items"))
        case "string":
            return .string(format: format, cases: cases(node))
        case "integer": return .integer(format: format)
        case "number": return .number(format: format)
        case "boolean": return .boolean
        default:
            found.append(
                Diagnostic(
                    typeNode.location, "the type \"\(type)\" is not one of OpenAPI 3.0",
                    hint: "its types are object, array, string, integer, number and boolean"))
            return empty
        }
    }

    private mutating func checkFormat(_ node: YAMLNode, _ type: String) {
        guard let formatNode = node["format"] else { return }
        let format = formatNode.text ?? ""
        if Self.formats[type]?.contains(format) != true {
            let known = Self.formats[type]?.sorted().joined(separator: ", ") ?? "none"
            found.append(
                Diagnostic(
                    formatNode.location, "the format \"\(format)\" is not supported for the type \"\(type)\"",
                    hint: "supported are: \(known); \(Self.removal)"))
        } else if node["enum"] != nil {
            found.append(
                Diagnostic(
                    formatNode.location, "\"format\" beside \"enum\" is not supported",
                    hint: "an enumeration is text: remove the format with the overlay"))
        }
    }

    /// The parts, and as one more what stands beside them.
    private mutating func allOf(
        _ parts: YAMLNode, of node: YAMLNode, file: String, pointer: String
    ) -> Schema.Kind {
        guard let items = parts.items, !items.isEmpty else {
            found.append(
                Diagnostic(
                    parts.location, "\"allOf\" must be a sequence of schemas", hint: "write allOf: [{$ref: …}, …]"))
            return .object(properties: [], required: [])
        }
        var schemas: [Schema] = []
        for (index, item) in items.enumerated() {
            schemas.append(schema(item, file: file, pointer: "\(pointer)/allOf/\(index)", isPart: true))
        }
        for entry in node.entries ?? [] {
            let name = entry.key.text ?? ""
            let isObjectType = name == "type" && entry.value.text == "object"
            guard ["items", "enum", "format", "additionalProperties", "type"].contains(name), !isObjectType else {
                continue
            }
            found.append(
                Diagnostic(
                    entry.key.location, "\"\(name)\" beside \"allOf\" is not supported",
                    hint: "only objects are joined: \"properties\" and \"required\" may stand beside \"allOf\""))
        }
        if node["properties"] != nil || node["required"] != nil {
            schemas.append(
                Schema(
                    kind: object(node, file: file, pointer: pointer, isPart: true), location: node.location,
                    pointer: pointer, isReadOnly: false, extensions: [:]))
        }
        return .allOf(schemas)
    }

    private mutating func cases(_ node: YAMLNode) -> [YAMLNode] {
        guard let list = node["enum"] else { return [] }
        let items = list.items ?? []
        var seen: Set<String> = []
        for item in items {
            guard let text = item.text, !item.isNull else {
                found.append(
                    Diagnostic(
                        item.location, "an enum value of a string must be text", hint: "write it in quotation marks"))
                continue
            }
            if !seen.insert(text).inserted {
                found.append(
                    Diagnostic(item.location, "the enum value \"\(text)\" appears twice", hint: "remove one of them"))
            }
        }
        if items.isEmpty {
            found.append(
                Diagnostic(list.location, "\"enum\" must be a sequence of values", hint: "write enum: [A, B]"))
        }
        return items
    }

    private mutating func object(_ node: YAMLNode, file: String, pointer: String, isPart: Bool) -> Schema.Kind {
        if let values = node["additionalProperties"], values.bool != false {
            if let properties = node["properties"] {
                found.append(
                    Diagnostic(
                        properties.location,
                        "\"properties\" beside a schema in \"additionalProperties\" is not supported",
                        hint: "remove one of them with the overlay"))
            }
            return .map(values: schema(values, file: file, pointer: pointer + "/additionalProperties"))
        }
        var properties: [Schema.Property] = []
        for entry in node["properties"]?.entries ?? [] {
            let name = entry.key.text ?? ""
            let schema = schema(entry.value, file: file, pointer: pointer + "/properties/" + escape(name))
            properties.append(.init(name: name, schema: schema, location: entry.key.location))
        }
        if let list = node["required"], list.items == nil {
            found.append(
                Diagnostic(
                    list.location, "\"required\" of an object must be a sequence of names",
                    hint: "write required: [id] beside \"properties\""))
        }
        let required = node["required"]?.items ?? []
        for item in required where !isPart && !properties.contains(where: { $0.name == item.text }) {
            found.append(
                Diagnostic(
                    item.location, "\"\(item.text ?? "")\" is required but is no property of this object",
                    hint: "add the property, or take the name from \"required\""))
        }
        return .object(properties: properties, required: required)
    }

    /// `#/components/schemas/X`, or the same behind a URL or file name that the table knows.
    mutating func resolve(_ reference: YAMLNode, file: String) -> SchemaID? {
        let text = reference.text ?? ""
        let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let prefix = "/components/schemas/"
        guard parts.count == 2, parts[1].hasPrefix(prefix) else {
            found.append(
                Diagnostic(
                    reference.location, "the reference \"\(text)\" is not supported",
                    hint: "a schema's reference ends in #/components/schemas/NAME"))
            return nil
        }
        let name = String(parts[1].dropFirst(prefix.count))
        if parts[0].isEmpty { return SchemaID(file: file, name: name) }
        guard let target = files[String(parts[0])] else {
            found.append(
                Diagnostic(
                    reference.location, "the document \(parts[0]) is not in the table of references",
                    hint: "nothing is fetched: give the file with --reference URL=FILE, or in tes-generate.json"))
            return nil
        }
        return SchemaID(file: target, name: name)
    }
}

/// A name as a segment of a JSON pointer (RFC 6901).
func escape(_ name: String) -> String {
    var result = ""
    for character in name {
        switch character {
        case "~": result += "~0"
        case "/": result += "~1"
        default: result.append(character)
        }
    }
    return result
}
