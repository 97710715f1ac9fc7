import Postgres
import TES
package import TaskCore

/// What a cluster's controller and its Pods' recorders do.
extension PostgresTaskStore: SubmissionStore {
    package func waitingTasks(limit: Int) async throws(TaskStoreError) -> [TaskID] {
        let sql = """
            SELECT s.task_id FROM poiesis.task_states s WHERE s.state = 'QUEUED' AND NOT EXISTS (
                SELECT FROM poiesis.submissions x WHERE x.task_id = s.task_id AND x.number = s.submission AND x.pod IS NULL)
            ORDER BY s.task_id LIMIT $1
            """
        var found: [TaskID] = []
        for row in try await read([Statement(sql, [.integer(Int64(limit))])])[0].rows {
            var row = row
            found.append(try decodeID(&row))
        }
        return found
    }

    package func submit(_ id: TaskID) async throws(TaskStoreError) -> Submission? {
        // What was refused to a client must not run.
        try await cancelDoubtful()
        let owner = Statement("SELECT owner FROM poiesis.tasks WHERE task_id = $1", [.text(id.description)])
        guard var row = try await read([owner])[0].rows.first else { return nil }
        let principal = Principal(owner: try decoded { () throws(PostgresError) in try row.text() } ?? "")
        guard var task = try await task(id, view: .full, for: principal) else { return nil }
        task.logs = nil
        var document = JSONWriter()
        task.write(&document)
        let statement = Statement(
            "SELECT poiesis.submit_v1($1, $2)", [.text(id.description), .text(document.text)])
        guard var answer = try await read([statement])[0].rows.first,
            let number = try decoded({ () throws(PostgresError) in try answer.int64() })
        else { return nil }
        return Submission(key: SubmissionKey(taskID: id, number: Int(number)), principal: principal, task: task)
    }

    private static let columns = """
        SELECT x.task_id, x.number, x.owner, s.state, (extract(epoch FROM s.changed_at) * 1000000)::bigint,
            (extract(epoch FROM x.created_at) * 1000000)::bigint, x.pod, x.attempt,
            x.attempt IS NOT DISTINCT FROM s.attempt AND s.state <> 'QUEUED', x.number = s.submission
        FROM poiesis.submissions x JOIN poiesis.task_states s USING (task_id)
        """

    package func openSubmissions(
        after: SubmissionKey?, limit: Int
    ) async throws(TaskStoreError) -> [OpenSubmission] {
        try await submissions(
            " WHERE (x.task_id, x.number) > ($1, $2) ORDER BY x.task_id, x.number LIMIT $3",
            [
                .text((after?.taskID ?? TaskID(high: 0, low: 0)).description), .integer(Int64(after?.number ?? 0)),
                .integer(Int64(limit)),
            ])
    }

    package func openSubmissions(of tasks: [TaskID]) async throws(TaskStoreError) -> [OpenSubmission] {
        if tasks.isEmpty { return [] }
        return try await submissions(
            " WHERE x.task_id = ANY ($1::uuid[]) ORDER BY x.task_id, x.number",
            [.textArray(tasks.map(\.description))])
    }

    package func endingSubmissions(limit: Int) async throws(TaskStoreError) -> [OpenSubmission] {
        try await submissions(
            """
             WHERE s.state NOT IN ('QUEUED', 'INITIALIZING', 'RUNNING')
            ORDER BY s.state NOT IN ('CANCELING', 'CANCELED'), s.changed_at DESC, x.task_id, x.number LIMIT $1
            """,
            [.integer(Int64(limit))])
    }

    private func submissions(
        _ condition: String, _ parameters: [PostgresValue]
    ) async throws(TaskStoreError) -> [OpenSubmission] {
        var found: [OpenSubmission] = []
        for row in try await read([Statement(Self.columns + condition, parameters)])[0].rows {
            var row = row
            let id = try decodeID(&row)
            let (number, owner) = try decoded { () throws(PostgresError) in
                (try row.int64() ?? 0, try row.text() ?? "")
            }
            let state = try decodeState(&row)
            found.append(
                try decoded { () throws(PostgresError) in
                    let changedAt = Timestamp(microseconds: try row.int64() ?? 0)
                    let createdAt = Timestamp(microseconds: try row.int64() ?? 0)
                    let pod = try row.text()
                    let attempt = Int(try row.int64() ?? 0)
                    let holdsTask = try row.boolean() ?? false
                    return OpenSubmission(
                        key: SubmissionKey(taskID: id, number: Int(number)), principal: Principal(owner: owner),
                        state: state, changedAt: changedAt, createdAt: createdAt,
                        claim: pod.map { .init(pod: $0, attempt: attempt, holdsTask: holdsTask) },
                        isCurrent: try row.boolean() ?? false)
                })
        }
        return found
    }

