/// A point in time in microseconds since 1970-01-01T00:00:00Z, as PostgreSQL keeps it.
nonisolated package struct Timestamp: Hashable, Sendable, Comparable {
    package var microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.microseconds < right.microseconds }

    /// Bytes of ``text``.
    static let textLength = 24

    /// RFC 3339 in UTC with `Z` and milliseconds: `2026-01-31T12:00:00.250Z`.
    package var text: String {
        unsafe String(unsafeUninitializedCapacity: Self.textLength) { buffer in
            unsafe write(to: buffer.baseAddress!)
            return Self.textLength
        }
    }

    /// Writes ``text`` to memory of ``textLength`` bytes.
    func write(to memory: UnsafeMutablePointer<UInt8>) {
        let seconds = Self.floorDivide(microseconds, 1_000_000)
        let milliseconds = (microseconds - seconds * 1_000_000) / 1000
        let days = Self.floorDivide(seconds, 86400)
        let (year, month, day) = Self.civil(days)
        let time = seconds - days * 86400
        func digits(_ value: Int64, _ place: Int, _ count: Int) {
            var value = UInt32(truncatingIfNeeded: value)
            for place in stride(from: place + count - 1, through: place, by: -1) {
                unsafe memory[place] = UInt8(truncatingIfNeeded: 48 + value % 10)
                value /= 10
            }
        }
        for (place, byte) in [(4, 45), (7, 45), (10, 84), (13, 58), (16, 58), (19, 46), (23, 90)] as [(Int, UInt8)] {
            unsafe memory[place] = byte
        }
        digits(year, 0, 4)
        digits(month, 5, 2)
        digits(day, 8, 2)
        digits(time / 3600, 11, 2)
        digits(time / 60 % 60, 14, 2)
        digits(time % 60, 17, 2)
        digits(milliseconds, 20, 3)
    }

    /// Reads RFC 3339; nil for anything else. A leap second reads as the second after it.
    package init?(_ text: String) { self.init(utf8: text.utf8.span) }

    init?(utf8 bytes: Span<UInt8>) {
        guard bytes.count >= 20 else { return nil }
        func number(_ from: Int, _ count: Int) -> Int64? {
            guard from + count <= bytes.count else { return nil }
            var value: Int64 = 0
            for index in from..<from + count {
                guard (48...57).contains(bytes[index]) else { return nil }
                value = value * 10 + Int64(bytes[index] - 48)
            }
            return value
        }
        guard let year = number(0, 4), bytes[4] == 45, let month = number(5, 2), bytes[7] == 45,
            let day = number(8, 2), bytes[10] == 84 || bytes[10] == 116 || bytes[10] == 32,
            let hour = number(11, 2), bytes[13] == 58, let minute = number(14, 2), bytes[16] == 58,
            let second = number(17, 2), (1...12).contains(month), (1...Self.days(year, month)).contains(day),
            hour < 24, minute < 60, second <= 60
        else { return nil }
        var index = 19
        var fraction: Int64 = 0
        if bytes[index] == 46 {
            index += 1
            var scale: Int64 = 100_000
            let start = index
            while index < bytes.count, (48...57).contains(bytes[index]) {
                fraction += Int64(bytes[index] - 48) * scale
                scale /= 10
                index += 1
            }
            guard index > start else { return nil }
        }
        guard index < bytes.count else { return nil }
        var offset: Int64 = 0
        if bytes[index] == 90 || bytes[index] == 122 {
            guard index + 1 == bytes.count else { return nil }
        } else {
            guard bytes[index] == 43 || bytes[index] == 45, index + 6 == bytes.count, bytes[index + 3] == 58,
                let hours = number(index + 1, 2), let minutes = number(index + 4, 2), hours < 24, minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * 60 * (bytes[index] == 43 ? 1 : -1)
        }
        let seconds = Self.dayNumber(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
        // Only the offset can leave the years that four digits write.
        let years = Self.dayNumber(0, 1, 1) * 86400..<Self.dayNumber(10000, 1, 1) * 86400
        guard years.contains(seconds) else { return nil }
        microseconds = seconds * 1_000_000 + fraction
    }

    // Howard Hinnant's civil calendar arithmetic: https://howardhinnant.github.io/date_algorithms.html

    private static func dayNumber(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = floorDivide(shifted, 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let part = (5 * dayOfYear + 2) / 153
        let month = part < 10 ? part + 3 : part - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * part + 2) / 5 + 1)
    }

    private static func days(_ year: Int64, _ month: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor)
    }
}

nonisolated extension Timestamp: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Timestamp(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(text) is no RFC 3339 time")
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
