import Foundation
import Testing

@Suite struct SourceFileTests {
    @Test(arguments: ["Sources", "Tests", "Plugins", "Examples"])
    func noSwiftFileIsLongerThan500Lines(below folder: String) {
        let files = PackageFolder.swiftFiles(below: folder)
        #expect(!files.isEmpty)
        for file in files { #expect(file.lineCount <= 500, "\(file.path)") }
    }

    @Test(arguments: ["public", "open", "@testable", "@_exported", "try!"])
    func sourcesDoWithout(_ word: String) throws {
        let files = PackageFolder.sources
        #expect(!files.isEmpty)
        let pattern = try word.last == "!" ? Regex("\\b\(word)") : Regex("(?:^|\\s)\(word)\\s+(?:\\w|@)")
        for file in files {
            for (index, line) in file.code.enumerated() where line.contains(word) && line.contains(pattern) {
                Issue.record("\(file.path):\(index + 1): \(word)")
            }
        }
    }

    @Test func commentsAndTextAreNoCode() {
        let file = SwiftFile(
            path: "A.swift",
            text: """
                let a = "public func" // public func
                /// public
                let b = "a \\" public" + c
                """ + "\nlet d = \"\"\"\n    public \\\n    func\n    \"\"\"\npublic func e() {}\n")
        #expect(file.code.indices.filter { file.code[$0].contains("public") } == [7])
        #expect(file.code[2] == "let b =  + c")
        #expect(file.lineCount == 8)
    }

    @Test func everyCauseIsDocumentedAndNoOtherOne() throws {
        let source = try String(
            contentsOf: PackageFolder.url.appending(path: "Sources/TaskCore/Cause.swift"), encoding: .utf8)
        let start = try #require(source.firstRange(of: "package var name: String {")).upperBound
        let end = try #require(source[start...].firstRange(of: "\n    }\n")).lowerBound
        let names = Set(source[start..<end].matches(of: /case \.\w+: "([^"]+)"/).map { String($0.1) })
        #expect(names.count > 10)

        let page = try String(
            contentsOf: PackageFolder.url.appending(path: "docs/reference/outcomes.md"), encoding: .utf8)
        let documented = page.split(separator: "\n").compactMap { $0.firstMatch(of: /^\| *`([^`]+)` *\|/) }
            .map { String($0.1) }
        #expect(Set(documented) == names)
        #expect(documented.count == Set(documented).count)
    }
}
