import Foundation
import Testing

/// Pages of docs/reference that list what the code has.
@Suite struct ReferenceTests {
    private func text(_ path: String) throws -> String {
        try String(contentsOf: PackageFolder.url.appending(path: path), encoding: .utf8)
    }

    /// The words in quotes between two marks of a source file.
    private func words(_ path: String, from start: String, to end: String) throws -> [String] {
        let source = try text(path)
        let begin = try #require(source.firstRange(of: start))
        let rest = source[begin.upperBound...]
        let stop = try #require(rest.firstRange(of: end))
        return rest[..<stop.lowerBound].split(separator: "\"").map(String.init).map { $0.replacing("[]", with: "") }
            .filter { $0.contains(/^[a-z0-9_.]+$/) }
    }

    @Test func everySettingIsDocumented() throws {
        let keys = try words("Sources/poiesis/Settings.swift", from: "static let keys", to: "])")
        #expect(keys.count > 30)
        let page = try text("docs/reference/configuration.md")
        for key in keys { #expect(page.contains("`\(key)`"), "docs/reference/configuration.md lacks \(key)") }
    }

    @Test func everySettingOfAClusterIsDocumented() throws {
        let keys = try words("Sources/poiesis/KubernetesSettings.swift", from: "static let kubernetesKeys", to: "}()")
        #expect(keys.count > 60)
        let page = try text("docs/reference/kubernetes.md")
        for key in keys {
            let last = key.split(separator: ".").last.map(String.init) ?? key
            let isThere = [key, last, "." + last].contains { page.contains("`\($0)`") }
            #expect(isThere, "docs/reference/kubernetes.md lacks \(key)")
        }
    }
}
