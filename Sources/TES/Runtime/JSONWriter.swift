/// A generated structure with a direct reader and writer.
package protocol JSONValue: Sendable {
    /// Reads a value; nil for null, and for another type than an object, which is noted in the reader's problems.
    static func read(_ reader: inout JSONReader) throws(JSONSyntaxError) -> Self?
    func write(_ writer: inout JSONWriter)
}

/// Writes JSON as UTF-8 bytes: no spaces, members in the order in which they are written.
package struct JSONWriter: Sendable {
    package private(set) var bytes: [UInt8] = []
    /// Properties of later views are left out; see `x-view` in spec/overlay.yaml.
    package let viewLevel: Int
    private var needsComma = false

    package init(viewLevel: Int = .max) {
        self.viewLevel = viewLevel
    }

    /// One value as a document.
    package static func encode(_ value: some JSONValue, viewLevel: Int = .max) -> [UInt8] {
        var writer = JSONWriter(viewLevel: viewLevel)
        value.write(&writer)
        return writer.bytes
    }

    /// Hands over what was written so far and goes on with an empty buffer: for documents sent in chunks.
    package mutating func takeBytes() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    package mutating func beginObject() { open(123) }
    package mutating func endObject() { close(125) }
    package mutating func beginArray() { open(91) }
    package mutating func endArray() { close(93) }

    /// To be called before each element of an array.
    package mutating func element() {
        if needsComma { bytes.append(44) }
        needsComma = false
    }

    package mutating func key(_ name: String) {
        if needsComma { bytes.append(44) }
        quote(name)
        bytes.append(58)
        needsComma = false
    }

    package mutating func string(_ value: String) {
        quote(value)
        needsComma = true
    }

    package mutating func integer(_ value: Int64) { raw(String(value)) }
    package mutating func boolean(_ value: Bool) { raw(value ? "true" : "false") }

    /// A 64-bit integer as text, as the specification carries it.
    package mutating func integerText(_ value: Int64) { raw("\"\(value)\"") }

    /// The shortest decimal that reads back as the same number; JSON has no infinities, they become null.
    package mutating func double(_ value: Double) {
        guard value.isFinite else { return raw("null") }
        if value == value.rounded(), abs(value) < 1e15 { return raw("\(Int64(value)).0") }
        raw("\(value)")
    }

    /// Members in the order of their keys, so that equal maps give equal bytes.
    package mutating func map(_ map: [String: String]) {
        beginObject()
        for (name, value) in map.sorted(by: { $0.key < $1.key }) {
            key(name)
            string(value)
        }
        endObject()
    }

    private mutating func open(_ byte: UInt8) {
        bytes.append(byte)
        needsComma = false
    }

    private mutating func close(_ byte: UInt8) {
        bytes.append(byte)
        needsComma = true
    }

    private mutating func raw(_ text: String) {
        bytes.append(contentsOf: text.utf8)
        needsComma = true
    }

    private static let hexadecimal = Array("0123456789abcdef".utf8)

    private mutating func quote(_ text: String) {
        bytes.append(34)
        for byte in text.utf8 {
            switch byte {
            case 34, 92:
                bytes.append(92)
                bytes.append(byte)
            case 10: bytes.append(contentsOf: [92, 110])
            case 13: bytes.append(contentsOf: [92, 114])
            case 9: bytes.append(contentsOf: [92, 116])
            case 0..<32:
                bytes.append(contentsOf: [
                    92, 117, 48, 48, Self.hexadecimal[Int(byte >> 4)], Self.hexadecimal[Int(byte & 15)],
                ])
            default: bytes.append(byte)
            }
        }
        bytes.append(34)
    }
}
