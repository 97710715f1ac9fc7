/// The only writers of a task's state, called alike by worker, recorder, controller and API.
///
/// Versioned and kept for two releases: tasks that run for days outlive an upgrade, and an older program calls what a newer one
/// has replaced. So a function of a version may be replaced only by one that older programs can call just as well. ``LifeCycle`` is the same life cycle in
/// Swift; the contract suite compares every pair of states.
enum StateFunctions {
    /// In the order of creation.
    static let statements =
        [
            nextState, writeState, claimAttempt, record, cancel, takeBack, countStates,
        ] + submissions + revoke

    static let terminal = "('COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED', 'PREEMPTED')"

    /// The state after `p_next` was written to a task in `p_current`; NULL where nothing changes.
    private static let nextState = """
        CREATE OR REPLACE FUNCTION poiesis.next_state_v1(p_current text, p_next text) RETURNS text
        LANGUAGE sql IMMUTABLE SET search_path = poiesis, pg_temp AS $$
        SELECT CASE
            WHEN p_current IN \(terminal) THEN NULL
            WHEN p_current = 'CANCELING' THEN
                CASE WHEN p_next = 'QUEUED' OR p_next IN \(terminal) THEN 'CANCELED' END
            WHEN p_current = 'QUEUED' THEN CASE WHEN p_next IN ('INITIALIZING', 'SYSTEM_ERROR') THEN p_next END
            WHEN p_current = 'INITIALIZING' AND p_next IN ('RUNNING', 'QUEUED') THEN p_next
            WHEN p_current = 'RUNNING' AND p_next = 'QUEUED' THEN p_next
            WHEN p_current IN ('PAUSED', 'UNKNOWN') AND p_next = 'SYSTEM_ERROR' THEN p_next
            WHEN p_current IN ('INITIALIZING', 'RUNNING') AND p_next IN \(terminal) AND p_next <> 'CANCELED' THEN p_next
        END
        $$
        """

    /// Writes a state and its event in one transaction; the caller holds the row's lock.
    private static let writeState = """
        CREATE OR REPLACE FUNCTION poiesis.write_state_v1(p_task uuid, p_state text, p_attempt integer) RETURNS void
        LANGUAGE sql SET search_path = poiesis, pg_temp AS $$
        WITH before AS (SELECT state FROM task_states WHERE task_id = p_task),
            after AS (UPDATE task_states SET state = p_state, attempt = p_attempt, changed_at = clock_timestamp()
                WHERE task_id = p_task RETURNING task_id, owner, state, attempt)
        INSERT INTO task_events (task_id, owner, state, previous, attempt)
            SELECT after.task_id, after.owner, after.state, before.state, after.attempt FROM after, before
        $$
        """

    /// Claims the oldest waiting task that fits what is free, or that asks for more than any worker has.
    ///
    /// Smaller tasks pass one that does not fit, until it has waited for ten minutes: then a worker that could run it claims nothing
    /// younger, so that room for it comes free.
    private static let claimAttempt = """
        CREATE OR REPLACE FUNCTION poiesis.claim_attempt_v1(
            p_worker uuid, p_backend text, p_token text, p_metadata jsonb,
            p_free_cpu integer, p_free_memory bigint, p_total_cpu integer, p_total_memory bigint)
        RETURNS TABLE (r_task_id uuid, r_attempt integer, r_owner text)
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = poiesis, pg_temp AS $$
        DECLARE
            waiting record;
        BEGIN
            UPDATE workers SET cpu_cores = p_total_cpu, memory = p_total_memory
                WHERE worker_id = p_worker AND (cpu_cores, memory) IS DISTINCT FROM (p_total_cpu, p_total_memory);
            SELECT s.task_id, s.attempt + 1 AS attempt, s.owner, d.cpu <= p_free_cpu AND d.memory <= p_free_memory AS fits,
                    everywhere.too_large AS never_fits
                INTO waiting
                FROM task_states s JOIN tasks t ON t.task_id = s.task_id
                CROSS JOIN LATERAL (SELECT greatest(1, coalesce(t.resources_cpu_cores, 1)) AS cpu,
                    coalesce(t.resources_ram_gb, 0) * 1e9 AS memory) d
                CROSS JOIN LATERAL (SELECT (d.cpu > p_total_cpu OR d.memory > p_total_memory) AND NOT EXISTS (
                    SELECT FROM workers w WHERE w.worker_id <> p_worker AND w.heartbeat_at > clock_timestamp() - interval '1 minute'
                        AND (w.cpu_cores IS NULL OR w.cpu_cores >= d.cpu AND w.memory >= d.memory)) AS too_large) everywhere
                WHERE s.state = 'QUEUED'
                    AND (d.cpu <= p_free_cpu AND d.memory <= p_free_memory OR everywhere.too_large
                        OR d.cpu <= p_total_cpu AND d.memory <= p_total_memory
                            AND s.changed_at < clock_timestamp() - interval '10 minutes')
                ORDER BY s.task_id LIMIT 1 FOR UPDATE OF s SKIP LOCKED;
            IF NOT FOUND OR NOT (waiting.fits OR waiting.never_fits) THEN RETURN; END IF;
            INSERT INTO task_logs (task_id, attempt, start_time, backend, worker_id, token, metadata, system_logs)
                SELECT t.task_id, waiting.attempt, greatest(clock_timestamp(), t.creation_time), p_backend, p_worker, p_token, p_metadata,
                    CASE WHEN waiting.attempt = 1 THEN t.warnings END
                FROM tasks t WHERE t.task_id = waiting.task_id;
            PERFORM write_state_v1(waiting.task_id, 'INITIALIZING', waiting.attempt);
            RETURN QUERY SELECT waiting.task_id, waiting.attempt, waiting.owner;
        END
        $$
        """

