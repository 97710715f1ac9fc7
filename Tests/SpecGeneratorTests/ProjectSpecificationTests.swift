import Foundation
import SpecDocument
import SpecGenerator
import Testing
import YAML

/// The project's own documents under `spec/`.
@Suite struct ProjectSpecificationTests {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let officialFolder = root.deletingLastPathComponent().appending(path: "shared/reference/spec")
    static let hasOfficialDocuments = FileManager.default.fileExists(
        atPath: officialFolder.path(percentEncoded: false))

    static let document = "spec/tes/1.1.0/openapi.yaml"
    private static let serviceInfo = "spec/tes/1.1.0/service-info.yaml"
    private static let serviceInfoURL =
        "https://raw.githubusercontent.com/ga4gh-discovery/ga4gh-service-info/v1.0.0/service-info.yaml"

    @Test func generatesEveryPartWithoutDiagnostics() throws {
        let files = try GeneratorPipeline().everything(from: try Self.input())
        #expect(files.count == 10)
        for (name, text) in files { #expect(text.count > 500, "\(name)") }
    }

    @Test func mentionsEverySchemaWhereItsTypeIsDeclared() throws {
        let names = try #require(try Self.parse(Self.document)["components"]?["schemas"]?.entries).compactMap(
            \.key.text)
        #expect(names.count > 10)
        let types = try #require(try GeneratorPipeline().everything(from: try Self.input())["Types.swift"])
        for name in names { #expect(types.contains("/// `#/components/schemas/\(name)`\n"), "\(name)") }
    }

    @Test func declaresEveryOperation() throws {
        let paths = try #require(try Self.parse(Self.document)["paths"]?.entries)
        let ids = paths.flatMap { $0.value.entries ?? [] }.compactMap { $0.value["operationId"]?.text }
        #expect(ids.count > 4)
        let operations = try #require(try GeneratorPipeline().everything(from: try Self.input())["Operations.swift"])
        for id in ids { #expect(operations.contains("Route(operation: \"\(id)\""), "\(id)") }
    }

    @Test func hasTheDocumentedTables() throws {
        let documented = try String(
            contentsOf: Self.root.appending(path: "docs/reference/schema.sql"), encoding: .utf8)
        #expect(
            try GeneratorPipeline().schema(from: try Self.input()) == documented,
            "write docs/reference/schema.sql again with `tes-generate print --ddl`")
    }

    @Test(.enabled(if: hasOfficialDocuments, "the official documents lie beside the clone in the project's workshop"))
    func officialDocumentsGiveTheSameCode() throws {
        let ours = try GeneratorPipeline().everything(from: try Self.input())
        let official = try GeneratorPipeline().everything(from: try Self.official())
        #expect(ours.keys.sorted() == official.keys.sorted())
        // The served description is made of the document's own sentences.
        for (name, text) in ours where name != "Description.swift" {
            #expect(code(text) == code(official[name] ?? ""), "\(name)")
        }
    }

    @Test(.enabled(if: hasOfficialDocuments, "the official documents lie beside the clone in the project's workshop"))
    func theVersionBeforeIsUnderstoodToo() throws {
        let files = try GeneratorPipeline().everything(from: try Self.versionBefore())
        #expect(files["Types.swift"]?.contains("package struct TesTask: Codable") == true)
        #expect(files["Operations.swift"]?.contains("pageSize: parameters.int64(\"page_size\")") == true)
        #expect(files["JSON.swift"]?.contains("ignore_error") == false)
    }

    // MARK: Files

    /// The official documents in place of ours, under our overlay.
    static func official() throws -> GeneratorPipeline.Input {
        try Self.input(
            document: Self.officialFolder.appending(path: "tes-v1.1.openapi.yaml"),
            serviceInfo: Self.officialFolder.appending(path: "service-info-v1.0.0.yaml"))
    }

    /// TES 1.0 as it was published, with nothing of ours.
    static func versionBefore() throws -> GeneratorPipeline.Input {
        var old = try Self.input(document: Self.officialFolder.appending(path: "tes-v1.0.openapi.yaml"))
        old.overlay = nil
        old.persistence = nil
        return old
    }

    static func input(document: URL? = nil, serviceInfo: URL? = nil) throws -> GeneratorPipeline.Input {
        GeneratorPipeline.Input(
            document: Self.document,
            files: [
                Self.document: try Self.parse(Self.document, at: document),
                Self.serviceInfo: try Self.parse(Self.serviceInfo, at: serviceInfo),
            ],
            references: [Self.serviceInfoURL: Self.serviceInfo], overlay: try Self.parse("spec/overlay.yaml"),
            persistence: try Self.parse("spec/persistence.yaml"))
    }

    private static func parse(_ name: String, at url: URL? = nil) throws -> YAMLNode {
        try parseYAML(
            String(contentsOf: url ?? Self.root.appending(path: name), encoding: .utf8), file: name)
    }
}

/// The lines that are neither empty nor a comment.
func code(_ text: String) -> [Substring] {
    text.split(separator: "\n").filter {
        let line = $0.drop { $0 == " " }
        return !line.isEmpty && !line.hasPrefix("//")
    }
}
