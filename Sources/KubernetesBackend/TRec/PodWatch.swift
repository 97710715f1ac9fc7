package import KubernetesAPI
import Synchronization

/// What a recorder sees of its own Pod.
package struct PodSight: Hashable, Sendable {
    /// Executors whose container has ended. While a Pod is being deleted none shows here before all have.
    package var ended: Set<Int>
    /// The digest of each executor's image, `sha256:…`, once it was started.
    package var digests: [Int: String]

    package init(ended: Set<Int>, digests: [Int: String] = [:]) {
        self.ended = ended
        self.digests = digests
    }

    /// What a Pod's status says of its executors.
    package init(_ pod: Pod) {
        self.init(ended: [])
        for status in pod.status?.initContainerStatuses ?? [] {
            guard status.name.hasPrefix("exec-"), let position = Int(status.name.dropFirst(5)) else { continue }
            if status.state?.terminated != nil { ended.insert(position) }
            // `NAME@sha256:…` of an image that was pulled, else the image's own id.
            if let digest = status.imageID.split(separator: "@").last { digests[position] = String(digest) }
        }
    }
}

/// Reads this Pod each second from the first question on, beside the recorder's work: an API server that does not answer holds up
/// nothing.
final class PodWatch: Sendable {
    private let read: @Sendable () async -> PodSight?
    private let state = Mutex<(sight: PodSight?, reading: Task<Void, Never>?)>((nil, nil))

    /// - Parameter read: nil where the Pod could not be read.
    init(_ read: @escaping @Sendable () async -> PodSight?) { self.read = read }

    deinit { state.withLock { $0.reading }?.cancel() }

    /// What was seen last; nil before the first answer.
    func latest() -> PodSight? {
        state.withLock { state in
            if state.reading == nil {
                state.reading = Task { [read, weak self] in
                    while !Task.isCancelled {
                        if let sight = await read() { self?.keep(sight) }
                        try? await Task.sleep(for: .seconds(1))
                    }
                }
            }
            return state.sight
        }
    }

    private func keep(_ sight: PodSight) { state.withLock { $0.sight = sight } }
}
