import Foundation
import Glibc
import Synchronization

/// A fixed number of threads, each with a connection of its own, which take batches from one queue.
///
/// A connection is made when there is work for it and again after it broke. A batch is one transaction: it is never repeated
/// here after it may have been committed; see ``PostgresError/connectionLost(_:)``.
package final class PostgresPool: Sendable {
    private struct Job {
        var batch: [Statement]
        var deadline: ContinuousClock.Instant
        var continuation: CheckedContinuation<Result<[PostgresResult], PostgresError>, Never>
    }

    private struct State {
        /// Those before `next` were taken.
        var jobs: [Job?] = []
        var next = 0
        var isClosed = false
        var namesWork = true
        var runningThreads = 0
        var busyThreads = 0
        var closing: CheckedContinuation<Void, Never>?
    }

    private let url: @Sendable () -> String
    private let idleLimit: Duration?
    private let state = Mutex(State())
    private let available: Semaphore

    /// - Parameters:
    ///   - url: a libpq connection string or URL.
    ///   - connections: how many batches run at once.
    package convenience init(url: String, connections: Int) { self.init(connections: connections) { url } }

    /// - Parameters:
    ///   - connections: how many batches run at once.
    ///   - idleLimit: a connection that had nothing to do for so long is closed; nil keeps it.
    ///   - url: gives the connection string or URL for each new connection: a password in it may have changed.
    package init(connections: Int, idleLimit: Duration? = nil, url: @escaping @Sendable () -> String) {
        self.url = url
        self.idleLimit = idleLimit
        available = Semaphore()
        for _ in 0..<connections { Thread.detachNewThread { [self] in work() } }
        state.withLock { $0.runningThreads = connections }
    }

    /// Without an answer for so long a batch is given up.
    package static let timeout = Duration.seconds(30)

    /// Runs a batch as one transaction in one round trip; one result for each statement.
    ///
    /// - Parameter timeout: from now to the answer, with the time that it takes until a connection is free.
    package func run(
        _ batch: [Statement], timeout: Duration = PostgresPool.timeout
    ) async throws(PostgresError) -> [PostgresResult] {
        if batch.isEmpty { return [] }
        let result = await withCheckedContinuation { continuation in
            let accepted = state.withLock { state in
                if state.isClosed { return false }
                state.jobs.append(Job(batch: batch, deadline: .now + timeout, continuation: continuation))
                return true
            }
            if accepted { available.signal() } else { continuation.resume(returning: .failure(.closed)) }
        }
        return try result.get()
    }

    /// One statement as a batch of its own.
    package func run(_ sql: String, _ parameters: [PostgresValue] = []) async throws(PostgresError) -> PostgresResult {
        let results = try await run([Statement(sql, parameters)])
        guard let first = results.first else { throw .decoding("a statement gave no result") }
        return first
    }

    /// Waits for what was accepted, then closes all connections.
    package func close() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let count = state.withLock { state -> Int in
                guard !state.isClosed, state.runningThreads > 0 else { return 0 }
                state.isClosed = true
                state.closing = continuation
                return state.runningThreads
            }
            if count == 0 { continuation.resume() }
            for _ in 0..<count { available.signal() }
        }
    }

    /// How many connections run a batch, of all, and how many batches wait for one.
    package var use: (busy: Int, connections: Int, waiting: Int) {
        state.withLock { ($0.busyThreads, $0.runningThreads, $0.jobs.count - $0.next) }
    }

    private func work() {
        var connection: Connection?
        while let job = take(&connection) {
            let result = run(job, &connection)
            state.withLock { $0.busyThreads -= 1 }
            job.continuation.resume(returning: result)
        }
        connection = nil
        let closing = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.runningThreads -= 1
            return state.runningThreads == 0 ? state.closing : nil
        }
        closing?.resume()
    }

    /// The next job; nil once the pool is closed and its queue empty. Meanwhile the connection is closed where it may not stay.
    private func take(_ connection: inout Connection?) -> Job? {
        while true {
            if let idleLimit, connection != nil {
                guard available.wait(for: idleLimit) else {
                    connection = nil
                    continue
                }
            } else {
                available.wait()
            }
            let (job, isClosed) = state.withLock { state -> (Job?, Bool) in
                guard state.next < state.jobs.count else { return (nil, state.isClosed) }
                let job = state.jobs[state.next].take()
                state.next += 1
                state.busyThreads += 1
                if state.next == state.jobs.count || state.next > 1024 {
                    state.jobs.removeFirst(state.next)
                    state.next = 0
                }
                return (job, state.isClosed)
            }
            if job != nil || isClosed { return job }
        }
    }

    private func run(_ job: Job, _ connection: inout Connection?) -> Result<[PostgresResult], PostgresError> {
        // Nobody waits for it any more.
        if job.deadline <= .now { return .failure(.unavailable("no connection was free in time")) }
        // An idle connection may have been closed by the server meanwhile: that shows only when it is used. A batch that
        // could not even be sent is safe to send again on a new connection, but from here the two cannot be told apart.
        do throws(PostgresError) {
            var current: Connection
            if let open = connection.take() {
                current = open
            } else {
                current = try Connection(url: url(), usesNames: state.withLock { $0.namesWork })
            }
            let result: Result<[PostgresResult], PostgresError>
            do throws(PostgresError) {
                result = .success(try current.run(job.batch, until: job.deadline))
            } catch {
                result = .failure(error)
            }
            if !current.namesWork { state.withLock { $0.namesWork = false } }
            if case .failure(.refused(let message)) = result, message.endsConnection { return result }
            if case .failure(.connectionLost) = result { return result }
            if current.isUsable { connection = consume current }
            return result
        } catch {
            return .failure(error)
        }
    }
}

/// A counting semaphore that threads wait on; sem_overview(7).
private final class Semaphore: @unchecked Sendable {
    // Unchecked: the semaphore is made for use from several threads, and the pointer never changes.
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func signal() { sem_post(semaphore) }
    func wait() { while sem_wait(semaphore) != 0 {} }

    /// Waits for so long at most, more or less where the clock is set meanwhile; false where that was not enough.
    func wait(for time: Duration) -> Bool {
        var end = timespec()
        clock_gettime(CLOCK_REALTIME, &end)
        let (seconds, attoseconds) = time.components
        let nanoseconds = end.tv_nsec + Int(attoseconds / 1_000_000_000)
        end.tv_sec += Int(seconds) + nanoseconds / 1_000_000_000
        end.tv_nsec = nanoseconds % 1_000_000_000
        while sem_timedwait(semaphore, &end) != 0 {
            if errno == ETIMEDOUT { return false }
        }
        return true
    }
}
