extension JSON {
    /// Why a text is no JSON, in the words of Go's decoder.
    package struct SyntaxError: Error {
        /// Where it went wrong and at which character.
        package var message: String
    }

    /// Reads one JSON value with nothing but white space around it. Throws `SyntaxError`.
    package init(parsing bytes: some Sequence<UInt8>) throws(SyntaxError) {
        var reader = Reader(bytes: Array(bytes))
        self = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.index == reader.bytes.count else { throw reader.unexpected("after top-level value") }
    }

    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        func unexpected(_ place: String) -> SyntaxError {
            guard index < bytes.count else { return SyntaxError(message: "unexpected end of JSON input") }
            let found = String(decoding: [bytes[index]], as: UTF8.self)
            return SyntaxError(message: "invalid character '\(found)' \(place)")
        }

        mutating func skipSpace() {
            while index < bytes.count, [32, 9, 10, 13].contains(bytes[index]) { index += 1 }
        }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            skipSpace()
            guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
            index += 1
            return true
        }

        mutating func value(depth: Int) throws(SyntaxError) -> JSON {
            skipSpace()
            guard index < bytes.count, depth < 500 else { throw unexpected("looking for beginning of value") }
            switch bytes[index] {
            case UInt8(ascii: "{"): return try object(depth)
            case UInt8(ascii: "["): return try array(depth)
            case UInt8(ascii: "\""): return .string(try string())
            case UInt8(ascii: "t"): return try word("true", .bool(true))
            case UInt8(ascii: "f"): return try word("false", .bool(false))
            case UInt8(ascii: "n"): return try word("null", .null)
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
            default: throw unexpected("looking for beginning of value")
            }
        }

        mutating func word(_ word: String, _ value: JSON) throws(SyntaxError) -> JSON {
            guard bytes[index...].starts(with: word.utf8) else { throw unexpected("in literal \(word)") }
            index += word.utf8.count
            return value
        }

        mutating func number() throws(SyntaxError) -> JSON {
            let start = index
            while index < bytes.count, "+-.eE0123456789".utf8.contains(bytes[index]) { index += 1 }
            let text = String(decoding: bytes[start..<index], as: UTF8.self)
            if let value = Int(text) { return .int(value) }
            guard let value = Double(text) else { throw unexpected("in numeric literal") }
            return .double(value)
        }

        mutating func array(_ depth: Int) throws(SyntaxError) -> JSON {
            index += 1
            var values: [JSON] = []
            if take("]") { return .array(values) }
            repeat { values.append(try value(depth: depth + 1)) } while take(",")
            guard take("]") else { throw unexpected("after array element") }
            return .array(values)
        }

        mutating func object(_ depth: Int) throws(SyntaxError) -> JSON {
            index += 1
            var members: [String: JSON] = [:]
            if take("}") { return .object(members) }
            repeat {
                skipSpace()
                guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else {
                    throw unexpected("looking for beginning of object key string")
                }
                let key = try string()
                guard take(":") else { throw unexpected("after object key") }
                members[key] = try value(depth: depth + 1)
            } while take(",")
            guard take("}") else { throw unexpected("after object key:value pair") }
            return .object(members)
        }

        mutating func string() throws(SyntaxError) -> String {
            index += 1
            var result: [UInt8] = []
            while index < bytes.count {
                let byte = bytes[index]
                index += 1
                switch byte {
                case UInt8(ascii: "\""): return String(decoding: result, as: UTF8.self)
                case UInt8(ascii: "\\"): result += try escape()
                case 0..<32:
                    index -= 1
                    throw unexpected("in string literal")
                default: result.append(byte)
                }
            }
            throw unexpected("in string literal")
        }

        mutating func escape() throws(SyntaxError) -> [UInt8] {
            guard index < bytes.count else { throw unexpected("in string escape code") }
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "n"): return [10]
            case UInt8(ascii: "r"): return [13]
            case UInt8(ascii: "t"): return [9]
            case UInt8(ascii: "b"): return [8]
            case UInt8(ascii: "f"): return [12]
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
            case UInt8(ascii: "u"):
                var units = [try unit()]
                if 0xD800..<0xDC00 ~= units[0], bytes[index...].starts(with: "\\u".utf8) {
                    index += 2
                    units.append(try unit())
                }
                return Array(String(decoding: units, as: UTF16.self).utf8)
            default:
                index -= 1
                throw unexpected("in string escape code")
            }
        }

        mutating func unit() throws(SyntaxError) -> UInt16 {
            guard index + 4 <= bytes.count,
                let unit = UInt16(String(decoding: bytes[index..<index + 4], as: UTF8.self), radix: 16)
            else { throw unexpected("in \\u hexadecimal character escape") }
            index += 4
            return unit
        }
    }
}
