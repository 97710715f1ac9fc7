import Foundation
import SpecDocument
import SpecGenerator
import YAML

/// A folder with the files of one run of the generator; diagnostics name them by their name alone.
struct SpecificationFolder: Sendable, CustomStringConvertible {
    /// What `spec.yaml` calls `second.yaml` in its references.
    static let secondDocument = "https://example.org/second.yaml"

    let url: URL
    var description: String { url.lastPathComponent }

    /// Every folder below `Golden` or `Refusals`, in the order of their names.
    static func all(in group: String) -> [SpecificationFolder] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: group)
        let found = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        return found.filter(\.hasDirectoryPath).map(SpecificationFolder.init(url:))
            .sorted { $0.description < $1.description }
    }

    /// Whether expected files are written instead of compared.
    static var updatesExpectations: Bool { ProcessInfo.processInfo.environment["POIESIS_UPDATE_GOLDEN"] == "1" }

    func input() throws -> GeneratorPipeline.Input {
        if let configuration = try configuration() {
            return try configuration.input { (name) throws(Diagnostics) in
                do { return try parse(name) } catch let error as YAMLError {
                    throw Diagnostics([
                        Diagnostic(error.location, error.message, hint: "the file must be YAML or JSON, one document")
                    ])
                } catch { return nil }
            }
        }
        var files = ["spec.yaml": try require("spec.yaml")]
        if let second = try parse("second.yaml") { files["second.yaml"] = second }
        return GeneratorPipeline.Input(
            document: "spec.yaml", files: files, references: [Self.secondDocument: "second.yaml"],
            overlay: try parse("overlay.yaml"), persistence: try parse("persistence.yaml"))
    }

    /// What the generator makes of the input: what the folder's `tes-generate.json` asks for; everything where it has none.
    func generated(from input: GeneratorPipeline.Input) throws -> [String: String] {
        guard let configuration = try configuration() else { return try GeneratorPipeline().everything(from: input) }
        let files = try GeneratorPipeline.generate(configuration, from: input)
        return Dictionary(uniqueKeysWithValues: files.map { ($0.name, $0.text) })
    }

    private func configuration() throws -> GeneratorConfiguration? {
        try parse("tes-generate.json").map { try GeneratorConfiguration($0) }
    }

    private func require(_ name: String) throws -> YAMLNode {
        try parseYAML(String(contentsOf: url.appending(path: name), encoding: .utf8), file: name)
    }

    private func parse(_ name: String) throws -> YAMLNode? {
        FileManager.default.fileExists(atPath: url.appending(path: name).path(percentEncoded: false))
            ? try require(name) : nil
    }
}

extension GeneratorPipeline {
    /// Every file that the generator can make of an input, the DDL as `schema.sql` among them.
    func everything(from input: Input) throws -> [String: String] {
        var result: [String: String] = [:]
        for part in GeneratedPart.allCases where part != .store || input.persistence != nil {
            for file in try generate(part, from: input) { result[file.name] = file.text }
        }
        if input.persistence != nil { result["schema.sql"] = try schema(from: input) }
        return result
    }
}
