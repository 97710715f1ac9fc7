import Synchronization

/// Says once that it is time to leave.
package final class StopFlag: Sendable {
    private let state = Mutex<(isRaised: Bool, waiting: [Int: CheckedContinuation<Void, Never>], next: Int)>(
        (false, [:], 0))

    package init() {}

    package var isRaised: Bool { state.withLock { $0.isRaised } }

    package func raise() {
        let waiting = state.withLock { state in
            state.isRaised = true
            defer { state.waiting = [:] }
            return state.waiting.values.map { $0 }
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Waits for a time, or until it is raised.
    package func wait(for time: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.raised() }
            group.addTask { try? await Task.sleep(for: time) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Returns when it is raised, or when the Swift task is cancelled.
    private func raised() async {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isRaised || Task.isCancelled { return true }
                    state.waiting[number] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: number) }?.resume()
        }
    }
}
