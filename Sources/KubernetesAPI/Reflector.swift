/// What a ``Reflector`` tells.
package enum ReflectedChange<Kept: Sendable>: Sendable {
    /// All objects that there are; what is not among them is gone. The first change, and again after a gap in the watch.
    case replaced([Kept])
    /// An object is new or other than before; the same state may be told again.
    case changed(Kept)
    /// An object is gone, or the selection no longer names it; its last state.
    case deleted(Kept)
    /// Until the next change of another kind what was told may be out of date. It goes on by itself after the time given.
    case interrupted(KubernetesError, retryIn: Duration)
}

/// Follows the objects of a collection: a list, then a watch from its version, which is taken up again after every break.
///
/// A list counts only once it is whole. Nothing is kept here but a version; of each object only what `keep` makes of it goes on, so
/// that the objects of one chunk at a time are in memory.
package struct Reflector<Object: KubernetesObject, Kept: Sendable>: Sendable {
    /// Which objects are followed.
    package var selection = Selection()
    /// Nil is the configuration's.
    package var namespace: String?
    /// Objects of one chunk of a list.
    package var chunk = 250
    /// The waits after failures in a row; they have no end. A `Retry-After` counts up to its limit.
    package var backoff = RetryPolicy()
    /// Seconds after which the server shall end each watch, so that watchers spread over several servers again; a random part, up to
    /// half, is added.
    package var watchSeconds = 300
    /// See ``WatchOptions/stallTimeout``.
    package var stallTimeout: Duration? = .seconds(100)

    private let client: KubernetesClient
    private let keep: @Sendable (Object) -> Kept

    /// - Parameter keep: what of an object goes on.
    package init(_ client: KubernetesClient, keep: @escaping @Sendable (Object) -> Kept) {
        self.client = client
        self.keep = keep
        backoff.firstDelay = .milliseconds(500)
        backoff.longestDelay = .seconds(30)
    }

    /// Runs until the Swift task is cancelled. The watch waits while `handle` does.
    package func run(_ handle: (ReflectedChange<Kept>) async -> Void) async {
        var state = State()
        while !Task.isCancelled {
            do throws(KubernetesError) {
                if state.version == nil { try await list(&state, handle) }
                try await watch(&state, handle)
            } catch {
                guard !error.isCancelled else { return }
                state.failed(error)
                let asked = min(error.refusal?.retryAfter ?? .zero, backoff.longestRetryAfter)
                let delay = max(backoff.backoff(state.failures), asked)
                await handle(.interrupted(error, retryIn: delay))
                try? await Task.sleep(for: delay)
            }
        }
    }

    private struct State {
        /// The version of the last thing that was told; nil where a list has to come first.
        var version: String?
        /// In a row.
        var failures = 0
        var refusals = 0

        mutating func advance(to version: String?) {
            if let version { self.version = version }
            (failures, refusals) = (0, 0)
        }

        mutating func failed(_ error: KubernetesError) {
            failures += 1
            switch error {
            case .refused(let refusal):
                refusals += 1
                // A version that the server always refuses is of no use, whatever the reason: a bad one is a 500.
                if refusal.isExpired || refusals >= 3 { version = nil }
            case .unreadable: version = nil
            // A version that lies ahead, as after etcd was restored from an older state, is not refused: the watch stays silent.
            case .transport: if failures >= 3 { version = nil }
            case .credentials: break
            }
        }
    }

    private func list(
        _ state: inout State, _ handle: (ReflectedChange<Kept>) async -> Void
    ) async throws(KubernetesError) {
        var kept: [Kept] = []
        let version = try await client.forEachChunk(
            Object.self, namespace: namespace, selection: selection, limit: chunk
        ) { kept += $0.map(keep) }
        await handle(.replaced(kept))
        state.version = version
    }

    private func watch(
        _ state: inout State, _ handle: (ReflectedChange<Kept>) async -> Void
    ) async throws(KubernetesError) {
        var options = WatchOptions()
        options.selection = selection
        options.resourceVersion = state.version
        options.timeoutSeconds = watchSeconds + Int.random(in: 0...watchSeconds / 2)
        options.stallTimeout = stallTimeout
        options.retry = RetryPolicy.none
        let start = ContinuousClock.now
        var events = try await client.watch(Object.self, namespace: namespace, options: options)
        var hasEvents = false
        while let event = try await events.next() {
            hasEvents = true
            switch event {
            case .added(let object), .modified(let object):
                await handle(.changed(keep(object)))
                state.advance(to: object.metadata?.resourceVersion)
            case .deleted(let object):
                await handle(.deleted(keep(object)))
                state.advance(to: object.metadata?.resourceVersion)
            case .bookmark(let version, _): state.advance(to: version)
            case .error(let refusal): throw .refused(refusal)
            }
        }
        if hasEvents || ContinuousClock.now - start > .seconds(1) {
            state.advance(to: nil)
        } else {
            // A server that ends each watch at once is not asked again at once.
            state.failures += 1
            try await pause(backoff.backoff(state.failures))
        }
    }
}

extension Reflector where Kept == Object {
    /// Whole objects go on.
    package init(_ client: KubernetesClient, _ type: Object.Type) { self.init(client) { $0 } }
}
