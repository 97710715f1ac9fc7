/// Text that is no JSON (RFC 8259): where, counted in bytes from 0, and why.
package struct JSONSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    package var offset: Int
    package var message: String

    package var description: String { "malformed JSON at byte \(offset): \(message)" }
}

/// The name of a member, as far as generated code needs it to know which one it is.
package struct JSONKey {
    /// Where its quotation mark is.
    let start: Int
    /// Bytes of the name, escapes resolved.
    package let count: Int
    /// The first eight of these bytes, the first one lowest.
    package let low: UInt64
    /// Whether the document writes it with escapes.
    let isEscaped: Bool
}

/// Reads JSON straight into generated structures.
///
/// Malformed text is thrown; a value of the wrong type is noted in ``problems`` with its JSON pointer and skipped, so that one
/// pass finds everything. `null` as a member's value counts as absent; inside an array it is a problem.
///
/// The reader looks at the document's memory directly, and only while ``document(_:)`` runs; every place is compared with ``count`` before
/// it is read, in ``peek`` and ``scan(from:)``.
@safe package struct JSONReader {
    /// Whose text is read: a request's (strict about enumerations, without U+0000 and read-only members, defaults filled in) or an
    /// answer's.
    package enum Purpose: Sendable { case request, answer }

    private static let maximumDepth = 64

    let text: [UInt8]
    /// The memory of ``text``.
    var bytes = unsafe UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    let count: Int
    var index = 0
    private var depth = 0
    /// The way to the value that is read, one step for each of the ``depth`` collections around it: where a member's name begins, or
    /// the complement of an element's position.
    private var steps = InlineArray<65, Int>(repeating: 0)
    /// An object was entered, and none of its members read.
    private var isFirst = false
    private let purpose: Purpose
    /// Whether the text read last holds U+0000, which only an escape can write.
    var hasNUL = false
    package private(set) var problems: [RequestProblem] = []

    package var ignoresReadOnly: Bool { purpose == .request }
    package var fillsIn: Bool { purpose == .request }

    package init(_ text: [UInt8], purpose: Purpose) {
        self.text = text
        count = text.count
        self.purpose = purpose
    }

    /// Reads a whole document; nil with a problem noted where its value is not an object.
    package mutating func document<Value: JSONValue>(_ type: Value.Type) throws(JSONSyntaxError) -> Value? {
        let text = text
        return try unsafe text.withUnsafeBufferPointer { memory throws(JSONSyntaxError) in
            unsafe bytes = memory
            defer { unsafe bytes = UnsafeBufferPointer(start: nil, count: 0) }
            return try whole(type)
        }
    }

    private mutating func whole<Value: JSONValue>(_ type: Value.Type) throws(JSONSyntaxError) -> Value? {
        if text.starts(with: [0xEF, 0xBB, 0xBF]) { throw failure("starts with a byte-order mark") }
        skipSpace()
        if index == count { throw failure("the document is empty") }
        if peek == 110 { note("must be an object, not null") }
        let value = try Value.read(&self)
        skipSpace()
        if index < count { throw failure("something follows the end of the document") }
        return value
    }

    // MARK: Scalars. Each is nil for null, and for another type, which is noted.

    package mutating func string() throws(JSONSyntaxError) -> String? {
        guard try isNext(34, "text") else { return nil }
        hasNUL = false
        let text = try quoted()
        if hasNUL, purpose == .request {
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
        guard let number = try number() else { return nil }
        if let value = number.exactDouble { return value }
        guard let value = Double(text(number)), value.isFinite else {
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
        guard let number = try number() else { return nil }
        if let value = number.integer { return value }
        let text = text(number)
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
        skipSpace()
        if peek == 34 {
            let end = scan(from: index + 1).end
            if isQuote(end), let value = Timestamp(utf8: text.span.extracting((index + 1)..<end)) {
                index = end + 1
                return value
            }
        }
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

    /// Enters an object; false where the value is null or no object.
    package mutating func beginObject() throws(JSONSyntaxError) -> Bool {
        guard try isNext(123, "an object") else { return false }
        try descend()
        isFirst = true
        return true
    }

    /// The next member's name; nil at the object's end.
    package mutating func nextKey() throws(JSONSyntaxError) -> JSONKey? {
        skipSpace()
        if isFirst {
            isFirst = false
            if peek == 125 {
                ascend()
                return nil
            }
        } else {
            if try isEnd(125) { return nil }
        }
        guard peek == 34 else { throw failure("expected a member's name in quotation marks") }
        let start = index
        steps[depth - 1] = start
        let end = scan(from: start + 1).end
        if isQuote(end) {
            index = end + 1
            let length = end - start - 1
            return JSONKey(start: start, count: length, low: firstBytes(start + 1, length), isEscaped: false)
        }
        let name = try quoted().utf8
        let low = name.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return JSONKey(start: start, count: name.count, low: low, isEscaped: true)
    }

    /// Up to eight bytes, the first one lowest.
    @inline(__always)
    private func firstBytes(_ start: Int, _ length: Int) -> UInt64 {
        if length >= 8 { return word(start) }
        if start + 8 <= count { return word(start) & ((1 << UInt64(length * 8)) - 1) }
        var low: UInt64 = 0
        for place in 0..<length { low |= UInt64(unsafe bytes[start + place]) << UInt64(place * 8) }
        return low
    }

    /// Steps over the colon to a member's value, which is refused where the name was there before; false for null.
    ///
    /// - Parameters:
    ///   - place: from 1 among the members that the caller knows; 0 for another.
    ///   - seen: one bit for each known member that was there.
    ///   - others: the other names that were there.
    package mutating func beginValue(
        _ key: JSONKey, place: Int, _ seen: inout UInt64, _ others: inout Set<String>
    ) throws(JSONSyntaxError) -> Bool {
        let bit: UInt64 = place == 0 ? 0 : 1 << UInt64(place)
        if try bit == 0 ? !others.insert(text(key)).inserted : seen & bit != 0 {
            throw twice(key, try text(key))
        }
        seen |= bit
        try colon()
        if peek != 110 { return true }
        try word("null")
        return false
    }

    private mutating func colon() throws(JSONSyntaxError) {
        skipSpace()
        guard peek == 58 else { throw failure("expected a colon after a member's name") }
        index += 1
        skipSpace()
    }

    private mutating func twice(_ key: JSONKey, _ name: String) -> JSONSyntaxError {
        index = key.start
        return failure("the name \"\(name)\" appears twice in one object")
    }

    /// Whether a key, whose length and first eight bytes are known to agree, is this name of ASCII letters.
    package func matches(_ key: JSONKey, _ name: StaticString) -> Bool {
        if key.isEscaped { return (try? text(key)) == name.description }
        for place in 8..<key.count {
            if unsafe bytes[key.start + 1 + place] != name.utf8Start[place] { return false }
        }
        return true
    }

    private func text(_ key: JSONKey) throws(JSONSyntaxError) -> String {
        if key.isEscaped { return try quoted(again: key.start) }
        return try string(key.start + 1, key.start + 1 + key.count)
    }

    /// A text that was read before.
    private func quoted(again start: Int) throws(JSONSyntaxError) -> String {
        var again = self
        again.index = start
        return try again.quoted()
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
        while true {
            steps[depth - 1] = ~elements.count
            if peek == 110 {
                try word("null")
                note("must not be null")
                elements.append(placeholder())
            } else {
                if let value = try element(&self) { elements.append(value) } else { elements.append(placeholder()) }
            }
            skipSpace()
            if try isEnd(93) { return elements }
        }
    }

    package mutating func map() throws(JSONSyntaxError) -> [String: String]? {
        guard try beginObject() else { return nil }
        var map: [String: String] = [:]
        var nulls: Set<String> = []
        while let key = try nextKey() {
            let name = try text(key)
            if purpose == .request, name.utf8.contains(0) { note("must not hold the character U+0000 in its name") }
            try colon()
            var isNew = !nulls.contains(name)
            if peek == 110 {
                try word("null")
                isNew = isNew && map[name] == nil
                nulls.insert(name)
            } else if let value = try string() {
                isNew = map.updateValue(value, forKey: name) == nil && isNew
            } else {
                isNew = isNew && map[name] == nil
                nulls.insert(name)
            }
            if !isNew { throw twice(key, name) }
        }
        return map.isEmpty && purpose == .request ? nil : map
    }

    /// Steps over any value, checking its syntax.
    package mutating func skip() throws(JSONSyntaxError) {
        skipSpace()
        switch peek {
        case 34: _ = try quoted()
        case 123: try skipObject()
        case 91: try skipArray()
        case 116: try word("true")
        case 102: try word("false")
        case 110: try word("null")
        default: _ = try number()
        }
    }

    private mutating func skipObject() throws(JSONSyntaxError) {
        guard try beginObject() else { return }
        var seen: UInt64 = 0
        var others: Set<String> = []
        while let key = try nextKey() {
            if try beginValue(key, place: 0, &seen, &others) { try skip() }
        }
    }

    private mutating func skipArray() throws(JSONSyntaxError) {
        index += 1
        try descend()
        skipSpace()
        if peek == 93 { return ascend() }
        while true {
            try skip()
            skipSpace()
            if try isEnd(93) { return }
        }
    }

    // MARK: Problems

    /// Notes that a request leaves out what it has to hold; answers are taken as they are.
    package mutating func missing(_ name: String) {
        guard purpose == .request else { return }
        note("is required", inside: name)
    }

    private static let mostProblems = 100

    private mutating func note(_ message: String, inside name: String? = nil) {
        guard problems.count <= Self.mostProblems else { return }
        if problems.count == Self.mostProblems {
            problems.append(RequestProblem("", "and more: these are the first \(Self.mostProblems) problems"))
            return
        }
        var place = ""
        for level in 0..<depth { place += "/" + step(steps[level]) }
        problems.append(RequestProblem(place + (name.map { "/" + pointerSegment($0) } ?? ""), message))
    }

    private func step(_ step: Int) -> String {
        step < 0 ? String(~step) : pointerSegment((try? quoted(again: step)) ?? "")
    }

    /// Skips a value of another type; null passes without a word.
    mutating func mismatch<Value>(_ expected: String) throws(JSONSyntaxError) -> Value? {
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

    func failure(_ message: String) -> JSONSyntaxError { JSONSyntaxError(offset: index, message: message) }

    // MARK: Characters

    /// The next byte; 0, which no document may hold there, at the end.
    @inline(__always)
    var peek: UInt8 { index < count ? unsafe bytes[index] : 0 }

    @inline(__always)
    mutating func skipSpace() {
        while index < count {
            let byte = unsafe bytes[index]
            if byte > 32 { return }
            guard byte == 32 || byte == 10 || byte == 13 || byte == 9 else { return }
            index += 1
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

    /// After an element and the space behind it: true at the collection's end, false at what follows a comma.
    @inline(__always)
    private mutating func isEnd(_ close: UInt8) throws(JSONSyntaxError) -> Bool {
        if peek == close {
            ascend()
            return true
        }
        guard peek == 44 else {
            throw failure(index == count ? "the document ends too early" : "expected a comma")
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
}

/// A name as a segment of a JSON pointer (RFC 6901).
package func pointerSegment(_ name: String) -> String {
    name.replacing("~", with: "~0").replacing("/", with: "~1")
}
