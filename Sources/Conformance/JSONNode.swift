import Foundation
import TES
import YAML

/// Any JSON value: case files and answers are compared as these.
package indirect enum JSONNode: Sendable {
    /// A member of an object.
    package struct Member: Sendable {
        package var name: String
        package var value: JSONNode
    }

    case null
    case boolean(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONNode])
    case object([Member])
}

extension JSONNode {
    /// Parses JSON text; nil where it is none.
    init?(json bytes: [UInt8]) {
        guard let value = try? JSONDecoder().decode(Decoded.self, from: Data(bytes)) else { return nil }
        self = value.node
    }

    /// A YAML node's value; unquoted scalars may be numbers, booleans and null.
    init(_ yaml: YAMLNode) {
        switch yaml.content {
        case .sequence(let items): self = .array(items.map { JSONNode($0) })
        case .mapping(let entries):
            self = .object(entries.map { Member(name: $0.key.text ?? "", value: JSONNode($0.value)) })
        case .scalar(let text, _):
            if yaml.isNull {
                self = .null
            } else if let bool = yaml.bool {
                self = .boolean(bool)
            } else if let integer = yaml.integer {
                self = .integer(Int64(integer))
            } else if let number = yaml.number, number.isFinite {
                self = .number(number)
            } else {
                self = .string(text)
            }
        }
    }

    var text: String? { if case .string(let text) = self { text } else { nil } }
    var items: [JSONNode]? { if case .array(let items) = self { items } else { nil } }
    var members: [Member]? { if case .object(let members) = self { members } else { nil } }
    var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    subscript(name: String) -> JSONNode? { members?.first { $0.name == name }?.value }

    /// Characters, items or members; nil for other values.
    var count: Int? {
        switch self {
        case .string(let text): text.unicodeScalars.count
        case .array(let items): items.count
        case .object(let members): members.count
        default: nil
        }
    }

    /// A text as it is, everything else as JSON.
    var plainText: String { if case .string(let text) = self { text } else { json } }

    /// Compact JSON.
    var json: String {
        switch self {
        case .null: "null"
        case .boolean(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .number(let value): "\(value)"
        case .string(let text): "\"" + JSONNode.escaped(text) + "\""
        case .array(let items): "[" + items.map(\.json).joined(separator: ", ") + "]"
        case .object(let members):
            "{" + members.map { "\"\(JSONNode.escaped($0.name))\": \($0.value.json)" }.joined(separator: ", ") + "}"
        }
    }

    /// The inside of a JSON string.
    static func escaped(_ text: String) -> String {
        var writer = JSONWriter()
        writer.string(text)
        return String(writer.text.dropFirst().dropLast())
    }

    /// `string`, `array`, …: the names that case files use.
    var typeName: String {
        switch self {
        case .null: "null"
        case .boolean: "boolean"
        case .integer: "integer"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }

    func has(type: String) -> Bool {
        switch type {
        case "number": return double != nil
        case "integer": return typeName == "integer" || double.map { $0 == $0.rounded() } ?? false
        case "time": return text.flatMap(Formats.time) != nil
        case "uri": return text.map(Formats.isURI) ?? false
        default: return typeName == type
        }
    }
}

extension JSONNode: Equatable {
    /// Numbers by value, objects without regard to order.
    package static func == (left: JSONNode, right: JSONNode) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.boolean(let left), .boolean(let right)): left == right
        case (.string(let left), .string(let right)): Array(left.utf8) == Array(right.utf8)
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)):
            left.count == right.count
                && left.allSatisfy { member in right.first { $0.name == member.name }?.value == member.value }
        default: left.double != nil && left.double == right.double
        }
    }
}

/// Foundation's decoder reads the text; it keeps no order of members.
private struct Decoded: Decodable {
    var node: JSONNode

    private struct Name: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        if let object = try? decoder.container(keyedBy: Name.self) {
            var members: [JSONNode.Member] = []
            for key in object.allKeys.sorted(by: { $0.stringValue < $1.stringValue }) {
                members.append(
                    .init(name: key.stringValue, value: try object.decode(Decoded.self, forKey: key).node))
            }
            node = .object(members)
        } else if var array = try? decoder.unkeyedContainer() {
            var items: [JSONNode] = []
            while !array.isAtEnd { items.append(try array.decode(Decoded.self).node) }
            node = .array(items)
        } else {
            let value = try decoder.singleValueContainer()
            if value.decodeNil() {
                node = .null
            } else if let bool = try? value.decode(Bool.self) {
                node = .boolean(bool)
            } else if let integer = try? value.decode(Int64.self) {
                node = .integer(integer)
            } else if let number = try? value.decode(Double.self) {
                node = .number(number)
            } else {
                node = .string(try value.decode(String.self))
            }
        }
    }
}

/// Formats of texts that the specification names.
enum Formats {
    /// An RFC 3339 time as microseconds since 1970; nil where the text is none.
    static func time(_ text: String) -> Int64? { Timestamp(text)?.microseconds }

    /// RFC 3986 with a scheme.
    static func isURI(_ text: String) -> Bool {
        text.wholeMatch(of: /[A-Za-z][A-Za-z0-9+.\-]*:[A-Za-z0-9\-._~:\/?#\[\]@!$&'()*+,;=%]+/) != nil
    }
}
