/// Numbers and texts, character by character.
nonisolated extension JSONReader {
    /// A number as the document writes it.
    struct Number {
        var start: Int
        var end: Int
        /// All digits as one integer, while they are at most 18.
        var digits: UInt64
        var digitCount: Int
        /// Digits behind the point.
        var fractionCount: Int
        var isNegative: Bool
        var hasExponent: Bool

        /// The value of what is written as a short integer.
        var integer: Int64? {
            guard digitCount <= 18, fractionCount == 0, !hasExponent else { return nil }
            return isNegative ? -Int64(digits) : Int64(digits)
        }

        /// The value where both integer and power of ten are exact as binary numbers, so that their quotient is rounded once.
        /// William D. Clinger, How to read floating point numbers accurately, 1990.
        var exactDouble: Double? {
            guard digitCount <= 15, !hasExponent else { return nil }
            let value = Double(digits) / Self.powersOfTen[fractionCount]
            return isNegative ? -value : value
        }

        private static let powersOfTen: [Double] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
        ]
    }

    /// The next number; nil for null, and for another type, which is noted.
    mutating func number() throws(JSONSyntaxError) -> Number? {
        skipSpace()
        let first = peek
        guard first == 45 || (48...57).contains(first) else {
            if index == count { throw failure("the document ends too early") }
            if [34, 123, 91, 116, 102, 110].contains(first) { return try mismatch("a number") }
            throw failure("expected a value")
        }
        var number = Number(
            start: index, end: index, digits: 0, digitCount: 0, fractionCount: 0, isNegative: first == 45,
            hasExponent: false)
        if number.isNegative { index += 1 }
        if peek == 48 {
            index += 1
            number.digitCount = 1
        } else {
            try digits(&number)
        }
        if peek == 46 {
            index += 1
            let whole = number.digitCount
            try digits(&number)
            number.fractionCount = number.digitCount - whole
        }
        if peek == 101 || peek == 69 {
            number.hasExponent = true
            index += 1
            if peek == 43 || peek == 45 { index += 1 }
            var exponent = number
            try digits(&exponent)
        }
        number.end = index
        return number
    }

    private mutating func digits(_ number: inout Number) throws(JSONSyntaxError) {
        let start = index
        while (48...57).contains(peek) {
            number.digits = number.digits &* 10 &+ UInt64(peek - 48)
            index += 1
        }
        if index == start { throw failure("expected a digit") }
        number.digitCount += index - start
    }

    func text(_ number: Number) -> String { ascii(number.start, number.end) }

    /// A text with its quotation marks.
    mutating func quoted() throws(JSONSyntaxError) -> String {
        let start = index + 1
        let (end, isASCII) = scan(from: start)
        index = end
        guard isQuote(end) else { return try escaped(from: start) }
        let text = isASCII ? ascii(start, end) : try string(start, end)
        index = end + 1
        return text
    }

    /// The text between two places that holds no escape.
    func string(_ start: Int, _ end: Int) throws(JSONSyntaxError) -> String {
        try decode(text.span.extracting(start..<end))
    }

    /// The same where ``scan(from:)`` found nothing but ASCII.
    @inline(__always)
    private func ascii(_ start: Int, _ end: Int) -> String {
        unsafe String(copying: UTF8Span(unchecked: text.span.extracting(start..<end), isKnownASCII: true))
    }

    private func decode(_ span: Span<UInt8>) throws(JSONSyntaxError) -> String {
        do throws(UTF8.ValidationError) { return String(copying: try UTF8Span(validating: span)) } catch {
            throw failure("text that is not valid UTF-8")
        }
    }

    // MARK: Escapes

    /// The text from a place on; ``index`` is at the first byte that is not plain.
    private mutating func escaped(from start: Int) throws(JSONSyntaxError) -> String {
        let first = index
        let end = try closingQuote()
        index = first
        var buffer: [UInt8] = []
        // What an escape stands for is never longer than the escape.
        buffer.reserveCapacity(end - start)
        append(start..<first, to: &buffer)
        while index < end {
            if peek == 92 {
                index += 1
                try escape(into: &buffer)
            }
            let plain = index
            index = scan(from: plain).end
            append(plain..<index, to: &buffer)
        }
        let text = try decode(buffer.span)
        index = end + 1
        return text
    }

    /// The quotation mark that ends the text in which ``index`` is.
    private mutating func closingQuote() throws(JSONSyntaxError) -> Int {
        while index < count {
            switch peek {
            case 34: return index
            case 92: index += 2
            default: throw failure("a control character in text must be written as an escape")
            }
            if index < count { index = scan(from: index).end }
        }
        index = count
        throw failure("text without a closing quotation mark")
    }

    private func append(_ range: Range<Int>, to buffer: inout [UInt8]) {
        unsafe buffer.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[range]))
    }

    private mutating func escape(into buffer: inout [UInt8]) throws(JSONSyntaxError) {
        let byte = peek
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
                guard peek == 92, index + 1 < count, unsafe bytes[index + 1] == 117 else {
                    throw failure("half of a surrogate pair")
                }
                index += 2
                let low = UInt32(try hexadecimal())
                guard (0xDC00..<0xE000).contains(low) else { throw failure("half of a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("half of a surrogate pair") }
            if code == 0 { hasNUL = true }
            buffer.append(contentsOf: UTF8.encode(scalar)!)
        default: throw failure("an escape that JSON does not know")
        }
    }

    private mutating func hexadecimal() throws(JSONSyntaxError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard index < count, let digit = Character(Unicode.Scalar(peek)).hexDigitValue else {
                throw failure("expected four hexadecimal digits")
            }
            value = value << 4 | UInt16(digit)
            index += 1
        }
        return value
    }

    // MARK: Memory

    /// Where plain text ends that begins here, and whether it is ASCII.
    @inline(__always)
    func scan(from start: Int) -> (end: Int, isASCII: Bool) {
        var index = start
        var all: UInt64 = 0
        while index + 8 <= count {
            let word = word(index)
            let found = specialBytes(word)
            if found != 0 {
                let place = found.trailingZeroBitCount & ~7
                all |= word & ((1 << UInt64(place)) - 1)
                return (index + place / 8, all & highBits == 0)
            }
            all |= word
            index += 8
        }
        while index < count {
            let byte = unsafe bytes[index]
            if byte < 32 || byte == 34 || byte == 92 { break }
            all |= UInt64(byte)
            index += 1
        }
        return (index, all & highBits == 0)
    }

    @inline(__always)
    func isQuote(_ place: Int) -> Bool { unsafe place < count && bytes[place] == 34 }

    /// Eight bytes, the first one lowest; all are inside the document.
    @inline(__always)
    func word(_ place: Int) -> UInt64 {
        unsafe UInt64(
            littleEndian: UnsafeRawPointer(bytes.baseAddress! + place).loadUnaligned(as: UInt64.self))
    }
}
