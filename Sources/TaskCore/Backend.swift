/// Why a backend cannot run anything at all.
package struct BackendError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}

/// One engine that runs tasks. Its unit is an attempt, never a container, so that a TaskPod, a SLURM job and a local run are siblings.
///
/// An attempt's run writes everything through the ``TaskStore``, its terminal state included.
package protocol Backend: Sendable {
    /// `container`, `kubernetes`, `slurm`.
    var name: String { get }
    /// Finds out what would otherwise fail obscurely in each task; one clear sentence if something would.
    func preflight() async throws(BackendError)
    /// What there is to run on.
    func capacity() async throws(BackendError) -> Capacity
    /// Runs an attempt until its end is recorded; takes up one that already runs where a process before this one left it.
    ///
    /// A cancelled Swift task leaves the attempt running, for the next process to take up.
    func run(_ attempt: Attempt) async
    /// Ends an attempt that runs: ``run(_:)`` then records it as canceled and cleans up.
    func stop(_ key: AttemptKey) async
    /// Removes what attempts left behind that are none of `open`.
    func cleanUp(except open: [AttemptKey]) async
}
