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

    /// The usual places of an engine's socket, in the order in which they are tried.
    package static func candidates(environment: [String: String]) -> [String] {
        var sockets: [String] = []
        if let host = environment["DOCKER_HOST"], host.hasPrefix("unix://") {
            sockets.append(String(host.dropFirst(7)))
        }
        sockets.append("/var/run/docker.sock")
        if let runtime = environment["XDG_RUNTIME_DIR"] { sockets.append(runtime + "/podman/podman.sock") }
        sockets.append("/run/podman/podman.sock")
        return sockets
    }

    /// The first usual place where there is a socket.
    package static func find(environment: [String: String]) -> ContainerConfiguration? {
        candidates(environment: environment).first(where: FileManager.default.fileExists(atPath:)).map(
            ContainerConfiguration.init(socket:))
    }
}
