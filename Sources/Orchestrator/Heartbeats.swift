/// When this worker's own heartbeats got through: whether it may judge others by theirs.
///
/// After a time in which nobody could write heartbeats (the database was away, this machine slept) every worker looks lost. So others'
/// tasks are taken back only once this worker's beats have come without a gap for a whole lease: by then the others' have too.
package struct Heartbeats: Sendable {
    private let lease: Duration
    private var last: ContinuousClock.Instant?
    private var steadySince: ContinuousClock.Instant?

    /// - Parameter lease: a worker that was not heard of for so long has lost its attempts.
    package init(lease: Duration) { self.lease = lease }

    /// Notes a beat that got through; whether lost workers' tasks may be taken back.
    package mutating func note(at time: ContinuousClock.Instant) -> Bool {
        let isSteady = last.map { $0.duration(to: time) <= lease / 2 } ?? false
        let since = isSteady ? steadySince ?? time : time
        steadySince = since
        last = time
        return since.duration(to: time) >= lease
    }
}
