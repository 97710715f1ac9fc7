import PackagePlugin

/// Runs `tes-generate` for the part of the generated code that belongs in a target: types, server routes or SQL.
@main
struct GenerateFromSpec: BuildToolPlugin {
    /// One generated part: what the tool calls it and the files that it writes.
    private struct Part {
        var name: String
        var files: [String]
    }

    private static let parts = [
        "TES": Part(
            name: "types",
            files: ["Types.swift", "JSON.swift", "Validation.swift", "Operations.swift", "Client.swift"]),
        "Server": Part(name: "routes", files: ["Routes.swift", "Description.swift"]),
        "TaskStore": Part(name: "store", files: ["Schema.swift", "Statements.swift"]),
    ]

    func createBuildCommands(context: PluginContext, target: any Target) async throws -> [Command] {
        guard let part = Self.parts[target.name] else {
            Diagnostics.error("GenerateFromSpec has no part for the target \(target.name)")
            return []
        }
        let spec = context.package.directoryURL.appending(path: "spec")
        let document = spec.appending(path: "tes/1.1.0/openapi.yaml")
        let serviceInfo = spec.appending(path: "tes/1.1.0/service-info.yaml")
        let overlay = spec.appending(path: "overlay.yaml")
        let persistence = spec.appending(path: "persistence.yaml")
        let output = context.pluginWorkDirectoryURL.appending(path: "Generated")
        let serviceInfoURL =
            "https://raw.githubusercontent.com/ga4gh-discovery/ga4gh-service-info/v1.0.0/service-info.yaml"
        return [
            .buildCommand(
                displayName: "Generating \(part.name) of \(target.name) from spec/",
                executable: try context.tool(named: "tes-generate").url,
                arguments: [
                    "generate", "--part", part.name, "--document", document.path(),
                    "--reference", "\(serviceInfoURL)=\(serviceInfo.path())", "--overlay", overlay.path(),
                    "--persistence", persistence.path(), "--output", output.path(),
                ],
                inputFiles: [document, serviceInfo, overlay, persistence],
                outputFiles: part.files.map { output.appending(path: $0) })
        ]
    }
}
