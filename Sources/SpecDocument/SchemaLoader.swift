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
    private static let keywords: Set = [
        "type", "format", "enum", "properties", "required", "additionalProperties", "items", "allOf", "$ref",
        "readOnly", "default", "minItems", "minLength", "maxLength", "minimum", "maximum",
    ]

    init(files: [String: String]) { self.files = files }

    mutating func schema(_ node: YAMLNode, file: String, pointer: String) -> Schema {
        var schema = Schema(
            kind: .object(properties: [], required: []), location: node.location, pointer: pointer, isReadOnly: false,
            extensions: [:])
        guard let entries = node.entries else {
            found.append(Diagnostic(node.location, "a schema is a mapping, not \(node.kindName)"))
            return schema
        }
        for entry in entries {
            let name = entry.key.text ?? ""
            if name.hasPrefix("x-") {
                schema.extensions[name] = entry.value
            } else if !Self.ignored.contains(name), !Self.keywords.contains(name) {
                found.append(
                    Diagnostic(
                        entry.key.location, "the schema keyword \"\(name)\" is not supported",
                        hint: "remove it with the overlay, or teach the generator what it means"))
            }
        }
        schema.description = node["description"]?.text
        schema.isReadOnly = node["readOnly"]?.bool ?? false
        schema.defaultValue = node["default"]
        schema.minItems = integer(node, "minItems")
        schema.minLength = integer(node, "minLength")
        schema.maxLength = integer(node, "maxLength")
        schema.minimum = number(node, "minimum")
        schema.maximum = number(node, "maximum")
        schema.kind = kind(node, file: file, pointer: pointer)
        return schema
    }

    private mutating func integer(_ node: YAMLNode, _ key: String) -> Int? {
        guard let value = node[key] else { return nil }
        guard let integer = value.integer, integer >= 0 else {
            found.append(Diagnostic(value.location, "\"\(key)\" must be a whole number that is not negative"))
            return nil
        }
        return integer
    }

    private mutating func number(_ node: YAMLNode, _ key: String) -> Double? {
        guard let value = node[key] else { return nil }
        if value.number == nil { found.append(Diagnostic(value.location, "\"\(key)\" must be a number")) }
        return value.number
    }

    private mutating func kind(_ node: YAMLNode, file: String, pointer: String) -> Schema.Kind {
        let empty = Schema.Kind.object(properties: [], required: [])
        if let reference = node["$ref"] {
            guard let id = resolve(reference, file: file) else { return empty }
            references.append((id, reference.location))
            return .reference(id)
        }
        if let parts = node["allOf"] {
            guard let items = parts.items, !items.isEmpty else {
                found.append(Diagnostic(parts.location, "\"allOf\" must be a sequence of schemas"))
                return empty
            }
            var schemas: [Schema] = []
            for (index, item) in items.enumerated() {
                schemas.append(schema(item, file: file, pointer: "\(pointer)/allOf/\(index)"))
            }
            return .allOf(schemas)
        }
        guard let typeNode = node["type"], let type = typeNode.text else {
            found.append(Diagnostic(node.location, "a schema needs \"type\", \"$ref\" or \"allOf\""))
            return empty
        }
        let format = node["format"]?.text
        if let format, let formatNode = node["format"], Self.formats[type]?.contains(format) != true {
            found.append(
                Diagnostic(formatNode.location, "the format \"\(format)\" is not supported for the type \"\(type)\""))
        }
        if type != "string", let list = node["enum"] {
            found.append(Diagnostic(list.location, "\"enum\" is only supported for the type \"string\""))
        }
        switch type {
        case "object": return object(node, file: file, pointer: pointer)
        case "array":
            guard let items = node["items"] else {
                found.append(Diagnostic(node.location, "an array schema needs \"items\""))
                return empty
            }
            return .array(items: schema(items, file: file, pointer: pointer + "/items"))
        case "string":
            return .string(format: format, cases: cases(node))
        case "integer": return .integer(format: format)
        case "number": return .number(format: format)
        case "boolean": return .boolean
        default:
            found.append(Diagnostic(typeNode.location, "the type \"\(type)\" is not one of OpenAPI 3.0"))
            return empty
        }
    }

    private mutating func cases(_ node: YAMLNode) -> [YAMLNode] {
        guard let list = node["enum"] else { return [] }
        let items = list.items ?? []
        var seen: Set<String> = []
        for item in items {
            guard let text = item.text, !item.isNull else {
                found.append(Diagnostic(item.location, "an enum value of a string must be text"))
                continue
            }
            if !seen.insert(text).inserted {
                found.append(Diagnostic(item.location, "the enum value \"\(text)\" appears twice"))
            }
        }
        if items.isEmpty { found.append(Diagnostic(list.location, "\"enum\" must be a sequence of values")) }
        return items
    }

    private mutating func object(_ node: YAMLNode, file: String, pointer: String) -> Schema.Kind {
        if let values = node["additionalProperties"], values.bool == nil {
            if let properties = node["properties"] {
                found.append(
                    Diagnostic(
                        properties.location,
                        "\"properties\" beside a schema in \"additionalProperties\" is not supported"))
            }
            return .map(values: schema(values, file: file, pointer: pointer + "/additionalProperties"))
        }
        var properties: [Schema.Property] = []
        for entry in node["properties"]?.entries ?? [] {
            let name = entry.key.text ?? ""
            let schema = schema(entry.value, file: file, pointer: pointer + "/properties/" + escape(name))
            properties.append(.init(name: name, schema: schema, location: entry.key.location))
        }
        let required = node["required"]?.items ?? []
        for item in required where !properties.contains(where: { $0.name == item.text }) {
            found.append(
                Diagnostic(item.location, "\"\(item.text ?? "")\" is required but is no property of this object"))
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
