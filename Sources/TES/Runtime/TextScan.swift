/// Finds what ends a run of plain text in JSON: a quotation mark, a backslash or a control character. Eight bytes at a time.
///
/// This is where most of the time of reading and writing JSON goes, hence the unchecked loads; each is inside the span.
@inline(__always)
func plainTextEnd(_ span: Span<UInt8>, from start: Int) -> Int {
    let count = span.count
    let bytes = unsafe span.bytes
    var index = start
    while index + 8 <= count {
        let word = unsafe UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
        let found = specialBytes(word)
        if found != 0 { return index + found.trailingZeroBitCount / 8 }
        index += 8
    }
    while index < count {
        let byte = span[index]
        if byte < 32 || byte == 34 || byte == 92 { return index }
        index += 1
    }
    return count
}

/// The high bit of each byte that is below 32, a quotation mark or a backslash; exact up to the first such byte.
/// https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord
@inline(__always)
private func specialBytes(_ word: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let high: UInt64 = 0x8080_8080_8080_8080
    let quote = word ^ (ones &* 34)
    let backslash = word ^ (ones &* 92)
    let control = (word &- (ones &* 32)) & ~word
    return (control | ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)) & high
}
