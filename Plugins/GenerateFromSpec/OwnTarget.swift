import Foundation
import PackagePlugin

/// A target of this package.
struct OwnTarget {
    /// One generated part: what the tool calls it and the files that it writes.
    struct Part {
        var name: String
        var files: [String]
    }

    private static let types = Part(
        name: "types", files: ["Types.swift", "JSON.swift", "Validation.swift", "Operations.swift", "Client.swift"])
    private static let routes = Part(name: "routes", files: ["Routes.swift"])
    private static let description = Part(name: "description", files: ["Description.swift"])
    private static let store = Part(name: "store", files: ["Schema.swift", "Statements.swift", "Migrations.swift"])

    /// What belongs in which target.
    static let parts: [String: [Part]] = [
        "TES": [types], "Server": [routes, description], "TaskStore": [store], "Conformance": [description],
    ]

    var spec: URL
    var name: String

    func commands(_ parts: [Part], _ tool: URL, output: URL) throws -> [Command] {
        let document = spec.appending(path: "tes/1.1.0/openapi.yaml")
        let serviceInfo = spec.appending(path: "tes/1.1.0/service-info.yaml")
        let overlay = spec.appending(path: "overlay.yaml")
        let persistence = spec.appending(path: "persistence.yaml")
        let migrations = spec.appending(path: "migrations")
        let steps = try FileManager.default.contentsOfDirectory(at: migrations, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "sql" }.sorted { $0.plainPath < $1.plainPath }
        let serviceInfoURL =
            "https://raw.githubusercontent.com/ga4gh-discovery/ga4gh-service-info/v1.0.0/service-info.yaml"
        // Conformance judges by the specification alone, without what the overlay adds.
        let usesOverlay = name != "Conformance"
        return parts.map { part in
            .buildCommand(
                displayName: "Generating \(part.name) of \(name) from spec/",
                executable: tool,
                arguments: [
                    "generate", "--part", part.name, "--document", document.plainPath,
                    "--reference", "\(serviceInfoURL)=\(serviceInfo.plainPath)", "--persistence", persistence.plainPath,
                    "--migrations", migrations.plainPath, "--output", output.plainPath,
                ] + (usesOverlay ? ["--overlay", overlay.plainPath] : []),
                inputFiles: [document, serviceInfo, overlay, persistence] + (part.name == "store" ? steps : []),
                outputFiles: part.files.map { output.appending(path: $0) })
        }
    }
}

extension URL {
    /// As the disk has it, without percent-encoding.
    fileprivate var plainPath: String { path(percentEncoded: false) }
}
