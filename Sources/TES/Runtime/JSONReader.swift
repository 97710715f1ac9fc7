/// Text that is no JSON (RFC 8259): where, counted in bytes from 0, and why.
package struct JSONSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    package var offset: Int
    package var message: String

    package var description: String { "malformed JSON at byte \(offset): \(message)" }
}

/// Reads JSON straight into generated structures.
///
/// Malformed text is thrown; a value of the wrong type is noted in ``problems`` with its JSON pointer and skipped, so that one
/// pass finds everything. `null` as a member's value counts as absent; inside an array it is a problem.
package struct JSONReader {
    /// Whose text is read: a request's (strict about enumerations, without read-only members, defaults filled in) or an answer's.
    package enum Purpose: Sendable { case request, answer }

    private static let maximumDepth = 64

    private let bytes: [UInt8]
    private var index = 0
    private var depth = 0
    private var pointer: [String] = []
    private let purpose: Purpose
    package private(set) var problems: [RequestProblem] = []

    package var ignoresReadOnly: Bool { purpose == .request }
    package var fillsIn: Bool { purpose == .request }

    package init(_ bytes: [UInt8], purpose: Purpose) {
        self.bytes = bytes
        self.purpose = purpose
    }

    /// Reads a whole document; nil with a problem noted where its value is not an object.
    package mutating func document<Value: JSONValue>(_ type: Value.Type) throws(JSONSyntaxError) -> Value? {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { throw failure("starts with a byte-order mark") }
        skipSpace()
        if index == bytes.count { throw failure("the document is empty") }
        if peek == 110 { note("must be an object, not null") }
        let value = try Value.read(&self)
        skipSpace()
        if index < bytes.count { throw failure("something follows the end of the document") }
        return value
    }

    // MARK: Scalars. Each is nil for null, and for another type, which is noted.

    package mutating func string() throws(JSONSyntaxError) -> String? {
        guard try isNext(34, "text") else { return nil }
        let text = try quoted()
        if text.utf8.contains(0) {
            note("must not hold the character U+0000")
            return nil
        }
        return text
    }

    package mutating func boolean() throws(JSONSyntaxError) -> Bool? {
        skipSpace()
        if peek == 116 {
            try word("true")
            return true
        }
        if peek == 102 {
            try word("false")
            return false
        }
        return try mismatch("true or false")
    }

    package mutating func double() throws(JSONSyntaxError) -> Double? {
        guard let text = try numberText() else { return nil }
        guard let value = Double(text), value.isFinite else {
            note("is too large a number")
            return nil
        }
        return value
    }

    package mutating func int32() throws(JSONSyntaxError) -> Int32? {
        guard let value = try int64() else { return nil }
        guard let narrow = Int32(exactly: value) else {
            note("must be between \(Int32.min) and \(Int32.max)")
            return nil
        }
        return narrow
    }

    package mutating func int64() throws(JSONSyntaxError) -> Int64? {
        guard let text = try numberText() else { return nil }
        if let value = Int64(text) { return value }
        // 4.0 and 4e0 are integers in JSON Schema's sense.
        if let value = Double(text), let whole = Int64(exactly: value) { return whole }
        note("must be a whole number")
        return nil
    }

    /// A 64-bit integer as text; a number is taken too.
    package mutating func int64Text() throws(JSONSyntaxError) -> Int64? {
        skipSpace()
        guard peek == 34 else { return try int64() }
        let text = try quoted()
        if let value = Int64(text) { return value }
        note("must be a whole number written as text")
        return nil
    }

    package mutating func timestamp() throws(JSONSyntaxError) -> Timestamp? {
        guard let text = try string() else { return nil }
        if let value = Timestamp(text) { return value }
        note("must be a time in RFC 3339 format, such as 2026-01-31T12:00:00Z")
        return nil
    }

    package mutating func enumeration<Value: JSONEnumeration>(_ type: Value.Type) throws(JSONSyntaxError) -> Value? {
        guard let text = try string() else { return nil }
        let value = Value(rawValue: text)
        if purpose == .request, value.position < 0 {
            note("must be \(Value.choices)")
            return nil
        }
        return value
    }

    // MARK: Collections

    /// Calls `member` for each member that is not null; false where the value is null or no object.
    package mutating func object(
        _ member: (inout JSONReader, String) throws(JSONSyntaxError) -> Void
    ) throws(JSONSyntaxError) -> Bool {
        guard try isNext(123, "an object") else { return false }
        try descend()
        var seen: Set<String> = []
        skipSpace()
        if peek == 125 {
            ascend()
            return true
        }
        while true {
            skipSpace()
            guard peek == 34 else { throw failure("expected a member's name in quotation marks") }
            let start = index
            let key = try quoted()
            guard seen.insert(key).inserted else {
                index = start
                throw failure("the name \"\(key)\" appears twice in one object")
            }
            skipSpace()
            guard peek == 58 else { throw failure("expected a colon after a member's name") }
            index += 1
            pointer.append(key)
            skipSpace()
            if peek == 110 { try word("null") } else { try member(&self, key) }
            pointer.removeLast()
            if try isEnd(125) { return true }
        }
    }

    /// - Parameter placeholder: stands for an element that could not be read, so that those after it keep their places.
    package mutating func array<Element>(
        or placeholder: @autoclosure () -> Element,
        _ element: (inout JSONReader) throws(JSONSyntaxError) -> Element?
    ) throws(JSONSyntaxError) -> [Element]? {
        guard try isNext(91, "an array") else { return nil }
        try descend()
        var elements: [Element] = []
        skipSpace()
        if peek == 93 {
            ascend()
            // In a request an empty array and an absent one are the same.
            return purpose == .request ? nil : elements
        }
        var position = 0
        while true {
            pointer.append(String(position))
            skipSpace()
            if peek == 110 {
                try word("null")
                note("must not be null")
                elements.append(placeholder())
            } else {
                elements.append(try element(&self) ?? placeholder())
            }
            pointer.removeLast()
            position += 1
            if try isEnd(93) { return elements }
        }
    }

    package mutating func map() throws(JSONSyntaxError) -> [String: String]? {
        var map: [String: String] = [:]
        let isObject = try object { (reader: inout JSONReader, key: String) throws(JSONSyntaxError) in
            if key.utf8.contains(0) { reader.note("must not hold the character U+0000 in its name") }
            if let value = try reader.string() { map[key] = value }
        }
        return isObject && !(map.isEmpty && purpose == .request) ? map : nil
    }

    /// Steps over any value, checking its syntax.
    package mutating func skip() throws(JSONSyntaxError) {
        skipSpace()
        switch peek {
        case 34: _ = try quoted()
        case 123: _ = try object { (reader: inout JSONReader, _: String) throws(JSONSyntaxError) in try reader.skip() }
        case 91: try skipArray()
        case 116: try word("true")
        case 102: try word("false")
        case 110: try word("null")
        default: _ = try numberText()
        }
    }

    private mutating func skipArray() throws(JSONSyntaxError) {
        index += 1
        try descend()
        skipSpace()
        if peek == 93 { return ascend() }
        while true {
            try skip()
            if try isEnd(93) { return }
        }
    }

    // MARK: Problems

    private static let mostProblems = 100

    private mutating func note(_ message: String) {
        guard problems.count <= Self.mostProblems else { return }
        if problems.count == Self.mostProblems {
            problems.append(RequestProblem("", "and more: these are the first \(Self.mostProblems) problems"))
            return
        }
        problems.append(RequestProblem(pointer.map { "/" + pointerSegment($0) }.joined(), message))
    }

    /// Skips a value of another type; null passes without a word.
    private mutating func mismatch<Value>(_ expected: String) throws(JSONSyntaxError) -> Value? {
        if peek == 110 {
            try word("null")
            return nil
        }
        note("must be \(expected)")
        try skip()
        return nil
    }

    private mutating func isNext(_ byte: UInt8, _ expected: String) throws(JSONSyntaxError) -> Bool {
        skipSpace()
        if peek != byte {
            let _: Never? = try mismatch(expected)
            return false
        }
        if byte != 34 { index += 1 }
        return true
    }

    private func failure(_ message: String) -> JSONSyntaxError { JSONSyntaxError(offset: index, message: message) }

    // MARK: Characters

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipSpace() {
        while index < bytes.count {
            switch bytes[index] {
            case 32, 10, 13, 9: index += 1
            default: return
            }
        }
    }

    private mutating func descend() throws(JSONSyntaxError) {
        depth += 1
        if depth > Self.maximumDepth { throw failure("nested more than \(Self.maximumDepth) deep") }
    }

    private mutating func ascend() {
        index += 1
        depth -= 1
    }

    /// After an element: true at the collection's end, false after a comma.
    private mutating func isEnd(_ close: UInt8) throws(JSONSyntaxError) -> Bool {
        skipSpace()
        if peek == close {
            ascend()
            return true
        }
        guard peek == 44 else {
            throw failure(index == bytes.count ? "the document ends too early" : "expected a comma")
        }
        index += 1
        skipSpace()
        if peek == close { throw failure("a comma before the end of an object or array") }
        return false
    }

    private mutating func word(_ word: String) throws(JSONSyntaxError) {
        for byte in word.utf8 {
            guard peek == byte else { throw failure("expected \(word)") }
            index += 1
        }
    }

    private mutating func numberText() throws(JSONSyntaxError) -> String? {
        skipSpace()
        let start = index
        guard let first = peek else { throw failure("the document ends too early") }
        guard first == 45 || (48...57).contains(first) else {
            if [34, 123, 91, 116, 102, 110].contains(first) { return try mismatch("a number") }
            throw failure("expected a value")
        }
        if peek == 45 { index += 1 }
        if peek == 48 { index += 1 } else { try digits() }
        if peek == 46 {
            index += 1
            try digits()
        }
        if peek == 101 || peek == 69 {
            index += 1
            if peek == 43 || peek == 45 { index += 1 }
            try digits()
        }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private mutating func digits() throws(JSONSyntaxError) {
        let start = index
        while let byte = peek, (48...57).contains(byte) { index += 1 }
        if index == start { throw failure("expected a digit") }
    }

    private mutating func quoted() throws(JSONSyntaxError) -> String {
        let start = index + 1
        index = start
        while let byte = peek {
            if byte == 34 {
                let text = try decode(bytes[start..<index])
                index += 1
                return text
            }
            if byte == 92 { return try escaped(from: start) }
            if byte < 32 { throw failure("a control character in text must be written as an escape") }
            index += 1
        }
        throw failure("text without a closing quotation mark")
    }

    private func decode(_ slice: ArraySlice<UInt8>) throws(JSONSyntaxError) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else { throw failure("text that is not valid UTF-8") }
        return text
    }

    private mutating func escaped(from start: Int) throws(JSONSyntaxError) -> String {
        var buffer = Array(bytes[start..<index])
        while let byte = peek {
            index += 1
            switch byte {
            case 34: return try decode(buffer[...])
            case 92: try escape(into: &buffer)
            case 0..<32:
                index -= 1
                throw failure("a control character in text must be written as an escape")
            default: buffer.append(byte)
            }
        }
        throw failure("text without a closing quotation mark")
    }

    private mutating func escape(into buffer: inout [UInt8]) throws(JSONSyntaxError) {
        guard let byte = peek else { throw failure("text without a closing quotation mark") }
        index += 1
        switch byte {
        case 34, 92, 47: buffer.append(byte)
        case 98: buffer.append(8)
        case 102: buffer.append(12)
        case 110: buffer.append(10)
        case 114: buffer.append(13)
        case 116: buffer.append(9)
        case 117:
            var code = UInt32(try hexadecimal())
            if (0xD800..<0xDC00).contains(code) {
                guard peek == 92, index + 1 < bytes.count, bytes[index + 1] == 117 else {
                    throw failure("half of a surrogate pair")
                }
                index += 2
                let low = UInt32(try hexadecimal())
                guard (0xDC00..<0xE000).contains(low) else { throw failure("half of a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("half of a surrogate pair") }
            buffer.append(contentsOf: Array(String(Character(scalar)).utf8))
        default: throw failure("an escape that JSON does not know")
        }
    }

    private mutating func hexadecimal() throws(JSONSyntaxError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw failure("expected four hexadecimal digits")
            }
            value = value << 4 | UInt16(digit)
            index += 1
        }
        return value
    }
}

/// A name as a segment of a JSON pointer (RFC 6901).
package func pointerSegment(_ name: String) -> String {
    name.replacing("~", with: "~0").replacing("/", with: "~1")
}