    package func close(_ key: SubmissionKey) async throws(TaskStoreError) {
        let sql = "DELETE FROM poiesis.submissions WHERE task_id = $1 AND number = $2"
        _ = try await read([Statement(sql, [.text(key.taskID.description), .integer(Int64(key.number))])])
    }

    package func closeUnclaimed(_ key: SubmissionKey) async throws(TaskStoreError) -> Bool {
        let delete = "DELETE FROM poiesis.submissions WHERE task_id = $1 AND number = $2 AND pod IS NULL"
        let claimed = "SELECT count(*) FROM poiesis.submissions WHERE task_id = $1 AND number = $2"
        let parameters: [PostgresValue] = [.text(key.taskID.description), .integer(Int64(key.number))]
        let answers = try await locked(key, [Statement(delete, parameters), Statement(claimed, parameters)])
        guard var row = answers.last?.rows.first else { return true }
        return try decoded { () throws(PostgresError) in try row.int64() ?? 0 } == 0
    }

    /// Runs statements while nobody claims for the task or changes its state.
    private func locked(
        _ key: SubmissionKey, _ statements: [Statement]
    ) async throws(TaskStoreError) -> ArraySlice<PostgresResult> {
        // A controller's role may not lock rows itself. For a number that no submission has the function does no more than that.
        let lock = Statement(
            "SELECT r_attempt FROM poiesis.claim_submission_v1($1, 0, '', '', '{}', 0)",
            [.text(key.taskID.description)])
        let answers = try await read(
            [Statement("BEGIN ISOLATION LEVEL READ COMMITTED"), lock] + statements + [Statement("COMMIT")])
        return answers.dropFirst(2).dropLast()
    }

    private static let claimed = "SELECT r_attempt, r_token, r_owner, r_state, r_document FROM"

    package func claim(
        _ key: SubmissionKey, pod: String, metadata: [String: String]
    ) async throws(TaskStoreError) -> Attempt? {
        let sql = "\(Self.claimed) poiesis.claim_submission_v1($1, $2, $3, $4, $5, $6)"
        // Sent twice it gives the same attempt.
        let answer = try await read([Statement(sql, claimParameters(key, pod, metadata))])
        return try attempt(key, answer[0])
    }

    package func claim(
        _ key: SubmissionKey, pod: String, after claimant: String?, metadata: [String: String]
    ) async throws(TaskStoreError) -> Attempt? {
        let sql = """
            \(Self.claimed) poiesis.submissions x
            CROSS JOIN LATERAL poiesis.claim_submission_v1(x.task_id, x.number, $3, $4, $5, $6)
            WHERE x.task_id = $1 AND x.number = $2 AND x.pod IS NOT DISTINCT FROM $7
            """
        let claim = Statement(sql, claimParameters(key, pod, metadata) + [claimant.map { .text($0) } ?? .null])
        // Sent again after a lost answer it may give nothing; the attempt is then the named Pod's, and ends with that.
        guard let answer = try await locked(key, [claim]).first else { return nil }
        return try attempt(key, answer)
    }

    private func claimParameters(
        _ key: SubmissionKey, _ pod: String, _ added: [String: String]
    ) -> [PostgresValue] {
        var metadata = metadata
        metadata["backend"] = "kubernetes"
        metadata.merge(added) { _, new in new }
        return [
            .text(key.taskID.description), .integer(Int64(key.number)), .text(pod), .text(randomToken()),
            .map(metadata), .integer(Int64(LifeCycle.mostAttempts)),
        ]
    }

    private func attempt(_ key: SubmissionKey, _ answer: PostgresResult) throws(TaskStoreError) -> Attempt? {
        guard var row = answer.rows.first else { return nil }
        let (number, token, owner) = try decoded { () throws(PostgresError) in
            (try row.int64() ?? 0, try row.text() ?? "", try row.text() ?? "")
        }
        let state = try decodeState(&row)
        let document = try decoded { () throws(PostgresError) in try row.text() } ?? ""
        guard let task = TESTask(json: Array(document.utf8)) else { throw .corrupt("a task could not be read back") }
        return Attempt(
            key: AttemptKey(taskID: key.taskID, number: Int(number), token: token), principal: Principal(owner: owner),
            task: task.identified(key.taskID.description, state), state: state)
    }
}
