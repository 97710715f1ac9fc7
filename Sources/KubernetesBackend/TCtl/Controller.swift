package import KubernetesAPI
package import Logging
import ServiceLifecycle
import Synchronization
import TES
package import TaskCore

/// Makes a submission's objects; a cause where the task can never be any.
package typealias SubmissionRenderer = @Sendable (Submission) throws(Cause) -> SubmissionObjects

/// TCtl: turns waiting tasks into Jobs, and ends what cannot end by itself.
///
/// It keeps a reading of each object of its instance, and reads rows only of submissions that may call for something. What is to be
/// done is ``ControllerMatrix``'s to say.
package final class Controller: Service {
    /// What an operator can say, and what tests shorten.
    package struct Options: Hashable, Sendable {
        /// The value of `poiesis.io/instance` of all its objects.
        package var instance: String
        /// Most Jobs that have not ended.
        package var maxLiveJobs = 1000
        /// How long things may last.
        package var limits = ControllerLimits()
        /// Seconds that a Job without a row is left alone.
        package var orphanAge = 600
        /// Seconds between two comparisons of all rows with all Jobs.
        package var comparisonEvery = 60
        /// Seconds until Events are read of something that does not start, and between two times.
        package var eventsEvery = 30

        /// The defaults for an instance.
        package init(instance: String) { self.instance = instance }
    }

    let client: KubernetesClient
    let store: any SubmissionStore
    let options: Options
    let render: SubmissionRenderer
    let logger: Logger
    let matrix: ControllerMatrix
    let recorder: EndRecorder
    private let election: LeaderElection
    let state = Mutex(State())

    struct State {
        var view = ClusterView()
        /// Which of the three kinds have been listed.
        var listed: Set<String> = []
        /// Submissions that may call for something.
        var dirty: Set<SubmissionKey> = []
        /// When to look again though nothing has changed.
        var rechecks: [SubmissionKey: Timestamp] = [:]
        var failures: [SubmissionKey: Int] = [:]
        var eventsRead: [SubmissionKey: Timestamp] = [:]
        /// Submissions, which the cluster does not take now, wait until then.
        var feedAfter = Timestamp(microseconds: 0)
        var compareAfter = Timestamp(microseconds: 0)
        /// UIDs of what had no row at the last comparison.
        var suspects: Set<String> = []
        /// States of ended tasks whose objects stay until the next look.
        var settled: [SubmissionKey: TESState] = [:]
        /// How often a queue had taken back a Job's Pod when that was last warned of.
        var suspensions: [SubmissionKey: Int] = [:]

        /// Whether a submission's next look lies ahead.
        func isWaiting(_ key: SubmissionKey, _ now: Timestamp) -> Bool { rechecks[key] ?? now > now }
    }

    /// - Parameter election: of the replicas that share the instance.
    package init(
        client: KubernetesClient, store: any SubmissionStore, election: LeaderElection, options: Options,
        logger: Logger, render: @escaping SubmissionRenderer
    ) {
        self.client = client
        self.store = store
        self.election = election
        self.options = options
        self.logger = logger
        self.render = render
        matrix = ControllerMatrix(limits: options.limits)
        recorder = EndRecorder(store: store, limits: options.limits)
    }

    /// Leads whenever it can until graceful shutdown; gives the Lease back then. What runs on the cluster runs on.
    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.election.run { await self.lead() } }
    }

    /// Works until the Swift task is cancelled, without asking who leads.
    package func lead() async {
        // What was seen as an earlier leader is old.
        state.withLock { $0 = State() }
        let (signals, wakeUp) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        await withDiscardingTaskGroup { group in
            group.addTask { await self.follow(Job.self, wakeUp, { JobReading($0) }) { $0.apply($1, now: $2) } }
            group.addTask { await self.follow(Pod.self, wakeUp, { PodReading($0) }) { $0.apply($1, now: $2) } }
            group.addTask {
                await self.follow(PersistentVolumeClaim.self, wakeUp, { VolumeClaimReading($0) }) {
                    $0.apply($1, now: $2)
                }
            }
            group.addTask {
                while !Task.isCancelled {
                    wakeUp.yield()
                    try? await Task.sleep(for: .seconds(1))
                }
            }
            // Ends with the Swift task: a stream does.
            for await _ in signals { await round() }
            group.cancelAll()
        }
    }

    var selection: Selection { Selection(labels: "\(ObjectLabel.instance)=\(options.instance)") }

    /// Keeps the readings of one kind of object.
    private func follow<Object: KubernetesObject, Reading: Sendable>(
        _ type: Object.Type, _ wakeUp: AsyncStream<Void>.Continuation, _ keep: @escaping @Sendable (Object) -> Reading?,
        _ apply: @Sendable (inout ClusterView, ReflectedChange<Reading?>, Timestamp) -> [SubmissionKey]
    ) async {
        var reflector = Reflector(client, keep: keep)
        reflector.selection = selection
        await reflector.run { change in
            if case .interrupted(let error, let delay) = change {
                logger.warning(
                    "what the cluster has is not known for now",
                    metadata: [
                        "kind": "\(type.resource.kind)", "reason": "\(error)", "retry_in": "\(delay)",
                    ])
            }
            let now = store.now()
            let isUrgent = state.withLock { state in
                if case .replaced = change { state.listed.insert(type.resource.kind) }
                let changed = apply(&state.view, change, now)
                let before = state.dirty.count
                for key in changed { self.note(key, &state, now) }
                return state.dirty.count > before
            }
            if isUrgent { wakeUp.yield() }
        }
    }

    /// Remembers a submission for the next round, unless nothing is to be done whatever its row says.
    func note(_ key: SubmissionKey, _ state: inout State, _ now: Timestamp) {
        let view = state.view.view(key)
        if let until = matrix.isQuiet(view, until: now) {
            state.dirty.remove(key)
            // What failed is tried again, whatever changes.
            guard state.failures[key] == nil else { return }
            let look = min(until, nextEvents(key, view, state) ?? until)
            state.rechecks[key] = look == .distantFuture ? nil : look
        } else {
            state.dirty.insert(key)
        }
    }

    /// When Events are to be read of an obstacle that only they explain.
    private func nextEvents(_ key: SubmissionKey, _ view: SubmissionView, _ state: State) -> Timestamp? {
        guard let obstacle = view.obstacle, let since = view.obstacleSince else { return nil }
        guard obstacle.kind.needsEvents || view.pod == nil else { return nil }
        let last = max(state.eventsRead[key] ?? since, since)
        // What lasts is asked for less and less often: a thousand Jobs may wait for one quota.
        let lasted = Int((last.microseconds - since.microseconds) / 1_000_000)
        return last.adding(seconds: max(options.eventsEvery, min(lasted / 2, 600)))
    }

    // MARK: A round

    /// Everything that is due.
    private func round() async {
        let now = store.now()
        guard state.withLock({ $0.listed.count == 3 }) else { return }
        do throws(TaskStoreError) {
            try await compareIfDue(now)
            let ending = try await store.endingSubmissions(limit: 1000)
            let due = state.withLock { state -> Set<SubmissionKey> in
                var due = state.dirty.filter { state.failures[$0] == nil || !state.isWaiting($0, now) }
                for (key, time) in state.rechecks where time <= now { due.insert(key) }
                for submission in ending {
                    let isSettled =
                        state.failures[submission.key] != nil || state.settled[submission.key] == submission.state
                    if !isSettled || !state.isWaiting(submission.key, now) { due.insert(submission.key) }
                }
                state.dirty.subtract(due)
                for key in due { state.rechecks[key] = nil }
                return due
            }
            try await look(at: due)
            try await feed()
        } catch {
            logger.error("the store does not answer; trying again", metadata: ["reason": "\(error)"])
        }
    }

    /// Reads the rows of some submissions and does what they call for.
    private func look(at due: Set<SubmissionKey>) async throws(TaskStoreError) {
        var rest = due.sorted { ($0.taskID, $0.number) < ($1.taskID, $1.number) }[...]
        while !rest.isEmpty, !Task.isCancelled {
            let part = rest.prefix(500)
            rest = rest.dropFirst(500)
            let submissions: [OpenSubmission]
            do throws(TaskStoreError) {
                submissions = try await store.openSubmissions(of: Array(Set(part.map(\.taskID))))
            } catch {
                state.withLock { state in state.dirty.formUnion(part + rest) }
                throw error
            }
            let rows = Dictionary(submissions.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
            // Each is one or two short requests; the client's own limit holds.
            await withTaskGroup(of: Void.self) { group in
                var running = 0
                for key in part {
                    if running >= 16 { await group.next() } else { running += 1 }
                    group.addTask { await self.look(at: key, SubmissionRow(rows[key])) }
                }
            }
        }
    }

    private func look(at key: SubmissionKey, _ row: SubmissionRow) async {
        do throws(ControllerError) {
            try await readEventsIfDue(key)
            let now = store.now()
            let view = state.withLock { $0.view.view(key) }
            let decision = matrix.decide(row, view, now: now)
            for action in decision.actions {
                guard try await perform(action, key, row, view) else { break }
            }
            warnOfSuspensions(key, view)
            state.withLock { state in
                state.failures[key] = nil
                if case .ended(let ended, _) = row, decision.recheck != nil { state.settled[key] = ended }
                let look = [decision.recheck, nextEvents(key, view, state)].compactMap { $0 }.min()
                if let look { state.rechecks[key] = max(look, now.adding(seconds: 1)) }
            }
        } catch {
            state.withLock { state in
                let failures = state.failures[key, default: 0] + 1
                state.failures[key] = failures
                state.rechecks[key] = store.now().adding(seconds: min(60, 1 << min(failures, 6)))
            }
            logger.warning(
                "a submission could not be looked after; trying again",
                metadata: ["submission": "\(key.objectName)", "reason": "\(error)"])
        }
    }

    /// Tells the operator of a Job that does not come to run.
    private func warnOfSuspensions(_ key: SubmissionKey, _ view: SubmissionView) {
        guard view.suspensions >= 3,
            state.withLock({ $0.suspensions.updateValue(view.suspensions, forKey: key) }) != view.suspensions
        else { return }
        logger.warning(
            "a queue takes back this Job's Pod again and again; Kueue's waitForPodsReady must be off",
            metadata: ["submission": "\(key.objectName)", "times": "\(view.suspensions)"])
    }

    /// Reads the Events of a submission's objects where only they say why it does not go on.
    private func readEventsIfDue(_ key: SubmissionKey) async throws(ControllerError) {
        let now = store.now()
        let view = state.withLock { state -> SubmissionView? in
            let view = state.view.view(key)
            guard let due = nextEvents(key, view, state), due <= now else { return nil }
            state.eventsRead[key] = now
            return view
        }
        guard let view else { return }
        let uids = [view.job?.uid, view.pod?.uid, view.volumeClaim?.uid].compactMap { $0 }
        var events: [Event] = []
        for uid in uids {
            var list = ListOptions()
            list.selection.fields = "involvedObject.uid=\(uid)"
            do throws(KubernetesError) {
                events += try await client.list(Event.self, options: list).items
            } catch { throw .cluster(error) }
        }
        let reading = EventReading(events)
        state.withLock { $0.view.set(reading, for: key, now: now) }
        if view.pod == nil, let job = view.job { try await forgetIfGone(job) }
    }

    /// A Job without a Pod may be gone: the answer to its creation can come after the watch has told of its end.
    private func forgetIfGone(_ job: JobReading) async throws(ControllerError) {
        do throws(KubernetesError) {
            _ = try await client.get(Job.self, job.name)
        } catch {
            guard error.reason == .notFound else { throw .cluster(error) }
            let now = store.now()
            state.withLock { state in
                for key in state.view.apply(.deleted(job), now: now) { note(key, &state, now) }
            }
        }
    }

    // MARK: Waiting tasks

    /// Submits the oldest waiting tasks, as many as there is room for.
    private func feed() async throws(TaskStoreError) {
        let now = store.now()
        let free = state.withLock { $0.feedAfter <= now ? options.maxLiveJobs - $0.view.liveJobs : 0 }
        guard free > 0 else { return }
        for id in try await store.waitingTasks(limit: min(free, 100)) {
            guard !Task.isCancelled, state.withLock({ $0.feedAfter <= now }) else { return }
            guard let submission = try await store.submit(id) else { continue }
            do throws(ControllerError) {
                try await create(submission)
            } catch {
                failedToCreate(submission.key, error)
            }
        }
    }

    private func failedToCreate(_ key: SubmissionKey, _ error: ControllerError) {
        logger.warning(
            "a Job could not be made; trying again",
            metadata: ["submission": "\(key.objectName)", "reason": "\(error)"])
        state.withLock { state in
            let later = store.now().adding(seconds: 5)
            state.feedAfter = later
            state.rechecks[key] = later
            state.failures[key, default: 0] += 1
        }
    }
}

/// Why something could not be done now.
enum ControllerError: Error, CustomStringConvertible {
    case cluster(KubernetesError)
    case store(TaskStoreError)
    /// An object that is in the way.
    case inTheWay(String)

    var description: String {
        switch self {
        case .cluster(let error): error.description
        case .store(let error): "the store: \(error)"
        case .inTheWay(let reason): reason
        }
    }
}

extension Obstacle.Kind {
    /// Its status does not say why.
    var needsEvents: Bool {
        switch self {
        case .noPod, .mount, .volumeClaim: true
        case .image, .configuration, .recorder, .nodeSelector, .capacity, .admission, .neverEnds: false
        }
    }
}
