import Synchronization

/// Says once that it is time to leave.
package final class StopFlag: Sendable {
    private struct State {
        var raised: ContinuousClock.Instant?
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
        var next = 0
    }

    private let state = Mutex(State())

    package init() {}

    package var isRaised: Bool { raised != nil }

    /// When it was raised first; nil where it was not.
    package var raised: ContinuousClock.Instant? { state.withLock { $0.raised } }

    package func raise() {
        let waiting = state.withLock { state in
            state.raised = state.raised ?? .now
            defer { state.waiting = [:] }
            return state.waiting.values.map { $0 }
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Waits for a time, or until it is raised.
    package func wait(for time: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.untilRaised() }
            group.addTask { try? await Task.sleep(for: time) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Returns when it is raised, or when the Swift task is cancelled.
    private func untilRaised() async {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.raised != nil || Task.isCancelled { return true }
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
