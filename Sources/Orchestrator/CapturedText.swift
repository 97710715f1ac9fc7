/// Head and tail of a stream as text: repaired, cut at code points, with a line that says what was left out.
struct CapturedText {
    let text: String

    /// - Parameter ring: eight bytes that count, little-endian, all bytes after the head; then a ring of the last of them.
    init(head: [UInt8], ring: [UInt8], half: Int) {
        var count: UInt64 = 0
        for byte in ring.prefix(8).reversed() { count = count << 8 | UInt64(byte) }
        let kept = Array(ring.dropFirst(8))
        guard ring.count > 8, count > 0, count < UInt64(Int64.max) else {
            text = String(decoding: head, as: UTF8.self)
            return
        }
        let total = Int(count)
        if total <= kept.count || total <= half {
            text = String(decoding: head + kept.prefix(total), as: UTF8.self)
            return
        }
        let place = kept.isEmpty ? 0 : total % half
        let tail = Array(kept.dropFirst(place) + kept.prefix(place))
        let start = Self.withoutCutEnd(head)
        let end = tail.drop { $0 & 0xC0 == 0x80 }
        text =
            String(decoding: start, as: UTF8.self) + "\n[… \(total - half) bytes were left out …]\n"
            + String(decoding: end, as: UTF8.self)
    }

    /// Without a UTF-8 sequence that the cut broke off.
    private static func withoutCutEnd(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
        for length in 1...3 where length <= bytes.count {
            let byte = bytes[bytes.count - length]
            if byte & 0xC0 == 0x80 { continue }
            let needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return needed > length ? bytes.dropLast(length) : bytes[...]
        }
        return bytes[...]
    }
}
