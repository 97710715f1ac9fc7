import Foundation

/// Which engine to talk to.
package struct ContainerConfiguration: Hashable, Sendable {
    /// Path of the engine's unix socket.
    package var socket: String
    /// CPU cores to fill with tasks; nil for all that the engine has.
    package var cpuCores: Int?
    /// Memory to fill with tasks, in bytes; nil for all that the engine has.
    package var memory: Int64?
    package var registries = RegistryLogins(file: nil, environment: [:])

    package init(socket: String) { self.socket = socket }

    /// Reads `unix:///path` or a path; nil for anything else.
    package init?(url: String) {
        if url.hasPrefix("unix://") { socket = String(url.dropFirst(7)) } else { socket = url }
        if !socket.hasPrefix("/") { return nil }
    }

    /// The usual places of an engine's socket, in the order in which they are tried; `DOCKER_HOST` stands alone.
    package static func candidates(environment: [String: String]) -> [String] {
        if let host = environment["DOCKER_HOST"], !host.isEmpty { return [host] }
        var sockets = ["unix:///var/run/docker.sock"]
        if let runtime = environment["XDG_RUNTIME_DIR"] { sockets.append("unix://" + runtime + "/podman/podman.sock") }
        return sockets + ["unix:///run/podman/podman.sock"]
    }

    /// The first usual place where there is a socket.
    package static func find(environment: [String: String]) -> ContainerConfiguration? {
        candidates(environment: environment).lazy.compactMap(ContainerConfiguration.init(url:))
            .first { FileManager.default.fileExists(atPath: $0.socket) }
    }
}
