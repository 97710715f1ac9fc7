import Foundation
import PackagePlugin

/// Runs `tes-generate`: for a target of this package with the part of the code that belongs there (types, server routes, SQL),
/// for a target of another package with what its `tes-generate.json` asks for.
@main
struct GenerateFromSpec: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) async throws -> [Command] {
        let tool = try context.tool(named: "tes-generate").url
        let output = context.pluginWorkDirectoryURL.appending(path: "Generated")
        let configuration = target.directoryURL.appending(path: ConsumerTarget.fileName)
        if FileManager.default.fileExists(atPath: configuration.path(percentEncoded: false)) {
            guard let own = context.package.withGenerator else {
                Diagnostics.error("the package of GenerateFromSpec is not among the dependencies")
                return []
            }
            let runtime = own.directoryURL.appending(path: "Sources/TES/Runtime")
            return [ConsumerTarget(configuration, runtime: runtime).command(tool, target: target.name, output: output)]
        }
        guard let parts = OwnTarget.parts[target.name], context.package.holdsGenerator else {
            Diagnostics.error(
                "\(configuration.path(percentEncoded: false)) is missing: it says which document becomes which code in the target \(target.name)"
            )
            return []
        }
        return try OwnTarget(spec: context.package.directoryURL.appending(path: "spec"), name: target.name)
            .commands(parts, tool, output: output)
    }
}

extension Package {
    fileprivate var holdsGenerator: Bool { targets.contains { $0.name == "tes-generate" } }

    /// The package that the plugin comes from: this one, or one that it depends on.
    fileprivate var withGenerator: Package? {
        if holdsGenerator { return self }
        for dependency in dependencies {
            if let found = dependency.package.withGenerator { return found }
        }
        return nil
    }
}
