import Foundation
import SpecDocument
import SpecGenerator
import Testing
import YAML

/// The project's own documents under `spec/`.
@Suite struct ProjectSpecificationTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let official = root.deletingLastPathComponent().appending(path: "shared/reference/spec")
    private static let hasOfficialDocuments = FileManager.default.fileExists(atPath: official.path())

    private static let document = "spec/tes/1.1.0/openapi.yaml"
    private static let serviceInfo = "spec/tes/1.1.0/service-info.yaml"
    private static let serviceInfoURL =
        "https://raw.githubusercontent.com/ga4gh-discovery/ga4gh-service-info/v1.0.0/service-info.yaml"

    @Test func generatesEveryPartWithoutDiagnostics() throws {
        let files = try GeneratorPipeline().everything(from: try input())
        #expect(files.count == 10)
        for (name, text) in files { #expect(text.count > 500, "\(name)") }
    }

    @Test func mentionsEverySchemaWhereItsTypeIsDeclared() throws {
        let names = try #require(try parse(Self.document)["components"]?["schemas"]?.entries).compactMap(\.key.text)
        #expect(names.count > 10)
        let types = try #require(try GeneratorPipeline().everything(from: try input())["Types.swift"])
        for name in names { #expect(types.contains("/// `#/components/schemas/\(name)`\n"), "\(name)") }
    }

    @Test func declaresEveryOperation() throws {
        let paths = try #require(try parse(Self.document)["paths"]?.entries)
        let ids = paths.flatMap { $0.value.entries ?? [] }.compactMap { $0.value["operationId"]?.text }
        #expect(ids.count > 4)
        let operations = try #require(try GeneratorPipeline().everything(from: try input())["Operations.swift"])
        for id in ids { #expect(operations.contains("Route(operation: \"\(id)\""), "\(id)") }
    }

    @Test func hasTheDocumentedTables() throws {
        let documented = try String(
            contentsOf: Self.root.appending(path: "docs/reference/schema.sql"), encoding: .utf8)
        #expect(
            try GeneratorPipeline().schema(from: try input()) == documented,
            "write docs/reference/schema.sql again with `tes-generate print --ddl`")
    }

    @Test(.enabled(if: hasOfficialDocuments, "the official documents lie beside the clone in the project's workshop"))
    func officialDocumentsGiveTheSameCode() throws {
        let ours = try GeneratorPipeline().everything(from: try input())
        let official = try GeneratorPipeline().everything(
            from: try input(
                document: Self.official.appending(path: "tes-v1.1.openapi.yaml"),
                serviceInfo: Self.official.appending(path: "service-info-v1.0.0.yaml")))
        #expect(ours.keys.sorted() == official.keys.sorted())
        // The served description is made of the document's own sentences.
        for (name, text) in ours where name != "Description.swift" {
            #expect(code(text) == code(official[name] ?? ""), "\(name)")
        }
    }

    @Test(.enabled(if: hasOfficialDocuments, "the official documents lie beside the clone in the project's workshop"))
    func theVersionBeforeIsUnderstoodToo() throws {
        var old = try input(document: Self.official.appending(path: "tes-v1.0.openapi.yaml"))
        old.overlay = nil
        old.persistence = nil
        let files = try GeneratorPipeline().everything(from: old)
        #expect(files["Types.swift"]?.contains("package struct TesTask: Codable") == true)
        #expect(files["Operations.swift"]?.contains("pageSize: parameters.int64(\"page_size\")") == true)
        #expect(files["JSON.swift"]?.contains("ignore_error") == false)
    }

    /// One fact of the contract, changed, and where that has to be seen.
    struct Mutation: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var fact: String
        var change: String
        var seenIn: [String]
    }

    private static let mutations = [
        Mutation(
            testDescription: "type of a property", fact: "        workdir:\n          type: string",
            change: "        workdir:\n          type: boolean",
            seenIn: ["Types.swift", "JSON.swift", "Statements.swift", "schema.sql"]),
        Mutation(
            testDescription: "required list", fact: "      required:\n        - exit_code\n", change: "",
            seenIn: ["Types.swift", "JSON.swift", "Statements.swift", "schema.sql"]),
        Mutation(
            testDescription: "enum value", fact: "        - PREEMPTED\n",
            change: "        - PREEMPTED\n        - PARKED\n",
            seenIn: ["Types.swift", "schema.sql"]),
        Mutation(
            testDescription: "new property", fact: "        ignore_error:\n",
            change: "        nice:\n          type: integer\n        ignore_error:\n",
            seenIn: ["Types.swift", "JSON.swift", "Statements.swift", "schema.sql"]),
        Mutation(
            testDescription: "new operation", fact: "  /tasks:\n",
            change: """
                  /tasks/{id}:pause:
                    post:
                      operationId: PauseTask
                      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
                      responses:
                        200: {content: {application/json: {schema: {$ref: '#/components/schemas/tesTask'}}}}
                  /tasks:

                """, seenIn: ["Operations.swift", "Client.swift", "Routes.swift"]),
        Mutation(
            testDescription: "read-only property",
            fact: "          description: The identifier the server gave the task.\n          readOnly: true\n",
            change: "", seenIn: ["JSON.swift"]),
        Mutation(
            testDescription: "path", fact: "  /tasks/{id}:cancel:\n", change: "  /tasks/{id}:stop:\n",
            seenIn: ["Operations.swift", "Client.swift", "Routes.swift"]),
    ]

    @Test(arguments: mutations)
    func everyChangedFactIsSeen(_ mutation: Mutation) throws {
        let before = try GeneratorPipeline().everything(from: try input())
        let url = Self.root.appending(path: Self.document)
        let text = try String(contentsOf: url, encoding: .utf8)
        #expect(text.contains(mutation.fact))
        var changed = try input()
        changed.files[Self.document] = try parseYAML(
            text.replacing(mutation.fact, with: mutation.change, maxReplacements: 1), file: Self.document)
        let after = try GeneratorPipeline().everything(from: changed)
        for name in mutation.seenIn { #expect(code(before[name] ?? "") != code(after[name] ?? ""), "\(name)") }
    }

    // MARK: Files

    private func input(document: URL? = nil, serviceInfo: URL? = nil) throws -> GeneratorPipeline.Input {
        GeneratorPipeline.Input(
            document: Self.document,
            files: [
                Self.document: try parse(Self.document, at: document),
                Self.serviceInfo: try parse(Self.serviceInfo, at: serviceInfo),
            ],
            references: [Self.serviceInfoURL: Self.serviceInfo], overlay: try parse("spec/overlay.yaml"),
            persistence: try parse("spec/persistence.yaml"))
    }

    private func parse(_ name: String, at url: URL? = nil) throws -> YAMLNode {
        try parseYAML(
            String(contentsOf: url ?? Self.root.appending(path: name), encoding: .utf8), file: name)
    }

    /// The lines that are neither empty nor a comment.
    private func code(_ text: String) -> [Substring] {
        text.split(separator: "\n").filter {
            let line = $0.drop { $0 == " " }
            return !line.isEmpty && !line.hasPrefix("//")
        }
    }
}
