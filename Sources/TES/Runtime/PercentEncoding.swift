/// `%41` → `A`; nil where an escape is cut short or the result is no UTF-8.
nonisolated package func percentDecoded(_ text: String, plusIsSpace: Bool = false) -> String? {
    guard text.utf8.contains(where: { $0 == 37 || $0 == 43 }) else { return text }
    var bytes: [UInt8] = []
    var rest = text.utf8.makeIterator()
    while let byte = rest.next() {
        switch byte {
        case 37:
            guard let high = rest.next(), let low = rest.next(),
                let first = Character(Unicode.Scalar(high)).hexDigitValue,
                let second = Character(Unicode.Scalar(low)).hexDigitValue
            else { return nil }
            bytes.append(UInt8(first << 4 | second))
        case 43 where plusIsSpace: bytes.append(32)
        default: bytes.append(byte)
        }
    }
    return String(validating: bytes, as: UTF8.self)
}

/// Everything but RFC 3986's unreserved characters as `%XX`; `keeping` names more bytes to leave alone.
nonisolated package func percentEncoded(_ text: String, keeping: String = "") -> String {
    let kept = Set(keeping.utf8)
    let hexadecimal = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case 65...90, 97...122, 48...57, 45, 46, 95, 126: bytes.append(byte)
        case _ where kept.contains(byte): bytes.append(byte)
        default: bytes.append(contentsOf: [37, hexadecimal[Int(byte >> 4)], hexadecimal[Int(byte & 15)]])
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}
