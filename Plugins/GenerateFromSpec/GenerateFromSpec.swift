import Foundation
import PackagePlugin

/// Runs `tes-generate` for the part of the generated code that belongs in a target: types, server routes or SQL.
@main
struct GenerateFromSpec: BuildToolPlugin {
    /// One generated part: what the tool calls it and the files that it writes.
    private struct Part {
        var name: String
        var files: [String]
    }

    private static let types = Part(
        name: "types", files: ["Types.swift", "JSON.swift", "Validation.swift", "Operations.swift", "Client.swift"])
    private static let routes = Part(name: "routes", files: ["Routes.swift"])
    private static let description = Part(name: "description", files: ["Description.swift"])
    private static let store = Part(name: "store", files: ["Schema.swift", "Statements.swift", "Migrations.swift"])

    /// What belongs in which target. Conformance judges by the specification alone, without what the overlay adds.
    private static let parts: [String: (parts: [Part], usesOverlay: Bool)] = [
        "TES": ([types], true), "Server": ([routes, description], true), "TaskStore": ([store], true),
        "Conformance": ([description], false),
    ]

    func createBuildCommands(context: PluginContext, target: any Target) async throws -> [Command] {
        guard let (parts, usesOverlay) = Self.parts[target.name] else {
            Diagnostics.error("GenerateFromSpec has no part for the target \(target.name)")
            return []
        }
        let spec = context.package.directoryURL.appending(path: "spec")
        let document = spec.appending(path: "tes/1.1.0/openapi.yaml")
        let serviceInfo = spec.appending(path: "tes/1.1.0/service-info.yaml")
        let overlay = spec.appending(path: "overlay.yaml")
        let persistence = spec.appending(path: "persistence.yaml")
        let migrations = spec.appending(path: "migrations")
        let output = context.pluginWorkDirectoryURL.appending(path: "Generated")
        let serviceInfoURL =
            "https://raw.githubusercontent.com/ga4gh-discovery/ga4gh-service-info/v1.0.0/service-info.yaml"
        let steps = try FileManager.default.contentsOfDirectory(at: migrations, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "sql" }.sorted { $0.path() < $1.path() }
        let tool = try context.tool(named: "tes-generate").url
        return parts.map { part in
            .buildCommand(
                displayName: "Generating \(part.name) of \(target.name) from spec/",
                executable: tool,
                arguments: [
                    "generate", "--part", part.name, "--document", document.path(),
                    "--reference", "\(serviceInfoURL)=\(serviceInfo.path())", "--persistence", persistence.path(),
                    "--migrations", migrations.path(), "--output", output.path(),
                ] + (usesOverlay ? ["--overlay", overlay.path()] : []),
                inputFiles: [document, serviceInfo, overlay, persistence] + (part.name == "store" ? steps : []),
                outputFiles: part.files.map { output.appending(path: $0) })
        }
    }
}
