/// A parameter in PostgreSQL's text format; nil is NULL.
package struct PostgresValue: Hashable, Sendable {
    let text: String?

    package static let null = PostgresValue(text: nil)
    package static func text(_ value: String?) -> PostgresValue { PostgresValue(text: value) }
    package static func integer(_ value: Int64?) -> PostgresValue { PostgresValue(text: value.map { String($0) }) }
    package static func double(_ value: Double?) -> PostgresValue { PostgresValue(text: value.map { "\($0)" }) }
    package static func boolean(_ value: Bool?) -> PostgresValue { PostgresValue(text: value.map { $0 ? "t" : "f" }) }

    /// `text[]`, `uuid[]`: PostgreSQL manual, "Array Input and Output Syntax".
    package static func textArray(_ values: [String]?) -> PostgresValue {
        guard let values else { return .null }
        var text = "{"
        for (index, value) in values.enumerated() {
            if index > 0 { text += "," }
            text += "\""
            for character in value.unicodeScalars {
                if character == "\"" || character == "\\" { text += "\\" }
                text.unicodeScalars.append(character)
            }
            text += "\""
        }
        return PostgresValue(text: text + "}")
    }

    /// A map from text to text as `jsonb`.
    package static func map(_ map: [String: String]?) -> PostgresValue {
        guard let map else { return .null }
        let members = map.sorted { $0.key < $1.key }.map { quoted($0.key) + ":" + quoted($0.value) }
        return PostgresValue(text: "{" + members.joined(separator: ",") + "}")
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 32:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// One statement with its parameters `$1`, `$2`…
package struct Statement: Hashable, Sendable {
    package var sql: String
    package var parameters: [PostgresValue]

    package init(_ sql: String, _ parameters: [PostgresValue] = []) {
        self.sql = sql
        self.parameters = parameters
    }
}

/// The rows that one statement gave, and how many it touched.
package struct PostgresResult: Sendable {
    package var rows: [RowReader]
    package var affectedRows: Int
}

/// Reads one row's columns from left to right.
package struct RowReader: Sendable {
    private let cells: [String?]
    private var index = 0

    init(cells: [String?]) { self.cells = cells }

    private mutating func next() throws(PostgresError) -> String? {
        guard index < cells.count else { throw .decoding("a row has only \(cells.count) columns") }
        defer { index += 1 }
        return cells[index]
    }

    private mutating func value<Value>(_ read: (String) -> Value?, _ type: String) throws(PostgresError) -> Value? {
        guard let text = try next() else { return nil }
        guard let value = read(text) else { throw .decoding("column \(index) is no \(type)") }
        return value
    }

    package mutating func text() throws(PostgresError) -> String? { try next() }
    package mutating func int32() throws(PostgresError) -> Int32? { try value({ Int32($0) }, "integer") }
    package mutating func int64() throws(PostgresError) -> Int64? { try value({ Int64($0) }, "bigint") }
    package mutating func double() throws(PostgresError) -> Double? { try value({ Double($0) }, "double precision") }
    package mutating func boolean() throws(PostgresError) -> Bool? {
        try value({ $0 == "t" ? true : $0 == "f" ? false : nil }, "boolean")
    }

    /// The next columns as they are; a key is never NULL.
    package mutating func keys(_ count: Int) throws(PostgresError) -> [String] {
        var keys: [String] = []
        for _ in 0..<count {
            guard let key = try next() else { throw .decoding("column \(index) is a key and NULL") }
            keys.append(key)
        }
        return keys
    }

    package mutating func textArray() throws(PostgresError) -> [String]? {
        try value(parseArray, "one-dimensional array")
    }

    package mutating func map() throws(PostgresError) -> [String: String]? {
        try value(parseMap, "map from text to text")
    }
}

private func parseArray(_ text: String) -> [String]? {
    var rest = text.unicodeScalars.makeIterator()
    guard rest.next() == "{" else { return nil }
    var items: [String] = []
    var item = String.UnicodeScalarView()
    var isQuoted = false
    var hasItem = false
    var wasQuoted = false
    while let scalar = rest.next() {
        switch scalar {
        case "\\":
            guard let escaped = rest.next() else { return nil }
            item.append(escaped)
            hasItem = true
        case "\"":
            isQuoted.toggle()
            hasItem = true
            wasQuoted = true
        case "," where !isQuoted, "}" where !isQuoted:
            // Without quotes it is the NULL that no list of texts can hold.
            if hasItem, !wasQuoted, String(item) == "NULL" { return nil }
            if hasItem { items.append(String(item)) }
            item = String.UnicodeScalarView()
            hasItem = false
            wasQuoted = false
            if scalar == "}" { return items }
        case "{" where !isQuoted: return nil
        default:
            item.append(scalar)
            hasItem = true
        }
    }
    return nil
}

/// `jsonb` output of a flat map: `{"a": "b"}`.
private func parseMap(_ text: String) -> [String: String]? {
    var rest = text.unicodeScalars[...]
    func skipSpace() { while let first = rest.first, first == " " || first == "\n" { rest.removeFirst() } }
    func quoted() -> String? {
        skipSpace()
        guard rest.popFirst() == "\"" else { return nil }
        var result = String.UnicodeScalarView()
        var units: [UInt16] = []
        func flush() {
            result.append(contentsOf: String(decoding: units, as: UTF16.self).unicodeScalars)
            units = []
        }
        while let scalar = rest.popFirst() {
            if scalar == "\"" {
                flush()
                return String(result)
            }
            guard scalar == "\\" else {
                if !units.isEmpty { flush() }
                result.append(scalar)
                continue
            }
            guard let escape = rest.popFirst() else { return nil }
            if escape == "u" {
                let digits = rest.prefix(4)
                guard digits.count == 4, let unit = UInt16(String(digits), radix: 16) else { return nil }
                rest.removeFirst(4)
                units.append(unit)
                continue
            }
            if !units.isEmpty { flush() }
            let plain: [Unicode.Scalar: Unicode.Scalar] = ["b": "\u{8}", "f": "\u{C}", "n": "\n", "r": "\r", "t": "\t"]
            result.append(plain[escape] ?? escape)
        }
        return nil
    }
    skipSpace()
    guard rest.popFirst() == "{" else { return nil }
    var map: [String: String] = [:]
    skipSpace()
    if rest.first == "}" { return map }
    while true {
        guard let key = quoted() else { return nil }
        skipSpace()
        guard rest.popFirst() == ":", let value = quoted() else { return nil }
        map[key] = value
        skipSpace()
        guard let separator = rest.popFirst() else { return nil }
        if separator == "}" { return map }
        if separator != "," { return nil }
    }
}
