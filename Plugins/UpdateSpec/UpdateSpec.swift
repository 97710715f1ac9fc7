import Foundation
import PackagePlugin

/// `swift package update-spec`: names this package's files to `tes-generate update`, which does the work.
@main
struct UpdateSpec: CommandPlugin {
    private static let help = """
        Takes another version of the specification: prints what differs, each line breaking or compatible, and what it means for
        the code and the tables; then replaces the document and writes the draft of a migration into spec/migrations.

        usage: swift package --allow-writing-to-package-directory update-spec --from FILE [OPTION]...

          --from FILE           the new TES document
          --service-info FILE   the new service-info document
          --name NAME           the migration's name; otherwise tes-VERSION
          --dry-run             print everything, change nothing

        Nothing is touched where the new document gives no code and tables with overlay.yaml and persistence.yaml as they are: the
        diagnostics say why.

        examples:
          swift package --allow-writing-to-package-directory update-spec --from ~/tes-1.2.0.yaml --dry-run
          swift package --allow-writing-to-package-directory update-spec --from ~/tes-1.2.0.yaml
        """

    private static let serviceInfoURL =
        "https://raw.githubusercontent.com/ga4gh-discovery/ga4gh-service-info/v1.0.0/service-info.yaml"

    func performCommand(context: PluginContext, arguments: [String]) async throws {
        if arguments.isEmpty || arguments.contains("--help") || arguments.contains("-h") { return print(Self.help) }
        let spec = context.package.directoryURL.appending(path: "spec").path(percentEncoded: false)
        let tool = Process()
        tool.executableURL = try context.tool(named: "tes-generate").url
        tool.arguments =
            [
                "update", "--document", "\(spec)/tes/1.1.0/openapi.yaml", "--reference",
                "\(Self.serviceInfoURL)=\(spec)/tes/1.1.0/service-info.yaml", "--overlay", "\(spec)/overlay.yaml",
                "--persistence", "\(spec)/persistence.yaml", "--migrations", "\(spec)/migrations",
            ] + Self.toolArguments(arguments)
        try tool.run()
        tool.waitUntilExit()
        if tool.terminationStatus != 0 { throw Failure(description: "update-spec: see above") }
    }

    /// `--service-info FILE` is a reference of the document to the tool.
    private static func toolArguments(_ arguments: [String]) -> [String] {
        var result: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--service-info", let file = rest.popFirst() {
                result += ["--from-reference", "\(serviceInfoURL)=\(file)"]
            } else {
                result.append(argument)
            }
        }
        return result
    }

    private struct Failure: Error, CustomStringConvertible {
        var description: String
    }
}
