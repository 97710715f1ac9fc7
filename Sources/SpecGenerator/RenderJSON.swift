/// A direct reader and writer for each structure, beside `Codable`.
struct JSONRenderer {
    let access: String

    func render(_ contract: Contract) -> String {
        var source = Source(header: "JSON coding of \(contract.title) \(contract.version).")
        for structure in contract.structures {
            source.block("extension \(structure.name): JSONValue") { source in
                reader(structure, &source)
                source.line()
                writer(structure, &source)
            }
            source.line()
        }
        return source.text
    }

    private func reader(_ structure: StructureModel, _ source: inout Source) {
        source.block(
            "\(access) static func read(_ reader: inout JSONReader) throws(JSONSyntaxError) -> \(structure.name)?"
        ) { source in
            source.line("\(structure.properties.isEmpty ? "let" : "var") value = \(structure.name)()")
            source.block("let isObject = try reader.object", close: "}") { source in
                source.line("(reader: inout JSONReader, key: String) throws(JSONSyntaxError) in")
                guard !structure.properties.isEmpty else {
                    source.line("try reader.skip()")
                    return
                }
                source.block("switch key") { source in
                    for property in structure.properties {
                        source.line("case \(literal(property.jsonName)):")
                        source.indented { source in
                            if property.isReadOnly {
                                source.line("if reader.ignoresReadOnly { return try reader.skip() }")
                            }
                            source.line(
                                "if let member = try \(read(property.type)) { value.\(property.swiftName) = member }")
                        }
                    }
                    source.line("default: try reader.skip()")
                }
            }
            for property in structure.properties {
                guard let fill = property.filledIn else { continue }
                source.line(
                    "if reader.fillsIn, value.\(property.swiftName) == nil { value.\(property.swiftName) = \(fill) }")
            }
            source.line("return isObject ? value : nil")
        }
    }

    private func read(_ type: TypeReference) -> String {
        switch type {
        case .string: "reader.string()"
        case .int32: "reader.int32()"
        case .int64: "reader.int64()"
        case .int64Text: "reader.int64Text()"
        case .double: "reader.double()"
        case .boolean: "reader.boolean()"
        case .timestamp: "reader.timestamp()"
        case .structure(let name): "\(name).read(&reader)"
        case .enumeration(let name): "reader.enumeration(\(name).self)"
        case .map: "reader.map()"
        case .array(let element):
            "reader.array(or: \(placeholder(element)), { (reader: inout JSONReader) throws(JSONSyntaxError) in try \(read(element)) })"
        }
    }

    /// Stands for an element that could not be read.
    private func placeholder(_ type: TypeReference) -> String {
        switch type {
        case .string: "\"\""
        case .int32, .int64, .int64Text, .double: "0"
        case .boolean: "false"
        case .timestamp: "Timestamp(microseconds: 0)"
        case .structure(let name): "\(name)()"
        case .enumeration(let name): "\(name)(rawValue: \"\")"
        case .map: "[:]"
        case .array: "[]"
        }
    }

    private func writer(_ structure: StructureModel, _ source: inout Source) {
        source.block("\(access) func write(_ writer: inout JSONWriter)") { source in
            source.line("writer.beginObject()")
            for property in structure.properties {
                let name = property.swiftName
                let view = property.viewLevel > 0 ? "writer.viewLevel >= \(property.viewLevel)" : ""
                let present = property.isRequired ? "" : "let \(name)"
                let conditions = [view, present].filter { !$0.isEmpty }.joined(separator: ", ")
                let write = { (source: inout Source) in
                    source.line("writer.key(\(literal(property.jsonName)))")
                    self.write(property.type, name, &source)
                }
                if conditions.isEmpty { write(&source) } else { source.block("if \(conditions)", write) }
            }
            source.line("writer.endObject()")
        }
    }

    private func write(_ type: TypeReference, _ name: String, _ source: inout Source) {
        switch type {
        case .string: source.line("writer.string(\(name))")
        case .int32, .int64: source.line("writer.integer(Int64(\(name)))")
        case .int64Text: source.line("writer.integerText(\(name))")
        case .double: source.line("writer.double(\(name))")
        case .boolean: source.line("writer.boolean(\(name))")
        case .timestamp: source.line("writer.string(\(name).text)")
        case .structure: source.line("\(name).write(&writer)")
        case .enumeration: source.line("writer.string(\(name).rawValue)")
        case .map: source.line("writer.map(\(name))")
        case .array(let element):
            source.line("writer.beginArray()")
            source.block("for element in \(name)") { source in
                source.line("writer.element()")
                write(element, "element", &source)
            }
            source.line("writer.endArray()")
        }
    }
}
