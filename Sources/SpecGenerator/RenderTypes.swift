/// Structures, enumerations and their `Codable`.
///
/// What another package may take is `nonisolated`: its target may belong to the main actor
/// (https://github.com/swiftlang/swift-evolution/blob/main/proposals/0466-control-default-actor-isolation.md).
struct TypeRenderer {
    let access: String

    func render(_ contract: Contract) -> String {
        var source = Source(header: "Types of \(contract.title) \(contract.version).")
        for enumeration in contract.enumerations {
            render(enumeration, &source)
            source.line()
        }
        for structure in contract.structures {
            render(structure, &source)
            source.line()
        }
        return source.text
    }

    private func render(_ enumeration: EnumerationModel, _ source: inout Source) {
        source.documentation(enumeration.documentation, pointer: enumeration.pointer)
        source.block("nonisolated \(access) enum \(enumeration.name): JSONEnumeration") { source in
            for item in enumeration.cases { source.line("case \(item.swiftName)") }
            source.line("/// A value that this version of the specification does not know; only clients keep one.")
            source.line("case unrecognized(String)")
            source.line()
            source.line("/// The values of the specification, in its order.")
            source.line(
                "\(access) static let allCases: [\(enumeration.name)] = [\(enumeration.cases.map { "." + $0.swiftName }.joined(separator: ", "))]"
            )
            source.line()
            source.block("\(access) init(rawValue: String)") { source in
                source.block("self = switch rawValue") { source in
                    for item in enumeration.cases { source.line("case \(literal(item.value)): .\(item.swiftName)") }
                    source.line("default: .unrecognized(rawValue)")
                }
            }
            source.line()
            source.block("\(access) var rawValue: String") { source in
                source.block("switch self") { source in
                    for item in enumeration.cases { source.line("case .\(item.swiftName): \(literal(item.value))") }
                    source.line("case .unrecognized(let value): value")
                }
            }
        }
    }

    private func render(_ structure: StructureModel, _ source: inout Source) {
        source.documentation(structure.documentation, pointer: structure.pointer)
        source.block("nonisolated \(access) struct \(structure.name): Codable, Hashable, Sendable") { source in
            for property in structure.properties {
                source.documentation(property.documentation, pointer: property.pointer)
                source.line("\(access) var \(property.swiftName): \(property.declaredType)")
            }
            source.line()
            let arguments = structure.properties.map {
                "\($0.swiftName): \($0.declaredType) = \($0.isRequired ? $0.type.emptyValue : "nil")"
            }
            if arguments.isEmpty {
                source.line("\(access) init() {}")
            } else {
                source.line("\(access) init(")
                source.indented { source in
                    for (index, argument) in arguments.enumerated() {
                        source.line(argument + (index == arguments.count - 1 ? "" : ","))
                    }
                }
                source.block(")") { source in
                    for property in structure.properties {
                        source.line("self.\(property.swiftName) = \(property.swiftName)")
                    }
                }
            }
            renderCodable(structure, &source)
        }
        if structure.properties.contains(where: \.isSensitive) { renderDescription(structure, &source) }
    }

    private func renderCodable(_ structure: StructureModel, _ source: inout Source) {
        guard !structure.properties.isEmpty else { return }
        source.line()
        source.block("\(access) enum CodingKeys: String, CodingKey") { source in
            for property in structure.properties {
                source.line("case \(property.swiftName) = \(literal(property.jsonName))")
            }
        }
        source.line()
        source.block("\(access) init(from decoder: any Decoder) throws") { source in
            source.line("let container = try decoder.container(keyedBy: CodingKeys.self)")
            for property in structure.properties {
                let key = ".\(property.swiftName)"
                var value: String
                switch property.type {
                case .int64Text: value = "try container.decodeIfPresent(Int64Text.self, forKey: \(key))?.value"
                case .array(.int64Text):
                    value = "try container.decodeIfPresent([Int64Text].self, forKey: \(key))?.map(\\.value)"
                default:
                    value = "try container.decodeIfPresent(\(property.type.swift).self, forKey: \(key))"
                }
                if property.isRequired { value = "(\(value)) ?? \(property.type.emptyValue)" }
                source.line("self.\(property.swiftName) = \(value)")
            }
        }
        source.line()
        source.block("\(access) func encode(to encoder: any Encoder) throws") { source in
            source.line("var container = encoder.container(keyedBy: CodingKeys.self)")
            for property in structure.properties {
                let name = property.swiftName
                switch (property.type, property.isRequired) {
                case (.int64Text, true):
                    source.line("try container.encode(Int64Text(value: self.\(name)), forKey: .\(name))")
                case (.int64Text, false):
                    source.line(
                        "try container.encodeIfPresent(self.\(name).map(Int64Text.init(value:)), forKey: .\(name))")
                case (.array(.int64Text), true):
                    source.line("try container.encode(self.\(name).map(Int64Text.init(value:)), forKey: .\(name))")
                case (.array(.int64Text), false):
                    source.line(
                        "try container.encodeIfPresent(self.\(name)?.map(Int64Text.init(value:)), forKey: .\(name))")
                case (_, true): source.line("try container.encode(self.\(name), forKey: .\(name))")
                case (_, false): source.line("try container.encodeIfPresent(self.\(name), forKey: .\(name))")
                }
            }
        }
    }

    /// Values of sensitive properties may hold credentials: a description says only that there is one.
    private func renderDescription(_ structure: StructureModel, _ source: inout Source) {
        source.line()
        source.block("nonisolated extension \(structure.name): CustomDebugStringConvertible") { source in
            source.line("/// All properties; sensitive values are left out.")
            source.block("\(access) var debugDescription: String") { source in
                source.line("var parts: [String] = []")
                for property in structure.properties {
                    let name = "self.\(property.swiftName)"
                    let label = literal(property.jsonName).dropFirst().dropLast()
                    let value = property.isRequired ? name : "value"
                    let text = property.isSensitive ? "<redacted>" : "\\(\(value))"
                    let append = "parts.append(\"\(label): \(text)\")"
                    if property.isRequired {
                        source.line(append)
                    } else if property.isSensitive {
                        source.line("if \(name) != nil { \(append) }")
                    } else {
                        source.line("if let value = \(name) { \(append) }")
                    }
                }
                source.line("return \"\(structure.name)(\" + parts.joined(separator: \", \") + \")\"")
            }
        }
    }
}
