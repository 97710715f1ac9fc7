import Foundation
import Synchronization

/// The cluster's clock and what is due on it. A stepped one stands still until a test moves it, so that a run is the same each
/// time; a scaled one runs with the machine's, faster by a factor. A faster one goes on only as this process does: where it had to
/// wait for a processor, the seconds of the machine would be minutes of the cluster.
package final class Timeline: Sendable {
    /// How the time of the cluster goes on.
    package enum Pace: Sendable {
        case stepped
        /// Cluster seconds for each second of the machine.
        case scaled(Double)
    }

    /// What is done when its time has come, inside of the cluster.
    package typealias Action = @Sendable (isolated Cluster) -> Void

    private struct Entry {
        var at: Double
        var number: Int
        var action: Action

        func isBefore(_ other: Entry) -> Bool { (at, number) < (other.at, other.number) }
    }

    private struct State {
        var heap: [Entry] = []
        var number = 0
        /// Seconds since 1970, when they were last looked at.
        var time: Double
        var lookedAt = ContinuousClock.now
        weak var cluster: Cluster?

        /// - Parameter most: no more of the machine's time is counted since the last look.
        mutating func look(_ factor: Double, most: Duration?) -> Double {
            let now = ContinuousClock.now
            let passed = now - lookedAt
            lookedAt = now
            time += (most.map { min(passed, $0) } ?? passed) / .seconds(1) * factor
            return time
        }
    }

    /// How its time goes on.
    package let pace: Pace
    private let state: Mutex<State>
    private static let most = Duration.milliseconds(40)

    /// - Parameter start: what the clock shows at first, in seconds since 1970; now, unless told.
    package init(_ pace: Pace, start: Double = Date().timeIntervalSince1970) {
        self.pace = pace
        state = Mutex(State(time: start))
        guard case .scaled(let factor) = pace, factor > 1 else { return }
        Task { [weak self] in
            while self?.now != nil { try? await Task.sleep(for: Self.most / 4) }
        }
    }

    func attach(_ cluster: Cluster) { state.withLock { $0.cluster = cluster } }

    /// Seconds since 1970 on the cluster's clock.
    package var now: Double {
        switch pace {
        case .stepped: state.withLock { $0.time }
        case .scaled(let factor): state.withLock { $0.look(factor, most: factor > 1 ? Self.most : nil) }
        }
    }

    /// Does something later; what is due at one time is done in the order in which it was asked for.
    /// - Parameter seconds: cluster seconds from now.
    package func after(_ seconds: Double, _ action: @escaping Action) {
        let at = now + max(0, seconds)
        let cluster = state.withLock { state in
            state.number += 1
            push(Entry(at: at, number: state.number, action: action), to: &state.heap)
            return state.cluster
        }
        if case .scaled(let factor) = pace, let cluster { wake(cluster, at: at, factor) }
    }

    private func wake(_ cluster: Cluster, at time: Double, _ factor: Double) {
        Task { [weak self, weak cluster] in
            while let left = self.map({ time - $0.now }), left > 0 {
                try? await Task.sleep(for: .seconds(left / factor) + .microseconds(100))
            }
            await cluster?.runDue()
        }
    }

    /// Waits on the cluster's clock. On a stepped one it lasts until a test has moved the clock so far.
    package func sleep(_ seconds: Double) async {
        await withCheckedContinuation { continuation in after(seconds) { _ in continuation.resume() } }
    }

    /// The time of the next thing that is due, nil if nothing is.
    package var next: Double? { state.withLock { $0.heap.first?.at } }

    /// The next action whose time is not after `limit`; a stepped clock moves to its time.
    func takeDue(_ limit: Double) -> Action? {
        state.withLock { state in
            guard let first = state.heap.first, first.at <= limit else { return nil }
            if case .stepped = pace { state.time = max(state.time, first.at) }
            return popFirst(from: &state.heap).action
        }
    }

    /// Moves a stepped clock forward.
    func step(to time: Double) { state.withLock { $0.time = max($0.time, time) } }

    private func push(_ entry: Entry, to heap: inout [Entry]) {
        heap.append(entry)
        var index = heap.count - 1
        while index > 0, heap[index].isBefore(heap[(index - 1) / 2]) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private func popFirst(from heap: inout [Entry]) -> Entry {
        heap.swapAt(0, heap.count - 1)
        let first = heap.removeLast()
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && heap[child].isBefore(heap[least]) {
                least = child
            }
            if least == index { return first }
            heap.swapAt(index, least)
            index = least
        }
    }
}

extension Timeline {
    /// A time as the API writes it, `2026-11-21T05:51:59Z`: whole seconds, UTC.
    package static func text(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded(.down))
        let days = whole / 86400
        let rest = whole % 86400
        // https://howardhinnant.github.io/date_algorithms.html#civil_from_days
        let z = days + 719_468
        let era = z / 146_097
        let dayOfEra = z % 146_097
        let year = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * year + year / 4 - year / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let calendarMonth = month < 10 ? month + 3 : month - 9
        let calendarYear = year + era * 400 + (calendarMonth <= 2 ? 1 : 0)
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(calendarYear)-\(two(calendarMonth))-\(two(day))T\(two(rest / 3600)):\(two(rest / 60 % 60)):"
            + "\(two(rest % 60))Z"
    }

    /// The seconds since 1970 of a time as the API writes it, fractions kept; nil for other text.
    package static func seconds(_ text: String?) -> Double? {
        guard let text, let match = text.wholeMatch(of: /(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d(?:\.\d+)?)Z/),
            let year = Int(match.1), let month = Int(match.2), let day = Int(match.3), let hour = Int(match.4),
            let minute = Int(match.5), let second = Double(match.6)
        else { return nil }
        let y = month <= 2 ? year - 1 : year
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = y % 400 * 365 + y % 400 / 4 - y % 400 / 100 + dayOfYear
        let days = y / 400 * 146_097 + dayOfEra - 719_468
        return Double(days * 86400 + hour * 3600 + minute * 60) + second
    }
}
