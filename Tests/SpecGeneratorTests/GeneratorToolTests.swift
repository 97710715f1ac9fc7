import Foundation
import Testing

/// The command line, as the build plugin runs it.
@Suite struct GeneratorToolTests {
    private static let tool = SwiftCompiler.root.appending(path: ".build/debug/tes-generate")
        .path(percentEncoded: false)

    @Test(
        .enabled(if: FileManager.default.isExecutableFile(atPath: tool), "tes-generate is built into .build/debug"))
    func writesOnlyWhatChanged() async throws {
        let folder = try SwiftCompiler.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let document = folder.appending(path: "spec.yaml")
        func generate(_ properties: String) async throws -> [String: Date] {
            try """
            openapi: 3.0.1
            info: {title: Tool, version: 1.0.0}
            components: {schemas: {Job: {type: object, properties: {\(properties)}}}}
            """.write(to: document, atomically: true, encoding: .utf8)
            let result = try await SwiftCompiler.shared.run([
                Self.tool, "generate", "--part", "types", "--document", document.path(percentEncoded: false),
                "--output", folder.appending(path: "out").path(percentEncoded: false),
            ])
            #expect(result.status == 0, "\(result.output)")
            var dates: [String: Date] = [:]
            let files = try FileManager.default.contentsOfDirectory(
                at: folder.appending(path: "out"), includingPropertiesForKeys: [.contentModificationDateKey])
            for file in files {
                // A new value each time: they keep what they read.
                let url = URL(filePath: file.path(percentEncoded: false))
                dates[file.lastPathComponent] =
                    try url.resourceValues(forKeys: [.contentModificationDateKey])
                    .contentModificationDate
            }
            return dates
        }
        let first = try await generate("name: {type: string}")
        #expect(first.count == 5)
        #expect(try await generate("name: {type: string, example: a}") == first)
        let changed = try await generate("name: {type: string, maxLength: 3}")
        #expect(Set(changed.keys.filter { changed[$0] != first[$0] }) == ["Validation.swift"])
    }
}
