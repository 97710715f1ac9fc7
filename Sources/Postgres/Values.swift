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
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        for (index, value) in values.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            appendQuoted(value, to: &bytes)
        }
        bytes.append(UInt8(ascii: "}"))
        return PostgresValue(text: String(decoding: bytes, as: UTF8.self))
    }

    /// A map from text to text as `jsonb`.
    package static func map(_ map: [String: String]?) -> PostgresValue {
        guard let map else { return .null }
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        for (index, member) in map.sorted(by: { $0.key < $1.key }).enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            appendQuoted(member.key, to: &bytes, escapesControls: true)
            bytes.append(UInt8(ascii: ":"))
            appendQuoted(member.value, to: &bytes, escapesControls: true)
        }
        bytes.append(UInt8(ascii: "}"))
        return PostgresValue(text: String(decoding: bytes, as: UTF8.self))
    }

    /// - Parameter escapesControls: as JSON wants it; an array takes control characters as they are.
    private static func appendQuoted(_ text: String, to bytes: inout [UInt8], escapesControls: Bool = false) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                bytes.append(UInt8(ascii: "\\"))
            } else if byte < 32, escapesControls {
                bytes.append(contentsOf: "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
                continue
            }
            bytes.append(byte)
        }
        bytes.append(UInt8(ascii: "\""))
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
