/// Plain text in JSON ends at a quotation mark, a backslash or a control character. It is looked for eight bytes at a time: this is where
/// most of the time of reading and writing goes.

/// The high bit of each of eight bytes.
nonisolated let highBits: UInt64 = 0x8080_8080_8080_8080

/// The high bit of each byte that is below 32, a quotation mark or a backslash; exact up to the first such byte.
/// https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord
@inline(__always)
nonisolated func specialBytes(_ word: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let quote = word ^ (ones &* 34)
    let backslash = word ^ (ones &* 92)
    let control = (word &- (ones &* 32)) & ~word
    return (control | ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)) & highBits
}
