import Foundation
import Testing

/// Pages of docs/reference that list what the code has.
@Suite struct ReferenceTests {
    private func text(_ path: String) throws -> String {
        try String(contentsOf: PackageFolder.url.appending(path: path), encoding: .utf8)
    }

    @Test func everySettingIsDocumented() throws {
        let source = try text("Sources/poiesis/Settings.swift")
        let start = try #require(source.firstRange(of: "static let keys = ["))
        let lines = source[start.upperBound...].split(separator: "\n").prefix {
            $0.trimmingCharacters(in: .whitespaces) != "]"
        }
        let keys = lines.joined().split(separator: "\"").map(String.init).filter { $0.contains(/^[a-z0-9_.]+(\[\])?$/) }
        #expect(keys.count > 30)
        let page = try text("docs/reference/configuration.md")
        for key in keys {
            #expect(page.contains("`\(key.replacing("[]", with: ""))`"), "docs/reference/configuration.md lacks \(key)")
        }
    }
}
