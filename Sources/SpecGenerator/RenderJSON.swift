/// A direct reader and writer for each structure, beside `Codable`.
struct JSONRenderer {
    let access: String

    func render(_ contract: Contract) -> String {
        var source = Source(header: "JSON coding of \(contract.title) \(contract.version).")
        for structure in contract.structures {
            source.block("nonisolated extension \(structure.name): JSONValue") { source in
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
            source.line("guard try reader.beginObject() else { return nil }")
            source.line("\(structure.properties.isEmpty ? "let" : "var") value = \(structure.name)()")
            let words = max(1, (structure.properties.count + Self.marksInAWord - 1) / Self.marksInAWord)
            for word in 0..<words { source.line("var \(marks("seen", word)): UInt64 = 0") }
            source.line("var others: Set<String> = []")
            let required = structure.properties.enumerated().filter { $0.element.isRequired && !$0.element.isReadOnly }
            if !required.isEmpty { for word in 0..<words { source.line("var \(marks("given", word)): UInt64 = 0") } }
            source.block("while let key = try reader.nextKey()") { source in
                places(structure, &source)
                beginValue(words, &source)
                if !required.isEmpty { give(words, &source) }
                source.line("switch place {")
                for (index, property) in structure.properties.enumerated() {
                    source.line("case \(index + 1):")
                    source.indented { source in
                        let read =
                            "if let member = try \(read(property.type)) { value.\(property.swiftName) = member }"
                        source.line(
                            property.isReadOnly ? "if reader.ignoresReadOnly { try reader.skip() } else \(read)" : read)
                    }
                }
                source.line("default: try reader.skip()")
                source.line("}")
            }
            for (index, property) in required {
                source.line(
                    "if \(marks("given", index / Self.marksInAWord)) & \(UInt64(1) << UInt64(index % Self.marksInAWord + 1)) == 0 { reader.missing(\(literal(property.jsonName))) }"
                )
            }
            for property in structure.properties {
                guard let fill = property.filledIn else { continue }
                source.line(
                    "if reader.fillsIn, value.\(property.swiftName) == nil { value.\(property.swiftName) = \(fill) }")
            }
            source.line("return value")
        }
    }

    /// One bit of each word of marks is for names that are not known.
    private static let marksInAWord = 63

    private func marks(_ name: String, _ word: Int) -> String { word == 0 ? name : "\(name)\(word + 1)" }

    /// Objects with more properties than a word has marks take several words.
    private func beginValue(_ words: Int, _ source: inout Source) {
        guard words > 1 else {
            source.line("guard try reader.beginValue(key, place: place, &seen, &others) else { continue }")
            return
        }
        source.line("let isPresent: Bool")
        source.line("switch (place - 1) / \(Self.marksInAWord) {")
        for word in (0..<words).reversed() {
            let place = word == 0 ? "place" : "place - \(word * Self.marksInAWord)"
            source.line(
                "\(word == 0 ? "default" : "case \(word)"): isPresent = try reader.beginValue(key, place: \(place), &\(marks("seen", word)), &others)"
            )
        }
        source.line("}")
        source.line("guard isPresent else { continue }")
    }

    private func give(_ words: Int, _ source: inout Source) {
        guard words > 1 else {
            source.line("given |= 1 << UInt64(place)")
            return
        }
        source.line("switch (place - 1) / \(Self.marksInAWord) {")
        for word in (0..<words).reversed() {
            source.line(
                "\(word == 0 ? "default" : "case \(word)"): \(marks("given", word)) |= 1 << UInt64(place - \(word * Self.marksInAWord))"
            )
        }
        source.line("}")
    }

    /// Which member a key names: by its length and first eight bytes, compared whole only where that leaves a doubt.
    private func places(_ structure: StructureModel, _ source: inout Source) {
        guard !structure.properties.isEmpty else {
            source.line("let place = 0")
            return
        }
        source.line("let place: Int")
        source.line("switch (key.low, key.count) {")
        for (index, property) in structure.properties.enumerated() {
            let bytes = Array(property.jsonName.utf8)
            let low = bytes.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let whole = bytes.count > 8 ? " where reader.matches(key, \(literal(property.jsonName)))" : ""
            source.line(
                "case (0x\(String(low, radix: 16)), \(bytes.count))\(whole): place = \(index + 1)  // \(property.jsonName)"
            )
        }
        source.line("default: place = 0")
        source.line("}")
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

    /// The inside of a JSON string.
    private func escaped(_ name: String) -> String { String(quotedJSON(name).dropFirst().dropLast()) }

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
                // Behind `self`, no name is a parameter of the function or a word like await.
                let name = "self.\(property.swiftName)"
                let view = property.viewLevel > 0 ? "writer.viewLevel >= \(property.viewLevel)" : ""
                let present = property.isRequired ? "" : "let value = \(name)"
                let conditions = [view, present].filter { !$0.isEmpty }.joined(separator: ", ")
                let write = { (source: inout Source) in
                    source.line("writer.member(\(literal(",\"\(escaped(property.jsonName))\":")))")
                    self.write(property.type, property.isRequired ? name : "value", &source)
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
        case .timestamp: source.line("writer.timestamp(\(name))")
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
