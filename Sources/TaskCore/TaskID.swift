package import TES

/// A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits; so ids sort by creation and the primary key is the list order.
package struct TaskID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let high: UInt64
    package let low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static func < (left: TaskID, right: TaskID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    /// Lower-case hexadecimal in groups of 8-4-4-4-12.
    package var description: String {
        func hexadecimal(_ value: UInt64) -> String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        let digits = hexadecimal(high) + hexadecimal(low)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { text += "-" }
            text.append(digit)
        }
        return text
    }

    /// Reads what ``description`` writes, in either case; nil for anything else.
    package init?(_ text: String) {
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        guard groups.map(\.count) == [8, 4, 4, 4, 12], text.allSatisfy({ $0 == "-" || $0.isHexDigit }) else {
            return nil
        }
        let digits = groups.joined()
        guard let high = UInt64(digits.prefix(16), radix: 16), let low = UInt64(digits.suffix(16), radix: 16) else {
            return nil
        }
        self.init(high: high, low: low)
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
