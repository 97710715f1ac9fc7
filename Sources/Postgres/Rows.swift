import CLibPQ
import Glibc

/// The rows that one statement gave, and how many it touched.
package struct PostgresResult: Sendable {
    package var rows: PostgresRows
    package var affectedRows: Int
}

/// Rows as they came from the server: a column is decoded only when it is asked for.
package struct PostgresRows: RandomAccessCollection, Sendable {
    private let memory: ResultMemory
    package let endIndex: Int

    package var startIndex: Int { 0 }
    package subscript(index: Int) -> RowReader {
        precondition(indices.contains(index), "there is no such row")
        return RowReader(memory: memory, row: Int32(index))
    }

    /// - Parameter result: libpq's; it is freed with the last reader of its rows.
    init(taking result: OpaquePointer) {
        memory = ResultMemory(taking: result)
        endIndex = Int(PQntuples(result))
    }
}

/// Owns a result of libpq.
private final class ResultMemory: @unchecked Sendable {
    // Unchecked: nothing changes a result after it was received; the libpq manual lets any thread read it then.
    let handle: OpaquePointer
    let columns: Int32

    init(taking result: OpaquePointer) {
        handle = result
        columns = PQnfields(result)
    }

    deinit { PQclear(handle) }
}

/// Reads one row's columns from left to right, in PostgreSQL's binary format.
package struct RowReader: Sendable {
    private let memory: ResultMemory
    private let row: Int32
    private var column: Int32 = 0

    fileprivate init(memory: ResultMemory, row: Int32) {
        self.memory = memory
        self.row = row
    }

    /// The next column's bytes, valid as long as this reader lives, and the OID of their type; nil for NULL.
    private mutating func next() throws(PostgresError) -> (bytes: UnsafeRawBufferPointer, type: UInt32)? {
        guard column < memory.columns else { throw .decoding("a row has only \(memory.columns) columns") }
        defer { column += 1 }
        guard PQgetisnull(memory.handle, row, column) == 0 else { return nil }
        return (bytes(column), PQftype(memory.handle, column))
    }

    private func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: PQgetvalue(memory.handle, row, column), count: Int(PQgetlength(memory.handle, row, column)))
    }

    private func mismatch(_ expected: String, _ type: UInt32) -> PostgresError {
        .decoding("column \(column) is no \(expected), but of the type with OID \(type)")
    }

    /// Text of any kind, or a UUID in lower case.
    package mutating func text() throws(PostgresError) -> String? {
        guard let (bytes, type) = try next() else { return nil }
        switch type {
        case TypeID.text, TypeID.varchar, TypeID.name, TypeID.unknown, TypeID.json:
            return String(decoding: bytes, as: UTF8.self)
        case TypeID.uuid: return Self.uuidText(bytes)
        default: throw mismatch("text", type)
        }
    }

    package mutating func int32() throws(PostgresError) -> Int32? {
        guard let value = try int64() else { return nil }
        guard let value = Int32(exactly: value) else { throw .decoding("column \(column) is too large for an integer") }
        return value
    }

    package mutating func int64() throws(PostgresError) -> Int64? {
        guard let (bytes, type) = try next() else { return nil }
        switch type {
        case TypeID.int8: return Int64(bitPattern: bytes.bigEndian(at: 0))
        case TypeID.int4: return Int64(Int32(bitPattern: bytes.bigEndian(at: 0)))
        case TypeID.int2: return Int64(Int16(bitPattern: bytes.bigEndian(at: 0)))
        default: throw mismatch("integer", type)
        }
    }

    package mutating func double() throws(PostgresError) -> Double? {
        guard let (bytes, type) = try next() else { return nil }
        guard type == TypeID.float8 else { throw mismatch("double precision", type) }
        return Double(bitPattern: bytes.bigEndian(at: 0))
    }

    package mutating func boolean() throws(PostgresError) -> Bool? {
        guard let (bytes, type) = try next() else { return nil }
        guard type == TypeID.bool else { throw mismatch("boolean", type) }
        return bytes[0] != 0
    }

    /// A `timestamptz` in microseconds since 1970.
    package mutating func microseconds() throws(PostgresError) -> Int64? {
        guard let (bytes, type) = try next() else { return nil }
        guard type == TypeID.timestamptz else { throw mismatch("timestamptz", type) }
        // PostgreSQL counts from 2000; the first and last number stand for -infinity and infinity.
        let (value, overflows) = Int64(bitPattern: bytes.bigEndian(at: 0)).addingReportingOverflow(946_684_800_000_000)
        guard !overflows, value != .min + 946_684_800_000_000 else {
            throw .decoding("column \(column) is no finite time")
        }
        return value
    }

    package mutating func uuid() throws(PostgresError) -> (high: UInt64, low: UInt64)? {
        guard let (bytes, type) = try next() else { return nil }
        guard type == TypeID.uuid else { throw mismatch("uuid", type) }
        return (bytes.bigEndian(at: 0), bytes.bigEndian(at: 8))
    }

    package mutating func textArray() throws(PostgresError) -> [String]? {
        guard let (bytes, type) = try next() else { return nil }
        guard type == TypeID.textArray, let items = BinaryArray.texts(bytes) else {
            throw mismatch("one-dimensional array of texts", type)
        }
        return items
    }

    package mutating func map() throws(PostgresError) -> [String: String]? {
        guard let (bytes, type) = try next() else { return nil }
        // The binary format of jsonb is its version, 1, and the text.
        let text = type == TypeID.jsonb ? UnsafeRawBufferPointer(rebasing: bytes.dropFirst()) : bytes
        guard type == TypeID.jsonb || type == TypeID.json, let map = JSONTextMap.read(text) else {
            throw mismatch("map from text to text", type)
        }
        return map
    }

    /// A text, UUID or integer as text; a key is never NULL.
    package mutating func key() throws(PostgresError) -> String {
        let isNumber = column < memory.columns && [TypeID.int8, TypeID.int4].contains(PQftype(memory.handle, column))
        guard let key = isNumber ? try int64().map(String.init) : try text() else {
            throw .decoding("column \(column) is a key and NULL")
        }
        return key
    }

    /// Passes over columns.
    package mutating func skip(_ count: Int) { column += Int32(count) }

    /// Whether the first columns of two rows are the same; keys of the same types.
    fileprivate func hasKeys(of other: RowReader, count: Int) -> Bool {
        (0..<Int32(count)).allSatisfy { column in
            let (mine, others) = (bytes(column), other.bytes(column))
            guard mine.count == others.count, let start = mine.baseAddress, let other = others.baseAddress else {
                return false
            }
            return memcmp(start, other, mine.count) == 0
        }
    }

    private static func uuidText(_ bytes: UnsafeRawBufferPointer) -> String {
        String(unsafeUninitializedCapacity: 36) { text in
            var place = 0
            func write(_ byte: UInt8) {
                text[place] = byte
                place += 1
            }
            func write(digit: UInt8) { write(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit) }
            for (index, byte) in bytes.enumerated() {
                if index == 4 || index == 6 || index == 8 || index == 10 { write(UInt8(ascii: "-")) }
                write(digit: byte >> 4)
                write(digit: byte & 15)
            }
            return place
        }
    }
}

