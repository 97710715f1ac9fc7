import TES
import TaskCore
import Testing

@Suite("Task id")
struct TaskIDTests {
    /// SplitMix64: the same numbers in every run.
    struct Numbers: RandomNumberGenerator {
        var state: UInt64 = 42

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var value = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
            return value ^ (value >> 31)
        }
    }

    private func ids(at times: [Int64]) -> [TaskID] {
        var generator = TaskIDGenerator()
        var numbers = Numbers()
        return times.map { generator.next(now: Timestamp(microseconds: $0), random: &numbers) }
    }

    @Test func isAUUIDOfVersion7() {
        for id in ids(at: [0, 1_700_000_000_000_000, 1_800_000_000_123_456]) {
            let text = id.description
            #expect(text.count == 36 && text == text.lowercased())
            #expect(text.split(separator: "-").map(\.count) == [8, 4, 4, 4, 12])
            #expect(Array(text)[14] == "7")
            #expect("89ab".contains(Array(text)[19]))
        }
    }

    @Test func beginsWithTheMilliseconds() throws {
        let id = try #require(ids(at: [1_706_702_400_123_999]).first)
        #expect(id.high >> 16 == 1_706_702_400_123)
    }

    @Test func laterIdsAreGreater() {
        let made = ids(at: (0..<500).map { 1_700_000_000_000_000 + $0 * 700 })
        #expect(made == made.sorted())
        #expect(made.map(\.description) == made.map(\.description).sorted())
        #expect(Set(made).count == made.count)
    }

    @Test func neverGoesBackwardsWhenTheClockDoes() {
        let made = ids(at: [1_700_000_000_000_000, 1_600_000_000_000_000, 0, -5_000_000, 1_600_000_000_000_001])
        #expect(zip(made, made.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test func manyIdsInOneMillisecondKeepTheirOrder() {
        let made = ids(at: Array(repeating: 1_700_000_000_000_000, count: 10_000))
        #expect(zip(made, made.dropFirst()).allSatisfy { $0 < $1 })
        #expect(made.allSatisfy { $0.description.dropFirst(14).first == "7" })
    }

    @Test func isReadBackFromItsText() throws {
        for id in ids(at: [0, 1, 1_700_000_000_000_000]) {
            #expect(TaskID(id.description) == id)
            #expect(TaskID(id.description.uppercased()) == id)
        }
        let least = try #require(TaskID("00000000-0000-0000-0000-000000000000"))
        #expect(least.description == "00000000-0000-0000-0000-000000000000")
        let most = try #require(TaskID("ffffffff-ffff-ffff-ffff-ffffffffffff"))
        #expect(least < most && most.low == .max)
    }

    @Test(arguments: [
        "", "x", "00000000000000000000000000000000", "0000000-00000-0000-0000-000000000000",
        "00000000-0000-0000-0000-00000000000g", "00000000-0000-0000-0000-0000000000000",
        " 0000000-0000-0000-0000-000000000000", "+0000000-0000-0000-0000-000000000000",
        "00000000-0000-0000-0000-00000000000０", "{0000000-0000-0000-0000-000000000000}",
        "00000000-0000-0000-0000-000000000000-",
    ])
    func otherTextIsNoId(_ text: String) {
        #expect(TaskID(text) == nil)
    }
}
