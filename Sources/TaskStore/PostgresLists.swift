package import Postgres
package import TES
package import TaskCore

/// Where lists run whose filters no index has in order, and for how long.
package struct TaskSearches: Sendable {
    /// A few connections of their own keep them from holding up everything else.
    package var pool: PostgresPool
    /// A search that takes longer is broken off.
    package var timeout: Duration

    package init(pool: PostgresPool, timeout: Duration = .seconds(5)) {
        self.pool = pool
        self.timeout = timeout
    }
}

/// Pages of tasks.
extension PostgresTaskStore {
    package func page(
        _ filter: TaskFilter, size: Int, after: TaskID?, for principal: Principal
    ) async throws(TaskStoreError) -> TaskPage {
        let list = ListStatement(filter: filter, size: size + 1, after: after, owner: principal.owner)
        let isWhole = filter == TaskFilter()
        let results =
            list.isOrdered
            ? try await read([list.statement] + (isWhole ? [ListStatement.edge(size: size, after: after)] : []))
            : [try await search(list.statement)]
        var tasks: [(id: TaskID, state: TESState)] = []
        tasks.reserveCapacity(results[0].rows.count)
        for row in results[0].rows {
            var row = row
            tasks.append((try decodeID(&row), try decodeState(&row)))
        }
        var page = TaskPage(tasks: Array(tasks.prefix(size)), hasMore: tasks.count > size)
        if isWhole, var edge = results[1].rows.first { page.isContiguous = try decodeID(&edge) == page.tasks.last?.id }
        return page
    }

    /// Runs a list whose cost nobody knows before, until its time is up.
    private func search(_ statement: Statement) async throws(TaskStoreError) -> PostgresResult {
        // Local to the transaction, as a pooler may give the next one another session. The best plan depends on the values;
        // compiling it or starting workers takes longer than most searches.
        let milliseconds = max(1, Int64(searches.timeout / .milliseconds(1)))
        let settings = Statement(
            """
            SELECT set_config('statement_timeout', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true),
                set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)
            """, [.text("\(milliseconds)ms")])
        let batch = [Statement("BEGIN READ ONLY"), settings, statement, Statement("COMMIT")]
        switch await repeated(batch, on: searches.pool).outcome {
        case .success(let results): return results[2]
        case .failure(.refused(let message)) where message.sqlState == "57014": throw .searchTooLong(searches.timeout)
        case .failure(let error): throw storeError(error)
        }
    }

    package func tasks(
        _ page: ArraySlice<(id: TaskID, state: TESState)>, isContiguous: Bool, view: TESView
    ) async throws(TaskStoreError) -> [TESTask] {
        let texts = page.map(\.id.description)
        guard view != .minimal, let first = texts.first, let last = texts.last else {
            return zip(page, texts).map { TESTask(id: $1, state: $0.state) }
        }
        // A scan of a range is several times as fast as looking up each of its keys.
        let selects =
            isContiguous ? Self.selects(view, from: last, to: first) : Self.selects(view, keys: texts)
        // Of a range whose ends it does not know PostgreSQL expects so much that it would compile the statement.
        let settings = isContiguous ? [Statement("SET LOCAL jit = off")] : []
        let results = try await read(Self.snapshot(settings + selects)).dropLast().suffix(selects.count)
        let found = try decoded { () throws(PostgresError) in
            try TESTaskStatements.assemble(Array(results), viewLevel: view.position)
        }
        // A page is newest first, rows come by key.
        if found.lazy.reversed().map(\.key).elementsEqual(texts) {
            return zip(found.reversed(), page).map { $0.value.identified($0.key, $1.state) }
        }
        // Attempts' tasks come as they please, and tasks of a page may have vanished.
        let tasks = Dictionary(found.map { ($0.key, $0.value) }) { first, _ in first }
        return zip(page, texts).compactMap { tasks[$1]?.identified($1, $0.state) }
    }

    static func selects(_ view: TESView, keys: [String]) -> [Statement] {
        let keys = PostgresValue.textArray(keys)
        return TESTaskStatements.selects(viewLevel: view.position).map { Statement($0, [keys]) }
    }

    private static func selects(_ view: TESView, from least: String, to greatest: String) -> [Statement] {
        TESTaskStatements.selects(viewLevel: view.position, isRange: true).map {
            Statement($0, [.text(least), .text(greatest)])
        }
    }
}
