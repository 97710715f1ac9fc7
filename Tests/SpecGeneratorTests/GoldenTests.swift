import Foundation
import SpecGenerator
import Testing

/// `Golden/<case>/expected/` holds what the generator makes of the case's files; which files lie there says which ones
/// count. Swift is kept as `NAME.swift.txt`, so that the formatter leaves it alone.
@Suite struct GoldenTests {
    @Test(arguments: SpecificationFolder.all(in: "Golden"))
    func generatesTheExpectedText(_ folder: SpecificationFolder) throws {
        let generated = try folder.generated(from: try folder.input())
        let expected = try FileManager.default.contentsOfDirectory(
            at: folder.url.appending(path: "expected"), includingPropertiesForKeys: nil)
        #expect(!expected.isEmpty)
        for file in expected.sorted(by: { $0.path(percentEncoded: false) < $1.path(percentEncoded: false) }) {
            let name = generatedName(file.lastPathComponent)
            let text = try #require(generated[name], "no file of that name is generated")
            if SpecificationFolder.updatesExpectations { try text.write(to: file, atomically: true, encoding: .utf8) }
            let old = try String(contentsOf: file, encoding: .utf8)
            #expect(!old.isEmpty)
            #expect(text == old, "\(folder), \(name): \(firstDifference(text, old))")
        }
    }

    @Test func everyGeneratedFileHasACase() throws {
        let files = try SpecificationFolder.all(in: "Golden").flatMap {
            try FileManager.default.contentsOfDirectory(
                atPath: $0.url.appending(path: "expected").path(percentEncoded: false))
        }
        #expect(
            Set(files.map(generatedName)) == [
                "Types.swift", "JSON.swift", "Validation.swift", "Operations.swift", "Client.swift", "Routes.swift",
                "Schema.swift", "Statements.swift", "schema.sql",
            ])
    }

    @Test(arguments: SpecificationFolder.all(in: "Golden"))
    func generatesTheSameBytesAgain(_ folder: SpecificationFolder) throws {
        var input = try folder.input()
        let first = try folder.generated(from: input)
        // A dictionary of another capacity has another order.
        input.files.reserveCapacity(1000)
        input.references.reserveCapacity(1000)
        #expect(try folder.generated(from: input) == first)
    }

    private func generatedName(_ file: String) -> String {
        file.hasSuffix(".txt") ? String(file.dropLast(4)) : file
    }

    private func firstDifference(_ left: String, _ right: String) -> String {
        let pairs = zip(
            left.split(separator: "\n", omittingEmptySubsequences: false),
            right.split(separator: "\n", omittingEmptySubsequences: false))
        for (number, (new, old)) in pairs.enumerated() where new != old {
            return "line \(number + 1) is \"\(new)\", expected \"\(old)\""
        }
        return "one is longer than the other"
    }
}
