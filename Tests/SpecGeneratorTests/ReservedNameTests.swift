import Foundation
import SpecDocument
import SpecGenerator
import Testing
import YAML

/// A schema with the name of a type that generated code uses would change what that code means: each such name is refused.
@Suite struct ReservedNameTests {
    private static let fixed = [
        "TESClient", "TESHandlers", "TESRoutes", "TESDescription", "TaskSchema", "CodingKeys", "Input", "Output",
        "Context", "Self", "Type", "Protocol", "Any", "Optional", "Array", "Dictionary",
    ]

    @Test func refusesWhatGeneratedCodeNames() throws {
        var used = Set(Self.fixed)
        for folder in SpecificationFolder.all(in: "Golden") {
            let files = try folder.generated(from: try folder.input()).filter {
                $0.key.hasSuffix(".swift")
            }
            // Members are written behind a dot; what a file declares is the document's own.
            let code = files.values.map(Self.withoutText).joined(separator: "\n")
            let declared = Set(
                code.matches(of: /(?:struct|enum|protocol|typealias|associatedtype) (\w+)/).map { $0.output.1 })
            for match in code.matches(of: /(?:^|[^.\w])([A-Z]\w*)/) where !declared.contains(match.output.1) {
                used.insert(String(match.output.1))
            }
        }
        #expect(used.count > 40)
        for name in used.sorted() { #expect(Self.isRefused(name), "\(name)") }
    }

    @Test func refusesWhatTheRuntimeDeclares() throws {
        var declared: [String] = []
        for file in try SwiftCompiler.runtime() {
            let code = try String(contentsOfFile: file, encoding: .utf8)
            declared += code.matches(
                of:
                    /(?m)^(?:@safe |nonisolated |package |public |final )*(?:struct|enum|protocol|class|typealias) (\w+)/
            )
            .map { String($0.output.1) }
        }
        #expect(declared.count > 10)
        for name in declared { #expect(Self.isRefused(name), "\(name)") }
    }

    /// What no type of a document may be called, no client may be called, but by the name that it has anyway.
    @Test(arguments: ["Self", "String", "Task", "ClientTransport", "JSONReader", "Input", "TESHandlers", "TESClient"])
    func refusesTheSameNamesForAClient(_ name: String) throws {
        let text = #"{"document": "a", "access": "public", "parts": ["types", "client"], "clientName": "\#(name)"}"#
        let node = try parseYAML(text, file: "tes-generate.json")
        if name == "TESClient" {
            #expect(throws: Never.self) { try GeneratorConfiguration(node) }
        } else {
            #expect(throws: Diagnostics.self) { try GeneratorConfiguration(node) }
        }
    }

    @Test func takesOtherNames() {
        for name in ["Job", "TESTask", "Strings", "JSONDocument"] { #expect(!Self.isRefused(name), "\(name)") }
    }

    /// Without comments and the insides of literals.
    private static func withoutText(_ code: String) -> String {
        code.split(separator: "\n").map { line in
            let text = line.replacing(/"(?:[^"\\]|\\.)*"/, with: "\"\"")
            return text.split(separator: "//", maxSplits: 1, omittingEmptySubsequences: false).first.map(String.init)
                ?? ""
        }.joined(separator: "\n")
    }

    private static func isRefused(_ name: String) -> Bool {
        let text = """
            openapi: 3.0.1
            info: {title: Names, version: 1.0.0}
            components: {schemas: {\(name): {type: object}}}
            """
        do {
            let node = try parseYAML(text, file: "spec.yaml")
            _ = try GeneratorPipeline().everything(from: .init(document: "spec.yaml", files: ["spec.yaml": node]))
            return false
        } catch let error as Diagnostics {
            return error.description.contains("the Swift type name \(name) has another meaning")
        } catch {
            return false
        }
    }
}
