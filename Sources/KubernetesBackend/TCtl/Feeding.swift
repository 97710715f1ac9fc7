import KubernetesAPI
import Logging
import Synchronization
import TES
import TaskCore

/// Waiting tasks become Jobs.
extension Controller {
    /// So many submissions that the cluster does not take for now, and so many refusals in a row, are no accident: then further tasks are
    /// tried one at a time, and now and then.
    private static let mostBlocked = 10

    /// Submits waiting tasks until the Swift task is cancelled. Rounds go on meanwhile: a cancel waits for none of it.
    func feed() async {
        while !Task.isCancelled {
            do throws(TaskStoreError) {
                while try await feedOnce() {}
            } catch {
                storeFailed(error)
            }
            try? await Task.sleep(for: options.roundEvery)
        }
    }

    /// Submits the oldest waiting tasks, as many as there is room for; whether there may be more.
    private func feedOnce() async throws(TaskStoreError) -> Bool {
        let now = clock()
        let free = state.withLock { state in
            // Nothing is judged before the first comparison.
            guard state.isReady, state.isCompared, !state.missesJobs, state.feedAfter <= now else { return 0 }
            let free = options.maxLiveJobs - state.view.liveJobs - state.making.count
            return Self.takesNone(state) ? min(free, 1) : free
        }
        guard free > 0 else { return false }
        let limit = min(free, 100)
        let waiting = try await store.waitingTasks(limit: limit)
        var failure: TaskStoreError?
        var made = 0
        await withTaskGroup(of: Result<Bool, TaskStoreError>.self) { group in
            var running = 0
            func take(_ result: Result<Bool, TaskStoreError>?) {
                switch result {
                case .success(true)?: made += 1
                case .failure(let error)?: failure = error
                case .success(false)?, nil: break
                }
            }
            for id in waiting {
                if running >= 16 { take(await group.next()) } else { running += 1 }
                guard failure == nil, !Task.isCancelled, state.withLock({ $0.feedAfter <= now }) else { break }
                group.addTask { await self.feed(id) }
            }
            for await result in group { take(result) }
        }
        if let failure { throw failure }
        return made > 0 && waiting.count == limit && !Task.isCancelled
    }

    /// Submits one task; whether it has its Job now.
    private func feed(_ id: TaskID) async -> Result<Bool, TaskStoreError> {
        let submission: Submission
        do throws(TaskStoreError) {
            guard let opened = try await store.submit(id) else { return .success(false) }
            submission = opened
        } catch { return .failure(error) }
        let result = await limited { () -> Result<Bool, ControllerError> in
            do throws(ControllerError) { return .success(try await self.make(submission)) } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let isMade)?: return .success(isMade)
        case .failure(let error)?: if !Task.isCancelled { failed(submission.key, error) }
        case nil: if !Task.isCancelled { failed(submission.key, .tookTooLong) }
        }
        return .success(false)
    }

    private static func takesNone(_ state: State) -> Bool {
        state.blocked.count >= mostBlocked && state.refusedInARow >= mostBlocked
    }

    /// The cluster has taken a submission's Job. One that it did not take before says nothing of others: it may have got the only room.
    func taken(_ key: SubmissionKey) {
        state.withLock { state in
            state.deniedSince[key] = nil
            guard state.blocked.remove(key) == nil else {
                // So few wait now that the cluster takes some: others are tried soon.
                if !Self.takesNone(state) { state.feedAfter = min(state.feedAfter, clock().adding(seconds: 5)) }
                return
            }
            state.refusedInARow = 0
            state.feedAfter = Timestamp(microseconds: 0)
        }
    }

    /// Makes the objects of a submission unless there are as many Jobs as may be; whether there was room.
    func make(_ submission: Submission) async throws(ControllerError) -> Bool {
        let key = submission.key
        let hasRoom = state.withLock { state in
            // The cluster may be another one than the tasks'.
            !state.missesJobs && state.view.liveJobs + state.making.count < options.maxLiveJobs
                && state.making.insert(key).inserted
        }
        guard hasRoom else {
            state.withLock { $0.rechecks[key] = clock().adding(seconds: 5) }
            return false
        }
        defer { state.withLock { _ = $0.making.remove(key) } }
        try await create(submission)
        return true
    }

    /// Remembers to try again, the sooner where the cluster takes nothing for now.
    func failed(_ key: SubmissionKey, _ error: ControllerError) {
        let now = clock()
        state.withLock { state in
            let failures = state.failures[key, default: 0] + 1
            state.failures[key] = failures
            // That one fails again says nothing of others.
            if case .creation = error, state.blocked.insert(key).inserted {
                state.refusedInARow += 1
                state.feedAfter = now.adding(seconds: Self.takesNone(state) ? max(60, state.blocked.count) : 5)
            }
            var pause = 1 << min(failures, 6)
            if state.blocked.contains(key) {
                // The more wait, the less each is tried: two a second, all told.
                pause = max(min(pause, 10), state.blocked.count / 2)
            }
            state.rechecks[key] = now.adding(seconds: min(pause, 3600))
        }
        logger.warning(
            "a submission could not be looked after; trying again",
            metadata: ["submission": "\(key.objectName)", "reason": "\(error)"])
    }

    /// Lets a body end or cancels it after a minute, so that one answer that never comes holds up no others; nil then.
    func limited<Result: Sendable>(_ body: @escaping @Sendable () async -> Result) async -> Result? {
        await withTaskGroup(of: Result?.self) { group in
            group.addTask { await body() }
            group.addTask {
                try? await Task.sleep(for: .seconds(60))
                return nil
            }
            let result = await group.next() ?? nil
            group.cancelAll()
            return result
        }
    }
}
