import Foundation
import SpecDocument
import SpecGenerator
import Testing
import YAML

/// What `scripts/fuzz yaml` found: documents that reach many corners of the loader and the generator.
@Suite struct FuzzedDocumentTests {
    @Test func eachIsRefusedOrBecomesTheSameCodeTwice() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fuzzing/corpus/yaml.txt")
        var counts = (refused: 0, generated: 0)
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
            let text = String(decoding: try #require(Data(base64Encoded: String(line))), as: UTF8.self)
            guard let node = try? parseYAML(text, file: "fuzz.yaml") else { continue }
            let input = GeneratorPipeline.Input(document: "fuzz.yaml", files: ["fuzz.yaml": node])
            _ = try? Overlay(node).apply(to: node)
            do throws(Diagnostics) {
                let files = try GeneratorPipeline().generate(.types, from: input)
                #expect(try GeneratorPipeline().generate(.types, from: input) == files)
                counts.generated += 1
            } catch {
                #expect(!error.all.isEmpty)
                counts.refused += 1
            }
        }
        #expect(counts.refused > 50 && counts.generated > 5)
    }
}
