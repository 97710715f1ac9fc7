import Synchronization
import TES
import TaskCore

/// Families of figures in Prometheus's text format 0.0.4.
struct PrometheusText {
    private(set) var text = ""

    /// - Parameter samples: what follows the name, such as labels in their braces; and the number.
    mutating func add(_ name: String, _ type: String, _ help: String, _ samples: [(labels: String, value: String)]) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
        for sample in samples { text += "\(name)\(sample.labels) \(sample.value)\n" }
    }

    mutating func addBuild(_ version: String) {
        add("poiesis_build_info", "gauge", "What runs.", [("{version=\"\(version)\"}", "1")])
    }
}

/// Counts requests, and writes them with the store's figures in Prometheus's text format 0.0.4.
final class RequestMetrics: Sendable {
    private struct Key: Hashable {
        var operation: String
        var status: Int
    }

    private struct Histogram {
        /// Of each bucket alone; the text adds them up.
        var counts = [Int](repeating: 0, count: RequestMetrics.buckets.count + 1)
        var seconds = 0.0
    }

    /// Upper bounds in seconds.
    private static let buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

    private let state = Mutex<(requests: [Key: Int], durations: [String: Histogram])>(([:], [:]))

    func add(operation: String, status: Int, duration: Duration) {
        let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
        let bucket = Self.buckets.firstIndex { seconds <= $0 } ?? Self.buckets.count
        state.withLock { state in
            state.requests[Key(operation: operation, status: status), default: 0] += 1
            state.durations[operation, default: Histogram()].counts[bucket] += 1
            state.durations[operation]?.seconds += seconds
        }
    }

    /// - Parameters:
    ///   - store: nil while the store is away; its lines are left out then.
    ///   - residentBytes: memory of this process.
    func text(version: String, store: StoreStatistics?, residentBytes: Int64) -> String {
        var text = PrometheusText()
        let (requests, durations) = state.withLock { ($0.requests, $0.durations) }
        text.addBuild(version)
        text.add(
            "poiesis_http_requests_total", "counter", "Answered requests.",
            requests.sorted { ($0.key.operation, $0.key.status) < ($1.key.operation, $1.key.status) }.map {
                ("{operation=\"\($0.key.operation)\",status=\"\($0.key.status)\"}", "\($0.value)")
            })
        let histograms = durations.sorted { $0.key < $1.key }.flatMap { operation, histogram in
            var sum = 0
            var samples: [(labels: String, value: String)] = []
            for (index, count) in histogram.counts.enumerated() {
                sum += count
                let bound = index < Self.buckets.count ? "\(Self.buckets[index])" : "+Inf"
                samples.append(("_bucket{operation=\"\(operation)\",le=\"\(bound)\"}", "\(sum)"))
            }
            samples.append(("_sum{operation=\"\(operation)\"}", "\(histogram.seconds)"))
            return samples + [("_count{operation=\"\(operation)\"}", "\(sum)")]
        }
        text.add(
            "poiesis_http_request_duration_seconds", "histogram", "Time from a request's head to its answer's.",
            histograms)
        text.add("process_resident_memory_bytes", "gauge", "Memory of this process.", [("", "\(residentBytes)")])
        text.add("poiesis_store_up", "gauge", "Whether the database answered.", [("", store == nil ? "0" : "1")])
        guard let store else { return text.text }
        let counts = Dictionary(store.tasks.map { ($0.state, $0.count) }) { first, _ in first }
        text.add(
            "poiesis_tasks", "gauge", "Tasks by state.",
            TESState.allCases.map { ("{state=\"\($0.rawValue)\"}", "\(counts[$0] ?? 0)") })
        text.add(
            "poiesis_queue_oldest_seconds", "gauge", "How long the oldest waiting task has waited.",
            [("", "\(store.oldestWaiting)")])
        text.add(
            "poiesis_event_lag_seconds", "gauge", "How long the oldest change waits for its readers.",
            [("", "\(store.eventLag)")])
        text.add(
            "poiesis_database_connections", "gauge", "Connections of the pool.",
            [
                ("{state=\"busy\"}", "\(store.busyConnections)"),
                ("{state=\"idle\"}", "\(store.connections - store.busyConnections)"),
            ])
        text.add(
            "poiesis_database_waiting", "gauge", "Batches that wait for a connection.",
            [("", "\(store.waitingBatches)")])
        return text.text
    }
}
