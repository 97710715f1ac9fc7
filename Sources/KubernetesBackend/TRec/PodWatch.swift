package import KubernetesAPI
import Synchronization

/// What a recorder sees of its own Pod.
package struct PodSight: Hashable, Sendable {
    /// Executors whose container has ended. While a Pod is being deleted none shows here before all have.
    package var ended: Set<Int>

    package init(ended: Set<Int>) { self.ended = ended }

    /// What a Pod's status says of its executors.
    package init(_ pod: Pod) {
        ended = Set(
            (pod.status?.initContainerStatuses ?? []).compactMap { status in
                guard status.state?.terminated != nil, status.name.hasPrefix("exec-") else { return nil }
                return Int(status.name.dropFirst(5))
            })
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
