import Postgres
import TES
package import TaskCore

/// What operators and readers of events ask.
extension PostgresTaskStore: TaskStoreMonitor {
    /// Transactions before this one have all ended, and what they wrote can be read.
    private static let horizon = "pg_snapshot_xmin(pg_current_snapshot())"

    package func check() async throws(TaskStoreError) {
        _ = try await quickly([Statement("SELECT 1")])
    }

    /// Runs a batch once: who asks wants to know now.
    private func quickly(_ batch: [Statement]) async throws(TaskStoreError) -> [PostgresResult] {
        do throws(PostgresError) { return try await pool.run(batch, timeout: .seconds(3)) } catch {
            throw storeError(error)
        }
    }

    package func lastEvent() async throws(TaskStoreError) -> EventPosition {
        let sql = """
            SELECT e.transaction_id::text, e.number FROM poiesis.task_events e WHERE e.transaction_id < \(Self.horizon)
            ORDER BY e.transaction_id DESC, e.number DESC LIMIT 1
            """
        guard var row = try await read([Statement(sql)])[0].rows.first else { return .start }
        return try position(&row)
    }

    package func events(
        after position: EventPosition, matching filter: EventFilter, limit: Int, for principal: Principal
    ) async throws(TaskStoreError) -> (events: [TaskEvent], next: EventPosition) {
        var parameters: [PostgresValue] = []
        func parameter(_ value: PostgresValue, _ type: String) -> String {
            parameters.append(value)
            return "$\(parameters.count)::\(type)"
        }
        var conditions = [
            "owner = \(parameter(.text(principal.owner), "text"))",
            "(transaction_id, number) > (\(parameter(.text(String(position.transaction)), "xid8")), \(parameter(.integer(position.number), "bigint")))",
            "transaction_id < \(Self.horizon)",
        ]
        if !filter.tasks.isEmpty {
            conditions.append(
                "task_id = ANY(\(parameter(.textArray(filter.tasks.map(\.description)), "uuid[]")))")
        }
        for tag in filter.tags {
            var match = "t.task_id = e.task_id AND t.key = \(parameter(.text(tag.key), "text"))"
            if let value = tag.value { match += " AND t.value = \(parameter(.text(value), "text"))" }
            conditions.append("EXISTS (SELECT FROM poiesis.task_tags t WHERE \(match))")
        }
        let sql = """
            SELECT e.transaction_id::text, number, task_id, state, attempt, (extract(epoch FROM created_at) * 1000000)::bigint
            FROM poiesis.task_events e WHERE \(conditions.joined(separator: " AND "))
            ORDER BY e.transaction_id, e.number LIMIT \(limit)
            """
        // One snapshot: what ends between the two statements is neither skipped nor seen twice.
        let results = try await read(
            Self.snapshot([Statement("SELECT \(Self.horizon)::text"), Statement(sql, parameters)]))
        var events: [TaskEvent] = []
        for row in results[2].rows {
            var row = row
            let place = try self.position(&row)
            let (id, state) = (try decodeID(&row), try decodeState(&row))
            let (attempt, time) = try decoded { () throws(PostgresError) in
                (try row.int64() ?? 0, try row.int64() ?? 0)
            }
            events.append(
                TaskEvent(
                    position: place, taskID: id, state: state, attempt: Int(attempt),
                    time: Timestamp(microseconds: time)))
        }
        if events.count == limit, let last = events.last { return (events, last.position) }
        var row = results[1].rows.first
        let horizon = try decoded { () throws(PostgresError) in try row?.text().flatMap { UInt64($0) } }
        return (events, max(position, EventPosition(transaction: horizon ?? 0, number: 0)))
    }

    private func position(_ row: inout RowReader) throws(TaskStoreError) -> EventPosition {
        let (transaction, number) = try decoded { () throws(PostgresError) in (try row.text(), try row.int64()) }
        guard let transaction = transaction.flatMap({ UInt64($0) }), let number else {
            throw .corrupt("an event has no place")
        }
        return EventPosition(transaction: transaction, number: number)
    }

    package func statistics() async throws(TaskStoreError) -> StoreStatistics {
        let results = try await quickly([
            Statement("SELECT poiesis.count_states_v1()"),
            Statement("SELECT state, tasks FROM poiesis.state_counts ORDER BY state"),
            Statement(
                """
                SELECT extract(epoch FROM clock_timestamp() - changed_at)::float8 FROM poiesis.task_states
                WHERE state = 'QUEUED' ORDER BY task_id LIMIT 1
                """),
            Statement(
                """
                SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8 FROM poiesis.task_events
                WHERE transaction_id >= \(Self.horizon)
                """),
        ])
        var statistics = StoreStatistics()
        for row in results[1].rows {
            var row = row
            let state = try decodeState(&row)
            statistics.tasks.append((state, try decoded { () throws(PostgresError) in try row.int64() ?? 0 }))
        }
        func seconds(_ result: PostgresResult) throws(TaskStoreError) -> Double {
            guard var row = result.rows.first else { return 0 }
            return max(0, try decoded { () throws(PostgresError) in try row.double() ?? 0 })
        }
        statistics.oldestWaiting = try seconds(results[2])
        statistics.eventLag = try seconds(results[3])
        let use = pool.use
        statistics.connections = use.connections
        statistics.busyConnections = use.busy
        statistics.waitingBatches = use.waiting
        return statistics
    }
}
