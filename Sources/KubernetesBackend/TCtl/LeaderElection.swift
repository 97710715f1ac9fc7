package import KubernetesAPI
package import Logging
import Synchronization
package import TES

/// One leader among the replicas of a controller: whoever holds a Lease and renews it in time.
///
/// Clocks of different machines are never compared: a Lease has run out once it was not changed for its duration as this process saw it.
/// https://kubernetes.io/docs/concepts/architecture/leases/
package struct LeaderElection: Sendable {
    /// Which Lease, and who wants it.
    package struct Options: Hashable, Sendable {
        /// The Lease's, in the namespace of the client.
        package var name: String
        /// This process's; no two are the same.
        package var identity: String
        /// How long a leader that is gone holds up the next one; whole seconds.
        package var duration = 15

        /// A Lease of 15 seconds.
        package init(name: String, identity: String) {
            self.name = name
            self.identity = identity
        }

        /// Between two looks at the Lease.
        var period: Duration { .milliseconds(duration * 1000 / 3) }
        /// A leader that could not renew for so long leads no more: earlier than another one may take over.
        package var patience: Duration { .milliseconds(duration * 1000 * 2 / 3) }
    }

    private let client: KubernetesClient
    private let options: Options
    private let sight = LeaseSight()
    private let now: @Sendable () -> Timestamp
    private let logger: Logger

    /// - Parameter now: for the times in the Lease, which are for people.
    package init(
        _ client: KubernetesClient, options: Options, now: @escaping @Sendable () -> Timestamp, logger: Logger
    ) {
        self.client = client
        self.options = options
        self.now = now
        self.logger = logger
    }

    /// Whether the cluster told of the Lease within its duration: who cannot see it neither leads nor stands by.
    package var seesLease: Bool { sight.isYounger(than: .seconds(options.duration)) }

    /// Leads whenever it can until the Swift task is cancelled; then gives the Lease back.
    ///
    /// - Parameter lead: is cancelled when the lead is lost, and begun anew when it is won again.
    package func run(_ lead: @escaping @Sendable () async -> Void) async {
        var state = LeaseState(identity: options.identity, duration: .seconds(options.duration))
        while !Task.isCancelled {
            if await attempt(&state) {
                logger.notice("this replica leads", metadata: ["identity": "\(options.identity)"])
                let held = state
                state = await withTaskGroup(of: LeaseState?.self) { group in
                    group.addTask {
                        await lead()
                        return nil
                    }
                    group.addTask { await renew(held) }
                    var last = held
                    // Who returns from leading has nothing more to lead.
                    if let renewed = await group.next() ?? nil { last = renewed }
                    group.cancelAll()
                    for await renewed in group { if let renewed { last = renewed } }
                    return last
                }
                if Task.isCancelled { break }
                logger.warning("this replica leads no more", metadata: ["identity": "\(options.identity)"])
            }
            try? await Task.sleep(for: options.period)
        }
        await release(state)
    }

    /// Renews until that fails for too long, however it fails; a machine that slept notices here.
    private func renew(_ held: LeaseState) async -> LeaseState {
        var state = held
        while !Task.isCancelled {
            try? await Task.sleep(for: options.period)
            let deadline = state.renewedAt + options.patience
            guard !Task.isCancelled, ContinuousClock.now < deadline,
                let renewed = await attempt(state, before: deadline)
            else { break }
            state = renewed
            guard state.isOurs else { break }
        }
        return state
    }

    /// One attempt; nil where it did not come to an end in time.
    private func attempt(_ state: LeaseState, before deadline: ContinuousClock.Instant) async -> LeaseState? {
        await withTaskGroup(of: LeaseState?.self) { group in
            group.addTask {
                var state = state
                _ = await attempt(&state)
                return state
            }
            group.addTask {
                try? await Task.sleep(until: deadline, clock: .continuous)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    /// One look at the Lease, and one write where it is ours or free; whether it is ours now.
    private func attempt(_ state: inout LeaseState) async -> Bool {
        let start = ContinuousClock.now
        do throws(KubernetesError) {
            let lease: Lease?
            do throws(KubernetesError) {
                lease = try await client.get(Lease.self, options.name)
            } catch {
                guard error.reason == .notFound else { throw error }
                lease = nil
            }
            sight.note()
            guard let wanted = state.next(lease, at: start, time: now(), name: options.name) else {
                return state.isOurs
            }
            let written =
                if lease == nil { try await client.create(wanted) } else { try await client.replace(wanted) }
            // The time before the request: that is when others begin to count at the latest.
            state.wrote(written, at: start)
            return true
        } catch {
            // A write that another one has overtaken, our own perhaps: the next look tells whose.
            let isOvertaken = error.reason == .conflict || error.reason == .alreadyExists
            if !isOvertaken, !error.isCancelled {
                logger.warning("the Lease could not be written", metadata: ["reason": "\(error)"])
            }
            return false
        }
    }

    /// Gives the Lease back, so that the next leader need not wait.
    private func release(_ state: LeaseState) async {
        guard state.isOurs else { return }
        // The Swift task is cancelled already; this one is not.
        await Task { await release(state.seen) }.value
    }

    private func release(_ seen: Lease?) async {
        var lease = seen
        while let version = lease?.metadata?.resourceVersion {
            let body = #"{"metadata":{"resourceVersion":"\#(version)"},"spec":{"holderIdentity":""}}"#
            do throws(KubernetesError) {
                _ = try await client.patch(Lease.self, options.name, .merge(Array(body.utf8)))
                return
            } catch {
                // Our own renewal, whose answer was not waited for.
                guard error.reason == .conflict else { return }
            }
            lease = try? await client.get(Lease.self, options.name)
            guard lease?.spec?.holderIdentity == options.identity else { return }
        }
    }
}

/// When the cluster last told of the Lease.
private final class LeaseSight: Sendable {
    private let last = Mutex<ContinuousClock.Instant?>(nil)

    func note() { last.withLock { $0 = .now } }

    func isYounger(than age: Duration) -> Bool { last.withLock { $0.map { .now - $0 < age } ?? false } }
}

/// What one replica knows of the Lease.
package struct LeaseState: Sendable {
    /// Of the replica.
    package let identity: String
    /// Of the Lease.
    package let duration: Duration
    /// Whether the Lease named this replica when it was last seen.
    package var isOurs = false
    /// When this replica last sent what the server then took.
    package private(set) var renewedAt = ContinuousClock.now
    /// The Lease as it was last seen.
    package private(set) var seen: Lease?
    private var seenAt = ContinuousClock.now

    /// Nothing was seen yet.
    package init(identity: String, duration: Duration) {
        self.identity = identity
        self.duration = duration
    }

    /// The Lease to write; nil where another replica holds it.
    ///
    /// - Parameters:
    ///   - lease: as it was just read; nil where there is none.
    ///   - time: goes into the Lease.
    package mutating func next(
        _ lease: Lease?, at instant: ContinuousClock.Instant, time: Timestamp, name: String
    ) -> Lease? {
        let holder = lease?.spec?.holderIdentity ?? ""
        if lease?.metadata?.resourceVersion != seen?.metadata?.resourceVersion || lease == nil {
            seen = lease
            seenAt = instant
        }
        isOurs = holder == identity
        if !isOurs, !holder.isEmpty {
            // What the holder promised, should it be longer.
            let promised = Duration.seconds(lease?.spec?.leaseDurationSeconds ?? 0)
            guard instant - seenAt > max(duration, promised) else { return nil }
        }
        var wanted = lease ?? Lease()
        if wanted.metadata == nil { wanted.metadata = ObjectMeta(name: name) }
        var spec = wanted.spec ?? LeaseSpec()
        spec.holderIdentity = identity
        spec.leaseDurationSeconds = Int32(clamping: duration.components.seconds)
        spec.renewTime = time.microTime
        if !isOurs {
            spec.acquireTime = time.microTime
            spec.leaseTransitions = lease == nil ? 0 : (spec.leaseTransitions ?? 0) + 1
        }
        wanted.spec = spec
        return wanted
    }

    /// The server has taken what was sent at that time.
    package mutating func wrote(_ lease: Lease, at instant: ContinuousClock.Instant) {
        seen = lease
        seenAt = instant
        renewedAt = instant
        isOurs = true
    }
}

extension Timestamp {
    /// As Kubernetes' MicroTime: exactly six decimals, `2026-01-31T12:00:00.250123Z`.
    package var microTime: String {
        let rest = microseconds % 1000
        let digits = "\((rest + 1000) % 1000)"
        return text.dropLast() + String(repeating: "0", count: 3 - digits.count) + digits + "Z"
    }
}
