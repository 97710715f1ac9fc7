import Foundation
import TES
import Testing

/// What `scripts/fuzz json` found: documents that reach every corner of the reader.
@Suite struct FuzzedDocumentTests {
    private static func corpus() throws -> [[UInt8]] {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fuzzing/corpus/json.txt")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map {
            try Array(#require(Data(base64Encoded: String($0))))
        }
    }

    @Test func whatReadsIsWrittenAndReadsTheSame() throws {
        var taken = 0
        for bytes in try Self.corpus() {
            for purpose in [JSONReader.Purpose.request, .answer] {
                guard let reading = try? Reading(bytes, as: TESTask.self, purpose), reading.problems.isEmpty,
                    let task = reading.value
                else { continue }
                taken += 1
                let written = JSONWriter.encode(task)
                let again = try Reading(written, as: TESTask.self, .answer)
                #expect(try JSONWriter.encode(#require(again.value)) == written)
            }
        }
        #expect(taken > 20)
    }

    /// Nothing is taken that Foundation's parser refuses; what it takes and this one does not is refused for a reason of its own.
    @Test func whatIsTakenIsJSON() throws {
        for bytes in try Self.corpus() {
            guard let reading = try? Reading(bytes, as: TESTask.self, .answer), reading.value != nil else { continue }
            let isJSON = (try? JSONSerialization.jsonObject(with: Data(bytes))) != nil
            #expect(isJSON, "\(String(decoding: bytes, as: UTF8.self))")
        }
    }
}