/// A child table's rows, handed out parent by parent: both are ordered by the parent's key, and every child has one.
package struct ChildRows {
    private let rows: PostgresRows
    private var position = 0

    package init(_ result: PostgresResult) { rows = result.rows }

    /// The next row whose first columns are its parent's keys, read from its beginning; nil after the parent's last one.
    package mutating func next(of parent: RowReader, keys: Int) -> RowReader? {
        guard position < rows.endIndex else { return nil }
        let row = rows[position]
        guard row.hasKeys(of: parent, count: keys) else { return nil }
        position += 1
        return row
    }

    /// To be called after the last parent: what is left belongs to none.
    package func finish() throws(PostgresError) {
        guard position == rows.endIndex else { throw .decoding("\(rows.endIndex - position) rows have no parent") }
    }
}

/// OIDs of PostgreSQL's types, the same in every database; PostgreSQL source, src/include/catalog/pg_type.dat.
private enum TypeID {
    static let bool: UInt32 = 16
    static let name: UInt32 = 19
    static let int8: UInt32 = 20
    static let int2: UInt32 = 21
    static let int4: UInt32 = 23
    static let text: UInt32 = 25
    static let json: UInt32 = 114
    static let float8: UInt32 = 701
    static let unknown: UInt32 = 705
    static let textArray: UInt32 = 1009
    static let varchar: UInt32 = 1043
    static let timestamptz: UInt32 = 1184
    static let uuid: UInt32 = 2950
    static let jsonb: UInt32 = 3802
}

extension UnsafeRawBufferPointer {
    /// A number in network order.
    fileprivate func bigEndian<Number: FixedWidthInteger>(at offset: Int) -> Number {
        Number(bigEndian: loadUnaligned(fromByteOffset: offset, as: Number.self))
    }
}

/// `text[]` in binary: dimensions, whether there are nulls, the elements' type; size and lower bound of each dimension; then
/// each element's length and bytes. PostgreSQL source, array_send.
private enum BinaryArray {
    /// nil where it is not a list of texts that counts from 1.
    static func texts(_ bytes: UnsafeRawBufferPointer) -> [String]? {
        func number(_ offset: Int) -> Int { Int(Int32(bitPattern: bytes.bigEndian(at: offset))) }
        if number(0) == 0 { return [] }
        guard number(0) == 1, number(16) == 1 else { return nil }
        let count = number(12)
        var items: [String] = []
        items.reserveCapacity(count)
        var offset = 20
        for _ in 0..<count {
            let length = number(offset)
            // A NULL has the length -1.
            guard length >= 0 else { return nil }
            items.append(String(decoding: bytes[offset + 4..<offset + 4 + length], as: UTF8.self))
            offset += 4 + length
        }
        return items
    }
}
