import Synchronization

/// Lets so many in at once; the rest wait without holding a thread.
package final class Semaphore: Sendable {
    private let state: Mutex<(free: Int, waiting: [CheckedContinuation<Void, Never>])>

    /// - Parameter free: how many may be in at once.
    package init(_ free: Int) { state = Mutex((free, [])) }

    /// Waits until one may enter.
    package func wait() async {
        await withCheckedContinuation { continuation in
            let enters = state.withLock { state in
                if state.free > 0 {
                    state.free -= 1
                    return true
                }
                state.waiting.append(continuation)
                return false
            }
            if enters { continuation.resume() }
        }
    }

    /// Tells that one has left.
    package func signal() {
        state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
            state.free += 1
            return nil
        }?.resume()
    }
}
