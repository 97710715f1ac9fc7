import ArgumentParser
import Foundation

/// Options of every command that reads settings.
struct ProgramOptions: ParsableArguments {
    @Option(help: "Configuration file (YAML).")
    var config: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: String?
    @Option(help: "text or json.")
    var logFormat: String?

    /// - Parameter flags: a command's own, by the settings' keys.
    func settings(_ flags: [String: [String?]]) throws -> Settings {
        let all = flags.merging(["log.level": [logLevel], "log.format": [logFormat]]) { own, _ in own }
        return try Settings(
            flags: all.mapValues { $0.compactMap { $0 } }, environment: ProcessInfo.processInfo.environment,
            configuration: config)
    }
}

/// Options of every command that runs tasks on this machine.
struct MachineOptions: ParsableArguments {
    @Option(help: "Data folder. Default: $XDG_DATA_HOME/poiesis, as root /var/lib/poiesis; for run a temporary one.")
    var data: String?
    @Option(help: "Socket of the container engine, unix:///var/run/docker.sock.")
    var engine: String?
    @OptionGroup var program: ProgramOptions

    /// - Parameter flags: a command's own, by the settings' keys.
    func settings(_ flags: [String: [String?]] = [:]) throws -> Settings {
        try program.settings(flags.merging(["data": [data], "engine": [engine]]) { own, _ in own })
    }
}
