/// A flat JSON object of texts, as `jsonb` gives it: `{"a": "b"}`.
struct JSONTextMap {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// nil for any other document. What the server sends is JSON; its grammar is not checked again in full.
    static func read(_ bytes: UnsafeRawBufferPointer) -> [String: String]? {
        var reader = JSONTextMap(bytes)
        return reader.object()
    }

    private mutating func object() -> [String: String]? {
        guard token() == UInt8(ascii: "{") else { return nil }
        var map: [String: String] = [:]
        var separator = token()
        if separator == UInt8(ascii: "}") { return map }
        while separator == UInt8(ascii: "\"") {
            guard let key = string(), token() == UInt8(ascii: ":"), token() == UInt8(ascii: "\""), let value = string()
            else { return nil }
            map[key] = value
            separator = token()
            if separator == UInt8(ascii: "}") { return map }
            guard separator == UInt8(ascii: ",") else { return nil }
            separator = token()
        }
        return nil
    }

    /// The next byte after white space.
    private mutating func token() -> UInt8? {
        while position < bytes.count {
            defer { position += 1 }
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: continue
            default: return bytes[position]
            }
        }
        return nil
    }

    /// A string whose opening quote was read.
    private mutating func string() -> String? {
        let start = position
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: bytes[start..<position - 1], as: UTF8.self) }
            if byte == UInt8(ascii: "\\") { return escapedString(from: start) }
        }
        return nil
    }

    /// The same from its beginning, with escapes.
    private mutating func escapedString(from start: Int) -> String? {
        var text: [UInt8] = []
        position = start
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
            guard byte == UInt8(ascii: "\\") else {
                text.append(byte)
                continue
            }
            guard position < bytes.count else { return nil }
            position += 1
            switch bytes[position - 1] {
            case UInt8(ascii: "b"): text.append(0x08)
            case UInt8(ascii: "f"): text.append(0x0C)
            case UInt8(ascii: "n"): text.append(0x0A)
            case UInt8(ascii: "r"): text.append(0x0D)
            case UInt8(ascii: "t"): text.append(0x09)
            case UInt8(ascii: "u"):
                guard let scalar = escapedScalar() else { return nil }
                text.append(contentsOf: Array(String(scalar).utf8))
            default: text.append(bytes[position - 1])
            }
        }
        return nil
    }

    /// The four digits after `\u`, and the second half of a pair of surrogates; half a pair is U+FFFD.
    private mutating func escapedScalar() -> Unicode.Scalar? {
        guard let unit = hexadecimal() else { return nil }
        if let scalar = Unicode.Scalar(unit) { return scalar }
        guard UTF16.isLeadSurrogate(unit), position + 6 <= bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        else { return "\u{FFFD}" }
        let before = position
        position += 2
        guard let second = hexadecimal() else { return nil }
        guard UTF16.isTrailSurrogate(second) else {
            position = before
            return "\u{FFFD}"
        }
        return Unicode.Scalar(0x10000 + (UInt32(unit & 0x3FF) << 10) + UInt32(second & 0x3FF))
    }

    private mutating func hexadecimal() -> UInt16? {
        guard position + 4 <= bytes.count else { return nil }
        var value: UInt16 = 0
        for byte in bytes[position..<position + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            value = value << 4 | UInt16(digit)
        }
        position += 4
        return value
    }
}