    /// Writes what happened in an attempt; the same record written twice changes nothing the second time.
    private static let record = """
        CREATE OR REPLACE FUNCTION poiesis.record_v1(p_task uuid, p_attempt integer, p_token text, p_record jsonb) RETURNS text
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = poiesis, pg_temp AS $$
        DECLARE
            current_row task_states%ROWTYPE;
            following text;
            moment timestamptz := 'epoch'::timestamptz + (p_record->>'time')::bigint * interval '1 microsecond';
        BEGIN
            SELECT * INTO current_row FROM task_states WHERE task_id = p_task FOR UPDATE;
            IF NOT FOUND OR current_row.attempt <> p_attempt OR NOT EXISTS (
                SELECT FROM task_logs WHERE task_id = p_task AND attempt = p_attempt AND token = p_token) THEN
                RAISE EXCEPTION 'this attempt does not hold the task' USING ERRCODE = 'PT409';
            END IF;
            IF current_row.state = 'QUEUED' THEN -- the attempt gave the task back, or lost it; only saying so again is harmless
                IF p_record->>'state' = 'QUEUED' THEN RETURN 'QUEUED'; END IF;
                RAISE EXCEPTION 'this attempt no longer holds the task' USING ERRCODE = 'PT409';
            END IF;
            INSERT INTO executor_logs (task_id, attempt, position, \(ExecutorLogsTable.columns))
                SELECT p_task, p_attempt, e.position, \(ExecutorLogsTable.columnsFromJSON)
                FROM jsonb_to_recordset(p_record->'executors') AS e(position integer, value jsonb)
                ON CONFLICT DO NOTHING;
            INSERT INTO output_file_logs (task_id, attempt, position, checksum, \(OutputFileLogsTable.columns))
                SELECT p_task, p_attempt, o.position, o.checksum, \(OutputFileLogsTable.columnsFromJSON)
                FROM jsonb_to_recordset(p_record->'outputs') AS o(position integer, checksum text, value jsonb)
                ON CONFLICT DO NOTHING;
            UPDATE task_logs SET
                metadata = coalesce(metadata, '{}') || coalesce(p_record->'metadata', '{}'),
                system_logs = nullif(coalesce(system_logs, '{}') || ARRAY(
                    SELECT line FROM jsonb_array_elements_text(coalesce(p_record->'system_logs', '[]')) WITH ORDINALITY AS l(line, n)
                    WHERE system_logs IS NULL OR NOT line = ANY (system_logs) ORDER BY n), '{}'),
                cause = coalesce(p_record->>'cause', cause)
                WHERE task_id = p_task AND attempt = p_attempt;
            following := next_state_v1(current_row.state, p_record->>'state');
            IF following IS NULL THEN RETURN current_row.state; END IF;
            IF following = 'QUEUED' OR following IN \(terminal) THEN
                UPDATE task_logs SET end_time = greatest(moment, start_time) WHERE task_id = p_task AND attempt = p_attempt;
            END IF;
            PERFORM write_state_v1(p_task, following, p_attempt);
            RETURN following;
        END
        $$
        """

