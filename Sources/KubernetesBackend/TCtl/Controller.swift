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
        /// Between two rounds, of this machine's clock.
        package var roundEvery = Duration.seconds(1)

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
    /// What all its timers run on; the store's clock may jump, and then stand still.
    let clock: @Sendable () -> Timestamp
    private let election: LeaderElection
    let state = Mutex(State())

    struct State {
        var leads = false
        var view = ClusterView()
        /// Which of the three kinds have been listed, and how many lists that were.
        var listed: Set<String> = []
        var lists = 0
        /// Submissions that may call for something.
        var dirty: Set<SubmissionKey> = []
        /// When to look again though nothing has changed.
        var rechecks: [SubmissionKey: Timestamp] = [:]
        var failures: [SubmissionKey: Int] = [:]
        var eventsRead: [SubmissionKey: Timestamp] = [:]
        /// Whose Job is being made.
        var making: Set<SubmissionKey> = []
        /// Whose Job the cluster did not take, for a quota say.
        var blocked: Set<SubmissionKey> = []
        /// How many submissions in a row the cluster did not take at the first try.
        var refusedInARow = 0
        /// No other submission is tried until then.
        var feedAfter = Timestamp(microseconds: 0)
        /// Since when the cluster denies a submission's Job or claim.
        var deniedSince: [SubmissionKey: Timestamp] = [:]
        /// The store did not answer when it was last asked.
        var isStoreAway = false
        /// Most running tasks have no Job here: see ``MissingJobs``.
        var missesJobs = false
        /// 0 after each list, so that nothing is judged by it before.
        var compareAfter = Timestamp(microseconds: 0)
        /// UIDs of what had no row at the last comparison.
        var suspects: Set<String> = []
        /// States of ended tasks whose objects stay until the next look.
        var settled: [SubmissionKey: TESState] = [:]
        /// How often a queue had taken back a Job's Pod when that was last warned of.
        var suspensions: [SubmissionKey: Int] = [:]

        /// All three kinds have been listed.
        var isReady: Bool { listed.count == 3 }

        /// The rows have been compared with all that was listed.
        var isCompared: Bool { compareAfter.microseconds > 0 }

        /// The submission is of no more interest.
        mutating func forget(_ key: SubmissionKey) {
            view.forget(key)
            rechecks[key] = nil
            failures[key] = nil
            eventsRead[key] = nil
            blocked.remove(key)
            deniedSince[key] = nil
            settled[key] = nil
            suspensions[key] = nil
        }

        /// Whether a submission's next look lies ahead.
        func isWaiting(_ key: SubmissionKey, _ now: Timestamp) -> Bool { rechecks[key] ?? now > now }
    }

    /// - Parameters:
    ///   - election: of the replicas that share the instance.
    ///   - clock: what its timers run on. Nil is a clock that begins with the store's time and runs with this machine's `ContinuousClock`.
    package init(
        client: KubernetesClient, store: any SubmissionStore, election: LeaderElection, options: Options,
        logger: Logger, clock: (@Sendable () -> Timestamp)? = nil, render: @escaping SubmissionRenderer
    ) {
        let (begin, start) = (store.now(), ContinuousClock.now)
        self.clock = clock ?? { begin.adding(start.duration(to: .now)) }
        self.client = client
        self.store = store
        self.election = election
        self.options = options
        self.logger = logger
        self.render = render
        matrix = ControllerMatrix(limits: options.limits)
        recorder = EndRecorder(store: store, limits: options.limits)
    }

    /// Whether it leads, has listed the cluster and has compared that with all rows; false again for a moment after each list.
    package var isReady: Bool { state.withLock { $0.isReady && $0.isCompared } }

    /// Whether this replica leads.
    package var leads: Bool { state.withLock { $0.leads } }

    /// Why it cannot do its part now, in a sentence; nil while it leads and knows what there is, or stands by and sees who leads.
    package var problem: String? {
        guard leads else { return election.seesLease ? nil : "the cluster has not told lately who leads" }
        return isReady ? nil : "it leads, and has not yet compared the cluster with the database"
    }

    /// How many submissions something is kept of.
    package var followed: Int { state.withLock { $0.view.count } }

    /// Leads whenever it can until graceful shutdown; gives the Lease back then. What runs on the cluster runs on.
    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.election.run { await self.lead() } }
    }

    /// Works until the Swift task is cancelled, without asking who leads.
    package func lead() async {
        // What was seen as an earlier leader is old.
        state.withLock {
            $0 = State()
            $0.leads = true
        }
        defer { state.withLock { $0.leads = false } }
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
                    try? await Task.sleep(for: self.options.roundEvery)
                }
            }
            group.addTask { await self.feed() }
            group.addTask { await self.readEvents() }
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
            let now = clock()
            let isUrgent = state.withLock { state in
                if case .replaced = change {
                    state.listed.insert(type.resource.kind)
                    state.lists += 1
                    state.compareAfter = Timestamp(microseconds: 0)
                }
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
        if view.job != nil { state.blocked.remove(key) }
        if let until = matrix.isQuiet(view, until: now) {
            state.dirty.remove(key)
            // What failed is tried again, whatever changes.
            guard state.failures[key] == nil else { return }
            state.rechecks[key] = until == .distantFuture ? nil : until
        } else {
            state.dirty.insert(key)
        }
    }

    // MARK: A round

    /// Everything that is due.
    private func round() async {
        let now = clock()
        guard state.withLock({ $0.isReady }) else { return }
        do throws(TaskStoreError) {
            try await compareIfDue(now)
            let ending = try await store.endingSubmissions(limit: 1000)
            let due = state.withLock { state -> Set<SubmissionKey> in
                if state.isStoreAway {
                    state.isStoreAway = false
                    state.view.storeAnswersSince = now
                }
                var due = state.dirty.filter { state.failures[$0] == nil || !state.isWaiting($0, now) }
                for (key, time) in state.rechecks where time <= now { due.insert(key) }
                for submission in ending {
                    let isSettled =
                        state.failures[submission.key] != nil || state.settled[submission.key] == submission.state
                    if !isSettled || !state.isWaiting(submission.key, now) { due.insert(submission.key) }
                }
                // Whose objects are being made is looked at after that.
                state.dirty.formUnion(due.intersection(state.making))
                due.subtract(state.making)
                state.dirty.subtract(due)
                for key in due { state.rechecks[key] = nil }
                return due
            }
            try await look(at: due)
        } catch {
            storeFailed(error)
        }
    }

    /// The recorders' time to claim does not run while nobody can.
    func storeFailed(_ error: TaskStoreError) {
        state.withLock { $0.isStoreAway = true }
        logger.error("the store does not answer; trying again", metadata: ["reason": "\(error)"])
    }

    /// Reads the rows of some submissions and does what they call for, for half a minute: what is left then is for the next round, which sees
    /// what else has come up.
    private func look(at due: Set<SubmissionKey>) async throws(TaskStoreError) {
        let end = ContinuousClock.now + .seconds(30)
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
                for (index, key) in part.enumerated() {
                    if running >= 16 { await group.next() } else { running += 1 }
                    guard ContinuousClock.now < end else {
                        rest = part.dropFirst(index) + rest
                        break
                    }
                    group.addTask { await self.look(at: key, SubmissionRow(rows[key])) }
                }
            }
            guard ContinuousClock.now < end else { break }
        }
        state.withLock { state in state.dirty.formUnion(rest) }
    }

    private func look(at key: SubmissionKey, _ row: SubmissionRow) async {
        let result = await limited { () -> ControllerError? in
            do throws(ControllerError) {
                try await self.act(on: key, row)
                return nil
            } catch { return error }
        }
        if Task.isCancelled { return }
        switch result {
        case .some(nil): state.withLock { $0.failures[key] = nil }
        case .some(let error?): failed(key, error)
        case nil: failed(key, .tookTooLong)
        }
    }

    private func act(on key: SubmissionKey, _ row: SubmissionRow) async throws(ControllerError) {
        let view = state.withLock { state in
            if row == .none { state.forget(key) }
            if row != .waiting { state.blocked.remove(key) }
            return state.view.view(key)
        }
        let decision = matrix.decide(onClock(row), view, now: clock())
        for action in decision.actions {
            guard try await perform(action, key, row, view) else { break }
        }
        warnOfSuspensions(key, view)
        if let obstacle = view.obstacle, obstacle.kind == .nodeRefusal, !decision.actions.isEmpty {
            logger.warning(
                "a node refused a Pod; another one is made unless that happens too often",
                metadata: [
                    "submission": "\(key.objectName)", "node": "\(view.pod?.node ?? "")", "reason": "\(obstacle.text)",
                    "times": "\(view.refusals)",
                ])
        }
        state.withLock { state in
            if case .ended(let ended, _) = row, decision.recheck != nil { state.settled[key] = ended }
            let looks = [decision.recheck, state.rechecks[key]].compactMap { $0 }
            if let look = looks.min() { state.rechecks[key] = max(look, clock().adding(seconds: 1)) }
        }
    }

    /// The time of a task's end is the store's: as long ago on the clock of the timers.
    private func onClock(_ row: SubmissionRow) -> SubmissionRow {
        guard case .ended(let state, let since) = row else { return row }
        let ago = store.now().microseconds - since.microseconds
        return .ended(state, since: Timestamp(microseconds: clock().microseconds - ago))
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
}

/// Why something could not be done now.
enum ControllerError: Error, CustomStringConvertible {
    case cluster(KubernetesError)
    /// The cluster takes no Job now, or not this one.
    case creation(KubernetesError)
    /// A policy or a webhook denies this object.
    case denied(KubernetesError)
    case store(TaskStoreError)
    /// An object that is in the way.
    case inTheWay(String)
    case tookTooLong

    var description: String {
        switch self {
        case .cluster(let error), .creation(let error), .denied(let error): error.description
        case .store(let error): "the store: \(error)"
        case .inTheWay(let reason): reason
        case .tookTooLong: "it took longer than a minute"
        }
    }
}
