import KubernetesAPI
import Logging
import Synchronization
import TES
import TaskCore

/// Events say why something does not go on where no status does.
extension Controller {
    /// Most Jobs without a Pod or a word about it that are read again after one list of Events.
    private static let mostDoubtful = 20

    /// Reads the namespace's warnings whenever somebody waits for them, one list for all, until the Swift task is cancelled.
    func readEvents() async {
        var next = clock()
        while !Task.isCancelled {
            let now = clock()
            let due = now < next ? [:] : dueForEvents(now)
            if !due.isEmpty {
                next = now.adding(seconds: max(1, options.eventsEvery / 3))
                let result = await limited { () -> ControllerError? in await self.readEvents(of: due, now) }
                switch result {
                case .some(nil): break
                case .some(let error?): warn(error)
                case nil: warn(.tookTooLong)
                }
            }
            try? await Task.sleep(for: options.roundEvery)
        }
    }

    private func warn(_ error: ControllerError) {
        if Task.isCancelled { return }
        logger.warning("Events could not be read; trying again", metadata: ["reason": "\(error)"])
    }

    private func dueForEvents(_ now: Timestamp) -> [SubmissionKey: SubmissionView] {
        state.withLock { state in
            var due: [SubmissionKey: SubmissionView] = [:]
            for key in state.view.unexplained {
                let view = state.view.view(key)
                if let time = nextEvents(key, view, state), time <= now { due[key] = view }
            }
            return due
        }
    }

    /// When Events are to be read of an obstacle that only they explain.
    private func nextEvents(_ key: SubmissionKey, _ view: SubmissionView, _ state: State) -> Timestamp? {
        guard let since = view.obstacleSince else { return nil }
        let last = max(state.eventsRead[key] ?? since, since)
        // What lasts is asked for less and less often: it may be a whole day for a quota.
        let lasted = Int((last.microseconds - since.microseconds) / 1_000_000)
        return last.adding(seconds: max(options.eventsEvery, min(lasted / 2, 600)))
    }

    private func readEvents(of due: [SubmissionKey: SubmissionView], _ now: Timestamp) async -> ControllerError? {
        var keys: [String: SubmissionKey] = [:]
        for (key, view) in due {
            for uid in [view.job?.uid, view.pod?.uid, view.volumeClaim?.uid].compactMap({ $0 }) { keys[uid] = key }
        }
        var events: [SubmissionKey: [Event]] = [:]
        do throws(KubernetesError) {
            _ = try await client.forEachChunk(Event.self, selection: Selection(fields: "type=Warning")) { chunk in
                for event in chunk {
                    guard let key = event.involvedObject?.uid.flatMap({ keys[$0] }) else { continue }
                    events[key, default: []].append(event)
                }
            }
        } catch { return .cluster(error) }
        var doubtful: [JobReading] = []
        state.withLock { state in
            for (key, view) in due {
                let reading = EventReading(events[key] ?? [])
                state.eventsRead[key] = now
                state.view.set(reading, for: key, now: now)
                // Another obstacle has another limit.
                state.dirty.insert(key)
                if view.pod == nil, reading.job == nil, let job = view.job { doubtful.append(job) }
            }
        }
        do throws(ControllerError) {
            for job in doubtful.shuffled().prefix(Self.mostDoubtful) { try await forgetIfGone(job) }
            return nil
        } catch { return error }
    }

    /// A Job without a Pod may be gone: the answer to its creation can come after a list that lacked it already.
    private func forgetIfGone(_ job: JobReading) async throws(ControllerError) {
        do throws(KubernetesError) {
            _ = try await client.get(Job.self, job.name)
        } catch {
            guard error.reason == .notFound else { throw .cluster(error) }
            isGone(job)
        }
    }
}

extension Obstacle.Kind {
    /// Its status does not say why.
    var needsEvents: Bool {
        switch self {
        case .noPod, .mount, .volumeClaim: true
        case .image, .configuration, .recorder, .recorderEnds, .nodeSelector, .capacity, .admission, .neverEnds,
            .nodeRefusal:
            false
        }
    }
}