    /// A client's cancel: a task that no attempt holds is canceled at once. NULL where the task is unknown or another's.
    private static let cancel = """
        CREATE OR REPLACE FUNCTION poiesis.cancel_v1(p_task uuid, p_owner text) RETURNS text
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = poiesis, pg_temp AS $$
        DECLARE
            current_row task_states%ROWTYPE;
            following text;
        BEGIN
            SELECT * INTO current_row FROM task_states WHERE task_id = p_task AND owner = p_owner FOR UPDATE;
            IF NOT FOUND THEN RETURN NULL; END IF;
            following := CASE
                WHEN current_row.state = 'QUEUED' THEN 'CANCELED'
                WHEN current_row.state = 'CANCELING' OR current_row.state IN \(terminal) THEN NULL
                ELSE 'CANCELING' END;
            IF following IS NULL THEN RETURN current_row.state; END IF;
            PERFORM write_state_v1(p_task, following, current_row.attempt);
            RETURN following;
        END
        $$
        """

    /// Gives back to the queue what workers held that have not been heard of for a lease, or ends it where that happened
    /// too often; the number of tasks.
    private static let takeBack = """
        CREATE OR REPLACE FUNCTION poiesis.take_back_v1(p_lease interval, p_most integer) RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = poiesis, pg_temp AS $$
        DECLARE
            lost record;
            following text;
            count integer := 0;
        BEGIN
            FOR lost IN
                SELECT s.task_id, s.state, s.attempt, w.host
                FROM task_states s
                JOIN task_logs l ON l.task_id = s.task_id AND l.attempt = s.attempt AND l.end_time IS NULL
                JOIN workers w ON w.worker_id = l.worker_id
                WHERE s.state IN ('INITIALIZING', 'RUNNING', 'CANCELING') AND w.heartbeat_at < clock_timestamp() - p_lease
                ORDER BY s.task_id LIMIT 1000 FOR UPDATE OF s SKIP LOCKED
            LOOP
                following := next_state_v1(lost.state, CASE WHEN lost.attempt >= p_most THEN 'SYSTEM_ERROR' ELSE 'QUEUED' END);
                UPDATE task_logs SET end_time = clock_timestamp(), cause = 'host-lost',
                    system_logs = coalesce(system_logs, '{}') || format(
                        'the attempt was lost: its worker on %s was not heard of for %s', lost.host, p_lease)
                    WHERE task_id = lost.task_id AND attempt = lost.attempt;
                PERFORM write_state_v1(lost.task_id, following, lost.attempt);
                count := count + 1;
            END LOOP;
            RETURN count;
        END
        $$
        """

    /// Adds to the counts what happened in transactions that have ended since the last call.
    ///
    /// Transactions end out of order: only those older than every one that still runs are complete.
    private static let countStates = """
        CREATE OR REPLACE FUNCTION poiesis.count_states_v1() RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = poiesis, pg_temp AS $$
        DECLARE
            since xid8;
            until xid8;
        BEGIN
            SELECT counted_before INTO since FROM instance FOR UPDATE;
            until := pg_snapshot_xmin(pg_current_snapshot());
            IF until <= since THEN RETURN; END IF;
            INSERT INTO state_counts (state, tasks)
                SELECT changes.state, sum(changes.tasks) FROM (
                    SELECT state, 1 AS tasks FROM task_events WHERE transaction_id >= since AND transaction_id < until
                    UNION ALL
                    SELECT previous, -1 FROM task_events
                        WHERE transaction_id >= since AND transaction_id < until AND previous IS NOT NULL) changes
                GROUP BY changes.state
                ON CONFLICT (state) DO UPDATE SET tasks = state_counts.tasks + excluded.tasks;
            UPDATE instance SET counted_before = until;
        END
        $$
        """

    private static let revoke = [
        "next_state_v1(text, text)", "write_state_v1(uuid, text, integer)",
        "claim_attempt_v1(uuid, text, text, jsonb, integer, bigint, integer, bigint)",
        "record_v1(uuid, integer, text, jsonb)", "cancel_v1(uuid, text)", "take_back_v1(interval, integer)",
        "count_states_v1()", "submit_v1(uuid, text)", "claim_submission_v1(uuid, integer, text, text, jsonb, integer)",
    ].map { "REVOKE EXECUTE ON FUNCTION poiesis.\($0) FROM PUBLIC" }
}
