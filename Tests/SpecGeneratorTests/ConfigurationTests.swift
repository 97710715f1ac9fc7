import Foundation
import SpecGenerator
import Testing
import YAML

/// What a consumer's `tes-generate.json` chooses. What it is refused for lies in `Refusals/configuration-*`.
@Suite struct ConfigurationTests {
    private static let files: [GeneratorConfiguration.Part: Set<String>] = [
        .types: ["Types.swift", "JSON.swift"], .validation: ["Validation.swift"],
        .client: ["Operations.swift", "Client.swift"],
    ]

    @Test(arguments: [[], [.validation], [.client], [.validation, .client]] as [[GeneratorConfiguration.Part]])
    func generatesTheChosenPartsAndNoOther(_ more: [GeneratorConfiguration.Part]) throws {
        let chosen = [.types] + more
        let generated = try generate(access: .package, chosen)
        #expect(Set(generated.map(\.name)) == chosen.reduce(into: []) { $0.formUnion(Self.files[$1] ?? []) })
    }

    @Test(arguments: AccessLevel.allCases)
    func everyDeclarationHasTheAccessLevel(_ access: AccessLevel) throws {
        let other = AccessLevel.allCases.filter { $0 != access }.map(\.rawValue)
        for file in try generate(access: access, GeneratorConfiguration.Part.allCases) {
            let words = code(file.text).flatMap { $0.split(separator: " ") }
            #expect(words.contains { $0 == access.rawValue }, "\(file.name)")
            for word in other { #expect(!words.contains { $0 == word }, "\(file.name)") }
        }
    }

    @Test func aClientHoldsNothingOfAServer() throws {
        let text = try generate(access: .package, [.types, .client]).map(\.text).joined()
        for word in ["RequestParameters", "TESHandlers", "TESRoutes", "OperationNotImplemented"] {
            #expect(!text.contains(word), "\(word)")
        }
        #expect(text.contains("static let basePath = \"/ga4gh/tes/v1\""))
    }

    @Test func theRuntimeGetsTheAccessLevelInItsCodeAlone() throws {
        let folder = ProjectSpecificationTests.root.appending(path: "Sources/TES/Runtime")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path(percentEncoded: false))
        #expect(names.count > 10)
        for name in names {
            let source = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
            let own = GeneratedFile.runtime(name: name, source: source, access: .package)
            #expect(code(own.text) == code(source), "\(name)")
            let open = GeneratedFile.runtime(name: name, source: source, access: .public)
            #expect(!code(open.text).joined().contains("package "), "\(name)")
            #expect(comments(open.text) == comments(own.text), "\(name)")
        }
    }

    private func comments(_ text: String) -> [Substring] {
        text.split(separator: "\n").filter { $0.drop { $0 == " " }.hasPrefix("//") }
    }

    private func generate(access: AccessLevel, _ parts: [GeneratorConfiguration.Part]) throws -> [GeneratedFile] {
        let list = parts.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
        let text = "{\"document\": \"spec.yaml\", \"access\": \"\(access.rawValue)\", \"parts\": [\(list)]}"
        return try GeneratorPipeline.generate(
            try GeneratorConfiguration(try parseYAML(text, file: "tes-generate.json")),
            from: try ProjectSpecificationTests.input())
    }
}
