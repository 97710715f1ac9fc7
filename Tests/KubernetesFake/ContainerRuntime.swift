/// What a kubelet asks of the thing that runs containers.
package protocol ContainerRuntime: Sendable {
    /// Whether an image can be had.
    func image(_ name: String) -> ImageState
    /// Starts a container; `ended` is called once, when it is over or could not be started.
    func start(
        _ container: ContainerStart, on timeline: Timeline, ended: @escaping @Sendable (ContainerEnd) -> Void)
    /// Sends a signal to a container's first process; nothing happens if it is over.
    func signal(_ id: String, _ signal: ContainerSignal)
    /// What a container has written so far, and what it will write if `follow`. Each element is one or more whole lines.
    func log(_ id: String, follow: Bool) -> AsyncStream<[LogLine]>
    /// The Pod is gone: its containers and volumes may go too.
    func removePod(_ uid: String)
}

/// Whether an image can be had.
package enum ImageState: Sendable, Equatable {
    case present
    /// It cannot; the text is the registry's.
    case missing(String)
}

/// What a kubelet sends.
package enum ContainerSignal: Sendable { case terminate, kill }

/// One piece of a log.
package struct LogLine: Sendable {
    /// Nanoseconds since 1970, on the cluster's clock.
    package var nanoseconds: Int
    /// With its line break, if it has one.
    package var bytes: [UInt8]

    /// A piece with its time.
    package init(nanoseconds: Int, bytes: [UInt8]) { (self.nanoseconds, self.bytes) = (nanoseconds, bytes) }

    /// - Parameter time: seconds since 1970.
    package init(time: Double, bytes: [UInt8]) { self.init(nanoseconds: Int(time * 1e9), bytes: bytes) }

    /// Seconds since 1970.
    package var time: Double { Double(nanoseconds) / 1e9 }
}

/// A container that is to be started.
package struct ContainerStart: Sendable {
    /// 64 hexadecimal digits.
    package var id: String
    /// The whole Pod, as the API has it.
    package var pod: JSON
    /// The container's part of the Pod's spec.
    package var spec: JSON
    /// How often the container was restarted before.
    package var restarts: Int
    /// What the kubelet made of `env`, in order; `$(NAME)` is expanded.
    package var environment: [(name: String, value: String)]
    /// `command`, expanded; nil is the image's.
    package var command: [String]?
    /// `args`, expanded; nil is the image's.
    package var arguments: [String]?
    /// Files of the Pod's Secret, ConfigMap and projected volumes: by the volume's name, by path.
    package var files: [String: [String: [UInt8]]]

    /// The container's name.
    package var name: String { spec["name"].text ?? "" }
    /// The Pod's uid.
    package var podUID: String { pod["metadata"]["uid"].text ?? "" }
    /// The Pod's namespace.
    package var namespace: String { pod["metadata"]["namespace"].text ?? "" }
}

/// How a container ended.
package struct ContainerEnd: Sendable, Equatable {
    /// As the kubelet shows it.
    package var exitCode: Int
    /// `OOMKilled`, `StartError` …; nil is what the exit code says, `Completed` or `Error`.
    package var reason: String?
    /// What was written to the termination message's path.
    package var message: [UInt8]

    /// An end with a message that is text.
    package init(_ exitCode: Int, reason: String? = nil, message: String = "") {
        self.exitCode = exitCode
        self.reason = reason
        self.message = Array(message.utf8)
    }

    /// It was never started: exit code 128, `StartError`.
    package static func startError(_ why: String) -> ContainerEnd {
        ContainerEnd(128, reason: "StartError", message: why)
    }
}

/// How the kubelet expands `$(NAME)`: https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/
package enum Expansion {
    /// - Parameter values: the container's environment.
    package static func expand(_ text: String, _ values: [String: String]) -> String {
        var result = ""
        var rest = text[...]
        while let first = rest.popFirst() {
            guard first == "$" else {
                result.append(first)
                continue
            }
            if rest.first == "$" {
                rest.removeFirst()
                result.append("$")
            } else if rest.first == "(", let end = rest.firstIndex(of: ")") {
                let name = String(rest[rest.index(after: rest.startIndex)..<end])
                result += values[name] ?? "$(\(name))"
                rest = rest[rest.index(after: end)...]
            } else {
                result.append("$")
            }
        }
        return result
    }
}
