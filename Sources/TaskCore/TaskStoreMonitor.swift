package import TES

/// What only a server's store has: events in order, and what an operator wants to know.
package protocol TaskStoreMonitor: TaskStore {
    /// Answers at once whether the store can be reached.
    func check() async throws(TaskStoreError)
    func statistics() async throws(TaskStoreError) -> StoreStatistics
    /// Changes of state after a position, oldest first, and the position to go on from.
    ///
    /// Only what can have no predecessor any more: a reader that goes on from where it stopped misses nothing.
    func events(
        after position: EventPosition, matching filter: EventFilter, limit: Int, for principal: Principal
    ) async throws(TaskStoreError) -> (events: [TaskEvent], next: EventPosition)
    /// The position behind everything that has happened, of all owners.
    func lastEvent() async throws(TaskStoreError) -> EventPosition
}

/// A place in the order of events; as text, `transaction-number`.
package struct EventPosition: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var transaction: UInt64
    package var number: Int64

    /// Before the first event.
    package static let start = EventPosition(transaction: 0, number: 0)

    package init(transaction: UInt64, number: Int64) {
        self.transaction = transaction
        self.number = number
    }

    /// Reads ``description``, or `0` for the start.
    package init?(_ text: String) {
        if text == "0" {
            self = .start
            return
        }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let transaction = UInt64(parts[0]), let number = Int64(parts[1]), number >= 0 else {
            return nil
        }
        self.init(transaction: transaction, number: number)
    }

    package var description: String { "\(transaction)-\(number)" }

    package static func < (left: EventPosition, right: EventPosition) -> Bool {
        (left.transaction, left.number) < (right.transaction, right.number)
    }
}

/// One change of a task's state.
package struct TaskEvent: Hashable, Sendable {
    package var position: EventPosition
    package var taskID: TaskID
    package var state: TESState
    package var attempt: Int
    package var time: Timestamp

    package init(position: EventPosition, taskID: TaskID, state: TESState, attempt: Int, time: Timestamp) {
        self.position = position
        self.taskID = taskID
        self.state = state
        self.attempt = attempt
        self.time = time
    }
}

/// Which events a reader wants; all must hold.
package struct EventFilter: Sendable {
    /// Any task where it is empty.
    package var tasks: [TaskID] = []
    /// A nil value matches any.
    package var tags: [(key: String, value: String?)] = []

    package init(tasks: [TaskID] = [], tags: [(key: String, value: String?)] = []) {
        self.tasks = tasks
        self.tags = tags
    }
}

/// What an operator wants to know of a store.
package struct StoreStatistics: Sendable {
    /// Tasks by state, of all owners; states without tasks may be missing.
    package var tasks: [(state: TESState, count: Int64)] = []
    /// Seconds since the oldest waiting task was queued; 0 where none waits.
    package var oldestWaiting: Double = 0
    /// Seconds since the oldest change that readers of events cannot see yet; 0 where there is none.
    package var eventLag: Double = 0
    /// Connections that run a batch, of all; and batches that wait for one.
    package var busyConnections = 0
    package var connections = 0
    package var waitingBatches = 0

    package init() {}
}
