import Synchronization

/// A generated structure with a direct reader and writer.
nonisolated package protocol JSONValue: Sendable {
    /// Reads a value; nil for null, and for another type than an object, which is noted in the reader's problems.
    static func read(_ reader: inout JSONReader) throws(JSONSyntaxError) -> Self?
    func write(_ writer: inout JSONWriter)
}

/// Writes JSON as UTF-8 bytes: no spaces, members in the order in which they are written.
///
/// It writes to memory of its own, which it takes from writers that are done and leaves to later ones: half of the time went into fresh
/// pages, and much of the rest into an array's checks at each byte.
@safe nonisolated package struct JSONWriter: ~Copyable {
    /// Properties of later views are left out; see `x-view` in spec/overlay.yaml.
    package let viewLevel: Int
    private var memory: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var count = 0
    private var needsComma = false

    package init(viewLevel: Int = .max) {
        self.viewLevel = viewLevel
        let used = unsafe SpareMemory.take()
        unsafe memory = used.start
        capacity = unsafe used.count
    }

    deinit { unsafe SpareMemory.leave(memory, capacity) }

    /// What was written so far.
    package var bytes: [UInt8] { unsafe Array(UnsafeBufferPointer(start: memory, count: count)) }

    /// What was written so far.
    package var text: String {
        unsafe String(decoding: UnsafeBufferPointer(start: memory, count: count), as: UTF8.self)
    }

    /// One value as a document.
    package static func encode(_ value: some JSONValue, viewLevel: Int = .max) -> [UInt8] {
        var writer = JSONWriter(viewLevel: viewLevel)
        value.write(&writer)
        return writer.bytes
    }

    package mutating func beginObject() { open(123) }
    package mutating func endObject() { close(125) }
    package mutating func beginArray() { open(91) }
    package mutating func endArray() { close(93) }

    /// To be called before each element of an array.
    package mutating func element() {
        if needsComma { append(44) }
        needsComma = false
    }

    package mutating func key(_ name: String) {
        element()
        quote(name)
        append(58)
    }

    /// A member's name as generated code has it: with a comma before it, quoted, with its colon.
    @inline(__always)
    package mutating func member(_ name: StaticString) {
        reserve(name.utf8CodeUnitCount)
        // The first member's comma takes the place of the brace, which is put back.
        let start = needsComma ? count : count - 1
        unsafe (memory + start).update(from: name.utf8Start, count: name.utf8CodeUnitCount)
        unsafe memory[start] = needsComma ? 44 : 123
        count = start + name.utf8CodeUnitCount
        needsComma = false
    }

    package mutating func timestamp(_ value: Timestamp) {
        reserve(Timestamp.textLength + 2)
        unsafe memory[count] = 34
        unsafe value.write(to: memory + count + 1)
        count += Timestamp.textLength + 2
        unsafe memory[count - 1] = 34
        needsComma = true
    }

    package mutating func string(_ value: String) {
        quote(value)
        needsComma = true
    }

    package mutating func integer(_ value: Int64) {
        digits(value.magnitude, isNegative: value < 0)
        needsComma = true
    }

    package mutating func boolean(_ value: Bool) { raw(value ? "true" : "false") }

    /// A 64-bit integer as text, as the specification carries it.
    package mutating func integerText(_ value: Int64) {
        append(34)
        integer(value)
        append(34)
    }

    /// The shortest decimal that reads back as the same number; JSON has no infinities, they become null.
    package mutating func double(_ value: Double) {
        guard value.isFinite else { return raw("null") }
        guard value == value.rounded(), abs(value) < 1e15 else { return raw("\(value)") }
        integer(Int64(value))
        append(46)
        append(48)
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
        append(byte)
        needsComma = false
    }

    private mutating func close(_ byte: UInt8) {
        append(byte)
        needsComma = true
    }

    private mutating func raw(_ text: String) {
        for byte in text.utf8 { append(byte) }
        needsComma = true
    }

    private mutating func digits(_ magnitude: UInt64, isNegative: Bool) {
        reserve(20)
        var length = isNegative ? 2 : 1
        var rest = magnitude / 10
        while rest > 0 {
            length += 1
            rest /= 10
        }
        unsafe memory[count] = 45
        rest = magnitude
        for place in stride(from: count + length - 1, through: count + (isNegative ? 1 : 0), by: -1) {
            unsafe memory[place] = UInt8(48 + rest % 10)
            rest /= 10
        }
        count += length
    }

    private mutating func quote(_ text: String) {
        var text = text
        text.withUTF8 { unsafe quote($0) }
    }

    private mutating func quote(_ text: UnsafeBufferPointer<UInt8>) {
        // Room for some line ends and quotation marks; where that is not enough, `escape` finds out.
        reserve(text.count + text.count / 8 + 16)
        unsafe memory[count] = 34
        count += 1
        var index = 0
        // Eight bytes are copied before it is known how many of them are plain.
        while index + 8 <= text.count {
            let source = unsafe UnsafeRawPointer(text.baseAddress! + index)
            let word = unsafe source.loadUnaligned(as: UInt64.self)
            unsafe UnsafeMutableRawPointer(memory + count).storeBytes(of: word, as: UInt64.self)
            let found = specialBytes(UInt64(littleEndian: word))
            let plain = found == 0 ? 8 : found.trailingZeroBitCount / 8
            count += plain
            index += plain
            if found != 0 {
                unsafe escape(text[index])
                index += 1
                reserve(text.count - index + 16)
            }
        }
        while index < text.count {
            let byte = unsafe text[index]
            if byte < 32 || byte == 34 || byte == 92 { escape(byte) } else { append(byte) }
            index += 1
        }
        append(34)
    }

    private mutating func escape(_ byte: UInt8) {
        reserve(6)
        append(92)
        switch byte {
        case 34, 92: append(byte)
        case 10: append(110)
        case 13: append(114)
        case 9: append(116)
        default:
            append(117)
            append(48)
            append(48)
            append(Self.hexadecimal(byte >> 4))
            append(Self.hexadecimal(byte & 15))
        }
    }

    private static func hexadecimal(_ digit: UInt8) -> UInt8 { digit < 10 ? 48 + digit : 87 + digit }

    // MARK: Memory

    @inline(__always)
    private mutating func append(_ byte: UInt8) {
        reserve(1)
        unsafe memory[count] = byte
        count += 1
    }

    @inline(__always)
    private mutating func reserve(_ more: Int) {
        if capacity - count < more { grow(more) }
    }

    @inline(never)
    private mutating func grow(_ more: Int) {
        capacity = max(count + more, capacity * 2)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        unsafe larger.update(from: memory, count: count)
        unsafe memory.deallocate()
        unsafe memory = larger
    }
}

/// Memory of writers that are done, for the next ones: a few pieces, none of them large.
nonisolated private enum SpareMemory {
    private static let mostPieces = 4
    private static let largest = 1 << 20
    /// Addresses and sizes; who takes one out is the only one to have it.
    private static let pieces = Mutex<[(address: UInt, count: Int)]>([])

    static func take() -> (start: UnsafeMutablePointer<UInt8>, count: Int) {
        if let piece = pieces.withLock({ $0.popLast() }),
            let start = unsafe UnsafeMutablePointer<UInt8>(bitPattern: piece.address)
        {
            return unsafe (start, piece.count)
        }
        return (UnsafeMutablePointer.allocate(capacity: 4096), 4096)
    }

    static func leave(_ start: UnsafeMutablePointer<UInt8>, _ count: Int) {
        let isKept = pieces.withLock { pieces in
            guard count <= largest, pieces.count < mostPieces else { return false }
            pieces.append((UInt(bitPattern: start), count))
            return true
        }
        if !isKept { unsafe start.deallocate() }
    }
}
