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

/// Reads this Pod beside the recorder's work, so that an API server that does not answer holds up nothing: once to learn what ran, and
/// each second once the recorder waits for containers to end.
final class PodWatch: Sendable {
    private let read: @Sendable () async -> PodSight?
    private let state = Mutex(State())

    private struct State {
        var sight: PodSight?
        var glance: Task<Void, Never>?
        var reading: Task<Void, Never>?
    }

    /// - Parameter read: nil where the Pod could not be read.
    init(_ read: @escaping @Sendable () async -> PodSight?) { self.read = read }

    deinit {
        state.withLock { state in
            state.glance?.cancel()
            state.reading?.cancel()
        }
    }

    /// What was seen last, without looking again.
    var seen: PodSight? { state.withLock { $0.sight } }

    /// Looks once.
    func glance() {
        state.withLock { state in
            guard state.glance == nil else { return }
            state.glance = Task { [read, weak self] in if let sight = await read() { self?.keep(sight) } }
        }
    }

    /// What was seen last; nil before the first answer. From the first question on it looks each second.
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
