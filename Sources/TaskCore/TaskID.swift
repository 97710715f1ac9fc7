package import TES

/// A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits; so ids sort by creation and the primary key is the list order.
package struct TaskID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let high: UInt64
    package let low: UInt64

    /// - Parameter high: the first eight bytes.
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static func < (left: TaskID, right: TaskID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    /// Lower-case hexadecimal in groups of 8-4-4-4-12.
    package var description: String {
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for word in [high, low] {
            for shift in stride(from: 60, through: 0, by: -4) {
                if Self.hyphens.contains(text.count) { text.append(UInt8(ascii: "-")) }
                let digit = UInt8(truncatingIfNeeded: word >> UInt64(shift)) & 15
                text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Where the hyphens are.
    private static let hyphens = [8, 13, 18, 23]

    /// Reads what ``description`` writes, in either case; nil for anything else.
    package init?(_ text: String) {
        guard text.utf8.count == 36 else { return nil }
        var words: (high: UInt64, low: UInt64) = (0, 0)
        for (place, byte) in text.utf8.enumerated() {
            if Self.hyphens.contains(place) {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: return nil
            }
            words = (words.high << 4 | words.low >> 60, words.low << 4 | UInt64(digit))
        }
        self.init(high: words.high, low: words.low)
    }
}

/// Makes task ids that never go backwards within one process.
package struct TaskIDGenerator: Sendable {
    private var last: UInt64 = 0

    package init() {}

    /// - Parameter now: the database's clock.
    package mutating func next(now: Timestamp, random: inout some RandomNumberGenerator) -> TaskID {
        let milliseconds = UInt64(max(0, now.microseconds / 1000))
        // 12 bits below the milliseconds count ids made within one of them, so that order holds there too.
        var stamp = (milliseconds << 12) | UInt64.random(in: 0..<256, using: &random)
        if stamp <= last { stamp = last + 1 }
        last = stamp
        let high = ((stamp >> 12) << 16) | 0x7000 | (stamp & 0xFFF)
        let low = 0x8000_0000_0000_0000 | (UInt64.random(in: 0...UInt64.max, using: &random) >> 2)
        return TaskID(high: high, low: low)
    }
}
