/// A JSON value. The fake keeps every object of the API as one of these, so that it shares nothing with the client it tests.
package enum JSON: Sendable, Hashable {
    case null
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int) { self = .int(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(arrayLiteral elements: JSON...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(Dictionary(elements) { _, last in last })
    }
}

extension JSON {
    /// The text of a string, else nil.
    package var text: String? { if case .string(let value) = self { value } else { nil } }
    /// The value of an integer, else nil.
    package var int: Int? { if case .int(let value) = self { value } else { nil } }
    /// The value of a boolean, else nil.
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The elements of an array; of anything else none.
    package var items: [JSON] { if case .array(let value) = self { value } else { [] } }
    /// The members of an object; of anything else none.
    package var members: [String: JSON] { if case .object(let value) = self { value } else { [:] } }
    /// The members of an object whose values are text, such as labels.
    package var texts: [String: String] { members.compactMapValues(\.text) }

    /// A member of an object. Writing nil removes it; writing into something else than an object makes it one.
    package subscript(key: String) -> JSON? {
        get { if case .object(let members) = self { members[key] } else { nil } }
        set {
            var members = members
            self = .null
            members[key] = newValue
            self = .object(members)
        }
    }

    /// The members that are not nil.
    package static func of(_ members: [String: JSON?]) -> JSON { .object(members.compactMapValues(\.self)) }
}

extension JSON? {
    /// A member of an object. Writing makes the object where there is none; writing nil then makes nothing.
    package subscript(key: String) -> JSON? {
        get { self?[key] }
        set {
            var value = self ?? .object([:])
            if self == nil && newValue == nil { return }
            self = nil
            value[key] = newValue
            self = value
        }
    }

    /// The text of a string, else nil.
    package var text: String? { self?.text }
    /// The value of an integer, else nil.
    package var int: Int? { self?.int }
    /// The value of a boolean, else nil.
    package var bool: Bool? { self?.bool }
    /// The elements of an array; of anything else none.
    package var items: [JSON] { self?.items ?? [] }
    /// The members of an object; of anything else none.
    package var members: [String: JSON] { self?.members ?? [:] }
    /// The members of an object whose values are text, such as labels.
    package var texts: [String: String] { self?.texts ?? [:] }
}

extension JSON {
    /// The value as JSON in UTF-8, without white space, members in the order of their names.
    package var bytes: [UInt8] {
        var result: [UInt8] = []
        write(to: &result)
        return result
    }

    /// Appends the value as JSON.
    package func write(to result: inout [UInt8]) {
        switch self {
        case .null: result += "null".utf8
        case .bool(let value): result += (value ? "true" : "false").utf8
        case .int(let value): result += String(value).utf8
        case .double(let value): result += "\(value)".utf8
        case .string(let value): Self.write(value, to: &result)
        case .array(let values):
            result.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { result.append(UInt8(ascii: ",")) }
                value.write(to: &result)
            }
            result.append(UInt8(ascii: "]"))
        case .object(let members):
            result.append(UInt8(ascii: "{"))
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { result.append(UInt8(ascii: ",")) }
                Self.write(member.key, to: &result)
                result.append(UInt8(ascii: ":"))
                member.value.write(to: &result)
            }
            result.append(UInt8(ascii: "}"))
        }
    }

    private static let escaped = (0..<256).map { $0 < 0x20 || [0x22, 0x26, 0x3C, 0x3E, 0x5C].contains($0) }
    private static let digits = Array("0123456789abcdef".utf8)

    private static func write(_ text: String, to result: inout [UInt8]) {
        let quote: UInt8 = 0x22
        let backslash: UInt8 = 0x5C
        result.append(quote)
        // Most texts stand for themselves; a list of many objects spends its time here.
        if !text.utf8.contains(where: { escaped[Int($0)] }) {
            result += text.utf8
            result.append(quote)
            return
        }
        for byte in text.utf8 {
            switch byte {
            case quote, backslash: result += [backslash, byte]
            case 0x0A: result += "\\n".utf8
            case 0x0D: result += "\\r".utf8
            case 0x09: result += "\\t".utf8
            // `<`, `>` and `&` as Go writes them: https://pkg.go.dev/encoding/json#HTMLEscape
            case 0x3C, 0x3E, 0x26, 0..<0x20:
                result += "\\u00".utf8
                result.append(digits[Int(byte >> 4)])
                result.append(digits[Int(byte & 15)])
            default: result.append(byte)
            }
        }
        result.append(quote)
    }
}
