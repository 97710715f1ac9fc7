import Foundation
import TES
import Testing

@Suite struct TimestampTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z"),
        ("2026-01-31T12:00:00.25Z", 1_769_860_800_250_000, "2026-01-31T12:00:00.250Z"),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000, "2024-02-29T00:00:00.000Z"),
        ("2000-02-29T23:59:59Z", 951_868_799_000_000, "2000-02-29T23:59:59.000Z"),
        ("1969-12-31T23:59:59.999Z", -1000, "1969-12-31T23:59:59.999Z"),
        ("1900-03-01T00:00:00Z", -2_203_891_200_000_000, "1900-03-01T00:00:00.000Z"),
        ("2026-06-30T14:30:00+05:30", 1_782_810_000_000_000, "2026-06-30T09:00:00.000Z"),
        ("2026-01-01T00:30:00+01:00", 1_767_223_800_000_000, "2025-12-31T23:30:00.000Z"),
        ("2025-12-31T23:30:00-01:00", 1_767_227_400_000_000, "2026-01-01T00:30:00.000Z"),
        ("2026-01-31T12:00:00-00:00", 1_769_860_800_000_000, "2026-01-31T12:00:00.000Z"),
        ("2026-01-31t12:00:00z", 1_769_860_800_000_000, "2026-01-31T12:00:00.000Z"),
        ("2026-01-31 12:00:00Z", 1_769_860_800_000_000, "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00.1234567899Z", 1_769_860_800_123_456, "2026-01-31T12:00:00.123Z"),
        ("2026-01-31T12:00:00.000001+00:00", 1_769_860_800_000_001, "2026-01-31T12:00:00.000Z"),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000, "2017-01-01T00:00:00.000Z"),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000_000, "0000-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999, "9999-12-31T23:59:59.999Z"),
    ])
    func isReadAndWritten(_ text: String, _ microseconds: Int64, _ written: String) throws {
        let time = try #require(Timestamp(text))
        #expect(time.microseconds == microseconds)
        #expect(time.text == written)
    }

    @Test(arguments: [
        "", "2026", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00Z", "2026-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-00-10T00:00:00Z",
        "2026-13-10T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00.5", "2026-01-31T12:00:00+0100", "2026-01-31T12:00:00+01", "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+01:60", "2026-01-31T12:00:00 Z", "2026-01-31T12:00:00Zx", " 2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z ", "20260131T120000Z0000", "2026/01/31T12:00:00Z", "2026-01-31_12:00:00Z",
        "+2026-01-31T12:00:00Z", "-026-01-31T12:00:00Z", "2026-1-31T12:00:00.0Z", "12026-01-31T12:00:00Z",
        "\u{ff12}026-01-31T12:00:00Z", "0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
    ])
    func refuses(_ text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func readsWhatItWrote(_ seed: UInt64) {
        var generator = TaskGenerator(seed: seed)
        for _ in 0..<500 {
            let time = generator.time()
            #expect(Timestamp(time.text) == time)
        }
    }

    @Test func agreesWithFoundationOnTheCalendar() throws {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        var generator = TaskGenerator(seed: 3)
        for _ in 0..<300 {
            let milliseconds = Int64.random(in: -10_000_000_000_000...20_000_000_000_000, using: &generator)
            let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000)
            let time = Timestamp(microseconds: milliseconds * 1000)
            // Foundation cuts a fraction that a Double may hold a little too small.
            #expect(time.text.prefix(19) == style.format(date.addingTimeInterval(0.0001)).prefix(19))
        }
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000000Z"), (1, "1970-01-01T00:00:00.000001Z"), (-1, "1969-12-31T23:59:59.999999Z"),
        (1_769_860_800_123_456, "2026-01-31T12:00:00.123456Z"), (-1_000_001, "1969-12-31T23:59:58.999999Z"),
    ])
    func theDatabaseGetsMicroseconds(_ microseconds: Int64, _ text: String) {
        let time = Timestamp(microseconds: microseconds)
        #expect(time.databaseText == text)
        #expect(Timestamp(text) == time)
    }

    @Test func timesAreOrdered() throws {
        let texts = [
            "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.001Z",
        ]
        let times = try texts.map { try #require(Timestamp($0)) }
        #expect(times.shuffled().sorted() == times)
    }
}
