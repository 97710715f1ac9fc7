import Foundation
import Synchronization

/// Runs what waits for a disk on threads of its own: Swift's few threads are for what never waits.
///
/// - Parameter body: asks `isCancelled` now and then: it tells whether the Swift task was cancelled meanwhile.
package func onDisk<Value: Sendable, Failure: Error>(
    _ body: @escaping @Sendable (_ isCancelled: @escaping @Sendable () -> Bool) throws(Failure) -> Value
) async throws(Failure) -> Value {
    let cancelled = CancelledFlag()
    let result = await withTaskCancellationHandler {
        await withCheckedContinuation { (continuation: CheckedContinuation<Result<Value, Failure>, Never>) in
            DiskThreads.shared.run {
                do throws(Failure) {
                    continuation.resume(returning: .success(try body { cancelled.isSet }))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
    } onCancel: {
        cancelled.set()
    }
    return try result.get()
}

private final class CancelledFlag: Sendable {
    private let flag = Atomic(false)

    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
}

/// A few threads; each ends when there is nothing more to do.
private final class DiskThreads: Sendable {
    static let shared = DiskThreads()
    /// More would only make one disk slower.
    private static let maximum = 8

    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var threads = 0
    }

    private let state = Mutex(State())

    func run(_ job: @escaping @Sendable () -> Void) {
        let needsThread = state.withLock { state in
            state.jobs.append(job)
            guard state.threads < Self.maximum else { return false }
            state.threads += 1
            return true
        }
        if needsThread { Thread.detachNewThread { [self] in work() } }
    }

    private func work() {
        while true {
            let job = state.withLock { state -> (@Sendable () -> Void)? in
                // A slice would keep what was taken, and with it the file that it holds open.
                let job = state.jobs.isEmpty ? nil : state.jobs.removeFirst()
                if job == nil { state.threads -= 1 }
                return job
            }
            guard let job else { return }
            job()
        }
    }
}
