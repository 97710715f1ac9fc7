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

    /// A member's name as generated code has it: with a comma before it, quoted, with its colon.
    @inline(__always)
    package mutating func member(_ name: String) {
        if needsComma {
            bytes.append(contentsOf: name.utf8)
        } else {
            bytes.append(contentsOf: name.utf8.dropFirst())
        }
        needsComma = false
    }

    package mutating func timestamp(_ value: Timestamp) {
        bytes.append(34)
        value.append(to: &bytes)
        bytes.append(34)
        needsComma = true
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
        let span = text.utf8.span
        var end = plainTextEnd(span, from: 0)
        if end == span.count {
            bytes.append(contentsOf: text.utf8)
        } else {
            // Growing is what takes time: most escapes are line ends.
            let needed = bytes.count + span.count + span.count / 4
            if needed > bytes.capacity { bytes.reserveCapacity(max(needed, bytes.capacity * 2)) }
            var start = 0
            while true {
                append(span, start..<end)
                if end == span.count { break }
                escape(span[end])
                start = end + 1
                end = plainTextEnd(span, from: start)
            }
        }
        bytes.append(34)
    }

    private mutating func append(_ span: Span<UInt8>, _ range: Range<Int>) {
        unsafe span.withUnsafeBufferPointer { buffer in
            unsafe bytes.append(contentsOf: UnsafeBufferPointer(rebasing: buffer[range]))
        }
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(92)
        switch byte {
        case 34, 92: bytes.append(byte)
        case 10: bytes.append(110)
        case 13: bytes.append(114)
        case 9: bytes.append(116)
        default:
            bytes.append(contentsOf: [
                117, 48, 48, Self.hexadecimal[Int(byte >> 4)], Self.hexadecimal[Int(byte & 15)],
            ])
        }
    }
}
