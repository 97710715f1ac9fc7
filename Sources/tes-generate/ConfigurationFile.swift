import Foundation
import SpecDocument
import SpecGenerator
import YAML

/// Another package's `tes-generate.json` on the disk, and what it asks for.
struct ConfigurationFile {
    private let configuration: GeneratorConfiguration
    private let input: GeneratorPipeline.Input

    init(_ path: String) throws {
        let file = URL(filePath: path)
        let folder = file.deletingLastPathComponent()
        guard let data = FileManager.default.contents(atPath: path) else {
            throw UsageError(message: "cannot read \(path)")
        }
        let node = try Self.parse(data, path)
        // The plugin reads the file with Foundation, which knows no YAML: what only one of the two understands is an error.
        if (try? JSONSerialization.jsonObject(with: data)) == nil {
            throw Diagnostics([
                Diagnostic(
                    node.location, "the configuration is YAML, but no JSON",
                    hint: "put names and text in quotation marks, and write no comments")
            ])
        }
        configuration = try GeneratorConfiguration(node)
        input = try configuration.input { (name) throws(Diagnostics) in
            let url = URL(filePath: name, relativeTo: folder).standardizedFileURL
            guard let data = FileManager.default.contents(atPath: url.path(percentEncoded: false)) else { return nil }
            return try Self.parse(data, url.path(percentEncoded: false))
        }
    }

    /// The chosen parts, and the given sources of the runtime with the configuration's access level.
    func generate(runtime: [String]) throws -> [GeneratedFile] {
        let files = try GeneratorPipeline.generate(configuration, from: input)
        return files
            + (try runtime.map { path in
                GeneratedFile.runtime(
                    name: URL(filePath: path).lastPathComponent,
                    source: try String(contentsOf: URL(filePath: path), encoding: .utf8), access: configuration.access)
            })
    }

    private static func parse(_ data: Data, _ path: String) throws(Diagnostics) -> YAMLNode {
        do throws(YAMLError) {
            return try parseYAML(String(decoding: data, as: UTF8.self), file: path)
        } catch {
            throw Diagnostics([
                Diagnostic(error.location, error.message, hint: "the file must be YAML or JSON, one document")
            ])
        }
    }
}
