package import Logging
import ServiceLifecycle
import Synchronization
import TES
package import TaskCore

/// Claims waiting tasks that fit what is free, runs them on a backend, and takes up after a restart what ran before.
package final class Worker: Service {
    private struct State {
        var running: [TaskID: (key: AttemptKey, demand: Capacity)] = [:]
        var beats = Heartbeats(lease: Worker.lease)
        /// What the store says that this worker holds is to be compared with what runs.
        var isToReconcile = false
    }

    private let id: WorkerID
    private let store: any TaskStore
    private let backend: any Backend
    private let wakeUp: WakeUp
    private let logger: Logger
    private let state = Mutex(State())

    /// A worker that was not heard of for so long has lost its attempts.
    private static let lease = Duration.seconds(60)
    private static let heartbeatEvery = Duration.seconds(10)

    package init(id: WorkerID, store: any TaskStore, backend: any Backend, wakeUp: WakeUp, logger: Logger) {
        self.id = id
        self.store = store
        self.backend = backend
        self.wakeUp = wakeUp
        self.logger = logger
    }

    /// Runs until graceful shutdown; attempts that run then go on without it, and are taken up by the next start.
    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.work() }
    }

    private func work() async {
        guard let total = await capacity() else { return }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.wakeUp.tick(every: .seconds(1)) }
            // On its own: neither a slow engine nor a long queue may cost this worker its attempts.
            group.addTask { await self.beat() }
            await takeUp(&group, total)
            var rounds = 0
            for await _ in wakeUp.signals {
                await stopCancelled()
                await reconcile(&group, total)
                await claim(&group, total, rounds)
                rounds += 1
            }
            let running = state.withLock { $0.running.count }
            if running > 0 {
                logger.notice(
                    "tasks run on without this server; its next start takes them up", metadata: ["tasks": "\(running)"])
            }
            group.cancelAll()
        }
    }

    /// What the engine has in all; nil when the worker is told to stop before the engine answers.
    private func capacity() async -> Capacity? {
        while !Task.isCancelled {
            do throws(BackendError) {
                return try await backend.capacity()
            } catch  where !Task.isCancelled {
                logger.error("the engine does not answer; trying again", metadata: ["reason": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            } catch {}
        }
        return nil
    }

    /// Attempts that this worker holds since before it was started.
    private func takeUp(_ group: inout DiscardingTaskGroup, _ total: Capacity) async {
        while !Task.isCancelled {
            do throws(TaskStoreError) {
                try await store.heartbeat(id)
                let open = try await store.openAttempts(of: id)
                await backend.cleanUp(except: open.map(\.key))
                for attempt in open {
                    logger.info("taking up an attempt", metadata: ["task": "\(attempt.key.taskID)"])
                    try await take(attempt, &group, total)
                }
                return
            } catch {
                logger.error("the store does not answer; trying again", metadata: ["reason": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// Starts what this worker holds and does not run: a claim whose answer was lost.
    private func reconcile(_ group: inout DiscardingTaskGroup, _ total: Capacity) async {
        guard state.withLock({ $0.isToReconcile }) else { return }
        // An attempt that ends while the store answers is none of them.
        let before = Set(state.withLock { $0.running.values.map(\.key) })
        do throws(TaskStoreError) {
            for attempt in try await store.openAttempts(of: id) where !before.contains(attempt.key) {
                try await take(attempt, &group, total)
            }
            state.withLock { $0.isToReconcile = false }
        } catch {
            logger.error("the attempts of this worker could not be read", metadata: ["reason": "\(error)"])
        }
    }

    /// Runs an attempt that this worker holds, or ends it where there is too little for it.
    private func take(
        _ attempt: Attempt, _ group: inout DiscardingTaskGroup, _ total: Capacity
    ) async throws(TaskStoreError) {
        let running = state.withLock { $0.running[attempt.key.taskID]?.key }
        if running == attempt.key { return }
        // An earlier attempt of the same task, which was lost meanwhile.
        if let running { await backend.stop(running) }
        let demand = attempt.task.demand
        if attempt.state == .initializing, demand.cpuCores > total.cpuCores || demand.memory > total.memory {
            return try await refuse(attempt, total)
        }
        start(attempt, &group)
    }

    private func start(_ attempt: Attempt, _ group: inout DiscardingTaskGroup) {
        state.withLock { $0.running[attempt.key.taskID] = (attempt.key, attempt.task.demand) }
        group.addTask {
            await self.backend.run(attempt)
            // Where the task was lost and claimed again, its next attempt may run already.
            self.state.withLock { state in
                if state.running[attempt.key.taskID]?.key == attempt.key { state.running[attempt.key.taskID] = nil }
            }
            self.wakeUp.signal()
        }
    }

    /// Tells every few seconds that this worker lives, and takes back what workers held that do not.
    private func beat() async {
        while !Task.isCancelled {
            do throws(TaskStoreError) {
                try await store.heartbeat(id)
                let mayTakeBack = state.withLock { state in
                    state.isToReconcile = true
                    return state.beats.note(at: .now)
                }
                if mayTakeBack {
                    let lost = try await store.takeBackLost(lease: Self.lease)
                    if lost > 0 { logger.warning("took back tasks of lost workers", metadata: ["tasks": "\(lost)"]) }
                }
            } catch {
                logger.error("no heartbeat could be written", metadata: ["reason": "\(error)"])
            }
            try? await Task.sleep(for: Self.heartbeatEvery)
        }
    }

    private func stopCancelled() async {
        let keys = state.withLock { $0.running.values.map(\.key) }
        guard let stopped = try? await store.stopped(keys) else { return }
        for key in keys where stopped.contains(key.taskID) { await backend.stop(key) }
    }

    private func claim(_ group: inout DiscardingTaskGroup, _ total: Capacity, _ rounds: Int) async {
        while !Task.isCancelled {
            let free = state.withLock { state in
                state.running.values.reduce(total) { free, running in
                    Capacity(
                        cpuCores: free.cpuCores - running.demand.cpuCores, memory: free.memory - running.demand.memory)
                }
            }
            // With nothing free the whole queue would be searched for those alone that never fit: now and then will do.
            guard free.cpuCores > 0 && free.memory > 0 || rounds % 5 == 0 else { return }
            do throws(TaskStoreError) {
                guard let attempt = try await store.claim(id, backend: backend.name, free: free, total: total) else {
                    return
                }
                try await take(attempt, &group, total)
            } catch {
                logger.error("no task could be claimed", metadata: ["reason": "\(error)"])
                // A task may be claimed all the same, its answer lost.
                state.withLock { $0.isToReconcile = true }
                return
            }
        }
    }

    /// A task that could never run ends at once instead of waiting for ever.
    private func refuse(_ attempt: Attempt, _ total: Capacity) async throws(TaskStoreError) {
        let demand = attempt.task.demand
        let cause = Cause.tooLarge(
            reason:
                "it asks for \(demand.cpuCores) CPU cores and \(gigabytes(demand.memory)) GB of memory, this machine has \(total.cpuCores) and \(gigabytes(total.memory)) GB"
        )
        var record = AttemptRecord(state: cause.state, time: store.now())
        record.cause = cause.name
        record.systemLogs = [cause.sentence].compactMap { $0 }
        try await store.record(record, for: attempt.key)
    }

    private func gigabytes(_ bytes: Int64) -> String {
        let tenths = bytes / 100_000_000
        return "\(tenths / 10).\(tenths % 10)"
    }
}

/// Tells the worker that there may be something to do; many signals before it looks are one.
package final class WakeUp: Sendable {
    package let signals: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    package init() {
        (signals, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package func signal() { continuation.yield() }

    /// The poll that holds where a hint was lost.
    func tick(every interval: Duration) async {
        while !Task.isCancelled {
            continuation.yield()
            try? await Task.sleep(for: interval)
        }
    }
}
