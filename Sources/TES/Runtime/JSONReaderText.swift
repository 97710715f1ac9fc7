/// Numbers and texts, character by character.
extension JSONReader {
    mutating func numberText() throws(JSONSyntaxError) -> String? {
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

    mutating func quoted() throws(JSONSyntaxError) -> String {
        let start = index + 1
        index = plainTextEnd(bytes.span, from: start)
        guard index < bytes.count else { throw failure("text without a closing quotation mark") }
        if bytes[index] != 34 { return try escaped(from: start) }
        let text = try decode(bytes.span.extracting(start..<index))
        index += 1
        return text
    }

    func decode(_ span: Span<UInt8>) throws(JSONSyntaxError) -> String {
        do throws(UTF8.ValidationError) { return String(copying: try UTF8Span(validating: span)) } catch {
            throw failure("text that is not valid UTF-8")
        }
    }

    private mutating func escaped(from start: Int) throws(JSONSyntaxError) -> String {
        var buffer = Array(bytes[start..<index])
        while let byte = peek {
            switch byte {
            case 34:
                index += 1
                return try decode(buffer.span)
            case 92:
                index += 1
                try escape(into: &buffer)
            default: throw failure("a control character in text must be written as an escape")
            }
            let plain = index
            index = plainTextEnd(bytes.span, from: plain)
            buffer.append(contentsOf: bytes[plain..<index])
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
            if code == 0 { hasNUL = true }
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
