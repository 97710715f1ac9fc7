import Foundation
import TES
import Testing

/// Documents broken at random: none brings the reader down, and none is taken that Foundation's strict parser refuses.
@Suite struct JSONMutationTests {
    private static let pieces: [[UInt8]] =
        [
            "\"", "\\", "{", "}", "[", "]", ",", ":", "null", "true", "1e999", "-", "0", "\\u0000", "\\ud800",
            "\u{FEFF}",
        ].map { Array($0.utf8) } + [[0xFF], [0xC3], [0], [0x1F]]

    @Test(arguments: 0..<8 as Range<UInt64>)
    func whatIsTakenIsJSON(_ seed: UInt64) throws {
        var generator = TaskGenerator(seed: seed)
        var taken = 0
        for _ in 0..<250 {
            let document = JSONWriter.encode(generator.task())
            for _ in 0..<8 {
                var bytes = document
                for _ in 0..<Int.random(in: 1...3, using: &generator) { Self.mutate(&bytes, &generator) }
                guard let reading = try? Reading(bytes, as: TESTask.self, .answer), reading.value != nil,
                    reading.problems.isEmpty
                else {
                    continue
                }
                taken += 1
                let isJSON = (try? JSONSerialization.jsonObject(with: Data(bytes))) != nil
                #expect(isJSON, "\(String(decoding: bytes, as: UTF8.self))")
            }
        }
        #expect(taken > 0)
    }

    @Test func anyCutIsRefused() {
        var generator = TaskGenerator(seed: 99)
        let document = JSONWriter.encode(generator.task())
        for count in 0..<document.count {
            #expect(throws: JSONSyntaxError.self) {
                try Reading(Array(document.prefix(count)), as: TESTask.self, .request)
            }
        }
    }

    private static func mutate(_ bytes: inout [UInt8], _ generator: inout TaskGenerator) {
        guard !bytes.isEmpty else { return }
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes.remove(at: place)
        case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 2: bytes.insert(contentsOf: pieces.randomElement(using: &generator) ?? [], at: place)
        default: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...20, using: &generator)))
        }
    }
}
