/// Why an engine did not do what it was asked.
package enum EngineError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The engine does not answer; nothing is known.
    case unreachable(String)
    /// There is no such container or image.
    case missing(String)
    /// The engine understood and refused.
    case refused(String)
    /// The engine could not, but may a little later: a registry is busy, or does not answer.
    case busy(String)

    package var description: String {
        switch self {
        case .unreachable(let reason), .missing(let reason), .refused(let reason), .busy(let reason): reason
        }
    }

    /// The engine's own words for a full disk.
    var isDiskFull: Bool { description.lowercased().contains("no space left on device") }
}

/// What a container is made from.
package struct ContainerSpec: Hashable, Sendable {
    /// A bind mount.
    package struct Mount: Hashable, Sendable {
        package var source: String
        package var target: String
        package var isReadOnly: Bool

        package init(source: String, target: String, isReadOnly: Bool = false) {
            self.source = source
            self.target = target
            self.isReadOnly = isReadOnly
        }
    }

    package var name: String
    package var image: String
    /// Replaces the image's own; there is no command beside it.
    package var entrypoint: [String]
    package var mounts: [Mount] = []
    package var labels: [String: String] = [:]
    /// In bytes; nil for no limit.
    package var memoryLimit: Int64?
    /// In cores; nil for no limit.
    package var cpuLimit: Int?
    /// Nil leaves the image's user.
    package var user: String?

    package init(name: String, image: String, entrypoint: [String]) {
        self.name = name
        self.image = image
        self.entrypoint = entrypoint
    }
}

/// Where a container is in its life.
package enum ContainerState: Hashable, Sendable {
    case created
    case running
    /// The exit code, whether the kernel killed it for lack of memory, and what the engine says about it.
    case ended(code: Int32, isOutOfMemory: Bool, message: String)
}

/// What an executor needs to know of an image.
package struct ImageFacts: Hashable, Sendable {
    /// `sha256:…`
    package var digest: String
    package var entrypoint: [String]

    package init(digest: String, entrypoint: [String]) {
        self.digest = digest
        self.entrypoint = entrypoint
    }
}

/// One engine that runs containers, on one machine.
package protocol ContainerEngine: Sendable {
    /// Facts of an image that the engine has; nil where it has not.
    func image(_ name: String) async throws(EngineError) -> ImageFacts?
    /// Fetches an image from its registry; `busy` where trying again may help.
    func pull(_ name: String) async throws(EngineError)
    /// Makes a container; one of this name that exists already is no error.
    func create(_ spec: ContainerSpec) async throws(EngineError)
    /// Starts it; one that was started before is left as it is.
    func start(_ name: String) async throws(EngineError)
    /// Waits for its end; what it returns is always `ended`.
    func wait(_ name: String) async throws(EngineError) -> ContainerState
    /// Nil where there is no such container.
    func state(_ name: String) async throws(EngineError) -> ContainerState?
    /// Asks it to stop, and kills it after the grace period.
    func stop(_ name: String, grace: Duration) async throws(EngineError)
    /// Removes it, running or not; nothing there is no error.
    func remove(_ name: String) async throws(EngineError)
    /// Names of containers, running or not, that carry all the labels.
    func list(_ labels: [String: String]) async throws(EngineError) -> [String]
    /// An image that holds nothing but the shim, for helper containers.
    func helperImage(shim: String) async throws(EngineError) -> String
}
