import Foundation
import PackagePlugin

/// A target with a `tes-generate.json`.
///
/// The file is read here only to know which files the command reads and writes; what is wrong with it is told by
/// `tes-generate`, with line and column.
struct ConsumerTarget {
    static let fileName = "tes-generate.json"

    /// Files of one part: those that are generated, and those of the runtime that it needs.
    private struct Part {
        var generated: [String]
        var runtime: [String]
    }

    private static let parts: [String: Part] = [
        "types": Part(
            generated: ["Types.swift", "JSON.swift"],
            runtime: [
                "JSONEnumeration.swift", "JSONReader.swift", "JSONReaderText.swift", "JSONWriter.swift",
                "RequestProblem.swift", "TextScan.swift", "Timestamp.swift",
            ]),
        "validation": Part(generated: ["Validation.swift"], runtime: ["JSONValidated.swift", "TextPattern.swift"]),
        "client": Part(
            generated: ["Operations.swift", "Client.swift"],
            runtime: ["ClientTransport.swift", "PercentEncoding.swift"]),
    ]

    private let configuration: URL
    private let runtime: URL
    private let chosen: [Part]
    private let documents: [URL]

    /// - Parameter runtime: the folder with the runtime's sources.
    init(_ configuration: URL, runtime: URL) {
        self.configuration = configuration
        self.runtime = runtime
        let data = FileManager.default.contents(atPath: configuration.path(percentEncoded: false)) ?? Data()
        let content = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any] ?? [:]
        let names = content["parts"] as? [String] ?? []
        // The types are always there, so that the command has a file to write and runs.
        chosen = Set(names + ["types"]).sorted().compactMap { Self.parts[$0] }
        let references = content["references"] as? [String: String] ?? [:]
        let paths = [content["document"] as? String, content["overlay"] as? String].compactMap { $0 }
        let folder = configuration.deletingLastPathComponent()
        documents = (paths + references.values.sorted())
            .map { URL(filePath: $0, relativeTo: folder).standardizedFileURL }
            .filter { FileManager.default.fileExists(atPath: $0.path(percentEncoded: false)) }
    }

    func command(_ tool: URL, target: String, output: URL) -> Command {
        let sources = chosen.flatMap(\.runtime).map { runtime.appending(path: $0) }
        return .buildCommand(
            displayName: "Generating code of \(target) from \(Self.fileName)",
            executable: tool,
            arguments: [
                "generate", "--configuration", configuration.path(percentEncoded: false), "--output",
                output.path(percentEncoded: false),
            ]
                + sources.flatMap { ["--runtime", $0.path(percentEncoded: false)] },
            inputFiles: [configuration] + documents + sources,
            outputFiles: chosen.flatMap { $0.generated + $0.runtime }.map { output.appending(path: $0) })
    }
}
