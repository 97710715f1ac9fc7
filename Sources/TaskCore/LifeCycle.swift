package import TES

extension TESState {
    /// No other state follows this one.
    package var isTerminal: Bool {
        switch self {
        case .complete, .executorError, .systemError, .canceled, .preempted: true
        case .unknown, .queued, .initializing, .running, .paused, .canceling, .unrecognized: false
        }
    }
}

/// The one life cycle of a task: pure, the database's functions follow it (a contract test compares all pairs).
///
///     QUEUED → INITIALIZING → RUNNING → COMPLETE | EXECUTOR_ERROR
///     any non-terminal → SYSTEM_ERROR;  any non-terminal → CANCELING → CANCELED;  INITIALIZING, RUNNING → QUEUED
package struct LifeCycle: Hashable, Sendable {
    /// A task whose attempts were lost so often is not tried again.
    package static let mostAttempts = 3

    package private(set) var state: TESState

    package init(_ state: TESState = .queued) { self.state = state }

    /// What happened when a state was written.
    package enum Outcome: Hashable, Sendable {
        /// The task is now in this state.
        case changed(TESState)
        /// Nothing changed: the task has ended, is there already, or the step is none of the life cycle's.
        case unchanged
    }

    /// Writes a state for the attempt that holds the task. A terminal write on a CANCELING task lands as CANCELED.
    package mutating func record(_ next: TESState) -> Outcome {
        guard !state.isTerminal else { return .unchanged }
        let target: TESState
        switch (state, next) {
        case (.canceling, _) where next == .queued || next.isTerminal:
            target = .canceled
        case (.queued, .initializing), (.initializing, .running), (.initializing, .queued), (.running, .queued):
            target = next
        case (.queued, .systemError), (.paused, .systemError), (.unknown, .systemError),
            (.initializing, _) where next.isTerminal, (.running, _) where next.isTerminal:
            target = next == .canceled ? state : next
        default: return .unchanged
        }
        if target == state { return .unchanged }
        state = target
        return .changed(target)
    }

    /// A client's cancel: a task that no attempt holds is canceled at once.
    package mutating func cancel() -> Outcome {
        switch state {
        case .queued: state = .canceled
        case .initializing, .running, .paused, .unknown: state = .canceling
        default: return .unchanged
        }
        return .changed(state)
    }
}
