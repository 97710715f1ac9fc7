BEGIN;
CREATE SCHEMA IF NOT EXISTS poiesis;

CREATE TABLE poiesis.tasks (
    task_id uuid NOT NULL,
    name text,
    description text,
    resources_cpu_cores integer,
    resources_preemptible boolean,
    resources_ram_gb double precision,
    resources_disk_gb double precision,
    resources_zones text[],
    resources_backend_parameters jsonb,
    resources_backend_parameters_strict boolean,
    volumes text[],
    creation_time timestamptz,
    owner text NOT NULL DEFAULT 'public',
    warnings text[],
    PRIMARY KEY (task_id)
);

COMMENT ON TABLE poiesis.tasks IS 'What a client submitted; never changes after it was created.';

CREATE TABLE poiesis.task_tags (
    task_id uuid NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    owner text NOT NULL DEFAULT 'public',
    FOREIGN KEY (task_id) REFERENCES poiesis.tasks ON DELETE CASCADE
);

CREATE UNIQUE INDEX task_tags_key ON poiesis.task_tags (task_id, hashtextextended(key, 0), hashtextextended(key, 1));

CREATE INDEX task_tags_by_pair ON poiesis.task_tags (owner, hashtextextended(value, hashtextextended(key, 0)), task_id DESC);

CREATE INDEX task_tags_by_key ON poiesis.task_tags (owner, hashtextextended(key, 0), task_id DESC);

COMMENT ON TABLE poiesis.task_tags IS 'One row for each tag; list filters use hashes, as a B-tree entry ends at 2,704 bytes.';

CREATE TABLE poiesis.task_inputs (
    task_id uuid NOT NULL,
    position integer NOT NULL,
    name text,
    description text,
    url text,
    path text NOT NULL,
    type text CHECK (type IN ('FILE', 'DIRECTORY')),
    content text,
    streamable boolean,
    PRIMARY KEY (task_id, position),
    FOREIGN KEY (task_id) REFERENCES poiesis.tasks ON DELETE CASCADE
);

COMMENT ON TABLE poiesis.task_inputs IS 'The inputs of a task, in the client''s order.';

CREATE TABLE poiesis.task_outputs (
    task_id uuid NOT NULL,
    position integer NOT NULL,
    name text,
    description text,
    url text NOT NULL,
    path text NOT NULL,
    path_prefix text,
    type text CHECK (type IN ('FILE', 'DIRECTORY')),
    PRIMARY KEY (task_id, position),
    FOREIGN KEY (task_id) REFERENCES poiesis.tasks ON DELETE CASCADE
);

COMMENT ON TABLE poiesis.task_outputs IS 'The declared outputs of a task, in the client''s order.';

CREATE TABLE poiesis.task_executors (
    task_id uuid NOT NULL,
    position integer NOT NULL,
    image text NOT NULL,
    command text[] NOT NULL,
    workdir text,
    stdin text,
    stdout text,
    stderr text,
    env jsonb,
    ignore_error boolean,
    PRIMARY KEY (task_id, position),
    FOREIGN KEY (task_id) REFERENCES poiesis.tasks ON DELETE CASCADE
);

COMMENT ON TABLE poiesis.task_executors IS 'The executors of a task, in the order in which they run.';

CREATE TABLE poiesis.task_logs (
    task_id uuid NOT NULL,
    attempt integer NOT NULL,
    metadata jsonb,
    start_time timestamptz,
    end_time timestamptz,
    system_logs text[],
    backend text,
    worker_id uuid,
    token text,
    handle jsonb,
    cause text,
    PRIMARY KEY (task_id, attempt),
    FOREIGN KEY (task_id) REFERENCES poiesis.tasks ON DELETE CASCADE
);

CREATE INDEX task_logs_open ON poiesis.task_logs (worker_id, task_id) WHERE end_time IS NULL;

COMMENT ON TABLE poiesis.task_logs IS 'One row for each attempt to run a task.';

CREATE TABLE poiesis.executor_logs (
    task_id uuid NOT NULL,
    attempt integer NOT NULL,
    position integer NOT NULL,
    start_time timestamptz,
    end_time timestamptz,
    stdout text,
    stderr text,
    exit_code integer NOT NULL,
    PRIMARY KEY (task_id, attempt, position),
    FOREIGN KEY (task_id, attempt) REFERENCES poiesis.task_logs ON DELETE CASCADE
);

COMMENT ON TABLE poiesis.executor_logs IS 'One row for each executor that ran in an attempt.';

CREATE TABLE poiesis.output_file_logs (
    task_id uuid NOT NULL,
    attempt integer NOT NULL,
    position integer NOT NULL,
    url text NOT NULL,
    path text NOT NULL,
    size_bytes bigint NOT NULL,
    checksum text,
    PRIMARY KEY (task_id, attempt, position),
    FOREIGN KEY (task_id, attempt) REFERENCES poiesis.task_logs ON DELETE CASCADE
);

COMMENT ON TABLE poiesis.output_file_logs IS 'One row for each uploaded file of an attempt.';

CREATE TABLE poiesis.task_states (
    task_id uuid NOT NULL,
    owner text NOT NULL,
    state text NOT NULL CHECK (state IN ('UNKNOWN', 'QUEUED', 'INITIALIZING', 'RUNNING', 'PAUSED', 'COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED', 'PREEMPTED', 'CANCELING')),
    attempt integer NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (task_id),
    FOREIGN KEY (task_id) REFERENCES poiesis.tasks ON DELETE CASCADE
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX task_states_by_owner ON poiesis.task_states (owner, task_id DESC);

CREATE INDEX task_states_by_state ON poiesis.task_states (owner, state, task_id DESC);

CREATE INDEX task_states_waiting ON poiesis.task_states (task_id) WHERE state = 'QUEUED';

CREATE INDEX task_states_live ON poiesis.task_states (task_id) WHERE state IN ('INITIALIZING', 'RUNNING', 'CANCELING');

COMMENT ON TABLE poiesis.task_states IS 'What changes while a task lives; narrow, so that a transition rewrites little.';

CREATE TABLE poiesis.task_events (
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    number bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    task_id uuid NOT NULL,
    owner text NOT NULL,
    state text NOT NULL CHECK (state IN ('UNKNOWN', 'QUEUED', 'INITIALIZING', 'RUNNING', 'PAUSED', 'COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED', 'PREEMPTED', 'CANCELING')),
    previous text CHECK (previous IN ('UNKNOWN', 'QUEUED', 'INITIALIZING', 'RUNNING', 'PAUSED', 'COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED', 'PREEMPTED', 'CANCELING')),
    attempt integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (transaction_id, number)
);

CREATE INDEX task_events_by_task ON poiesis.task_events (task_id, transaction_id, number);

COMMENT ON TABLE poiesis.task_events IS 'One row for each change of a state, written in the transaction that made it.';

CREATE TABLE poiesis.state_counts (
    state text NOT NULL CHECK (state IN ('UNKNOWN', 'QUEUED', 'INITIALIZING', 'RUNNING', 'PAUSED', 'COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED', 'PREEMPTED', 'CANCELING')),
    tasks bigint NOT NULL,
    PRIMARY KEY (state)
);

COMMENT ON TABLE poiesis.state_counts IS 'How many tasks are in each state, as far as instance.counted_before; see count_states_v1.';

CREATE TABLE poiesis.idempotency_keys (
    owner text NOT NULL,
    key text NOT NULL,
    digest text NOT NULL,
    task_id uuid NOT NULL,
    is_confirmed boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_keys_by_age ON poiesis.idempotency_keys (created_at);

COMMENT ON TABLE poiesis.idempotency_keys IS 'What clients named their creations, for a day; the same name again gives the same task.';

CREATE TABLE poiesis.workers (
    worker_id uuid NOT NULL,
    host text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (worker_id)
);

COMMENT ON TABLE poiesis.workers IS 'Processes that run attempts; a worker whose heartbeat is older than its lease has lost its attempts.';

CREATE TABLE poiesis.instance (
    singleton boolean DEFAULT true CHECK (singleton) NOT NULL,
    instance_id uuid NOT NULL DEFAULT gen_random_uuid(),
    schema_version integer NOT NULL,
    counted_before xid8 NOT NULL DEFAULT '0',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (singleton)
);

COMMENT ON TABLE poiesis.instance IS 'One row, which says what this database is and which schema it has.';

CREATE OR REPLACE FUNCTION poiesis.next_state_v1(p_current text, p_next text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = poiesis, pg_temp AS $$
SELECT CASE
    WHEN p_current IN ('COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED', 'PREEMPTED') THEN NULL
    WHEN p_current = 'CANCELING' THEN
        CASE WHEN p_next = 'QUEUED' OR p_next IN ('COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED', 'PREEMPTED') THEN 'CANCELED' END
    WHEN p_current = 'QUEUED' THEN CASE WHEN p_next IN ('INITIALIZING', 'SYSTEM_ERROR') THEN p_next END
    WHEN p_current = 'INITIALIZING' AND p_next IN ('RUNNING', 'QUEUED') THEN p_next
    WHEN p_current = 'RUNNING' AND p_next = 'QUEUED' THEN p_next
    WHEN p_current IN ('PAUSED', 'UNKNOWN') AND p_next = 'SYSTEM_ERROR' THEN p_next
    WHEN p_current IN ('INITIALIZING', 'RUNNING') AND p_next IN ('COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED', 'PREEMPTED') AND p_next <> 'CANCELED' THEN p_next
END
$$;

CREATE OR REPLACE FUNCTION poiesis.write_state_v1(p_task uuid, p_state text, p_attempt integer) RETURNS void
LANGUAGE sql SET search_path = poiesis, pg_temp AS $$
WITH before AS (SELECT state FROM task_states WHERE task_id = p_task),
    after AS (UPDATE task_states SET state = p_state, attempt = p_attempt, changed_at = clock_timestamp()
        WHERE task_id = p_task RETURNING task_id, owner, state, attempt)
INSERT INTO task_events (task_id, owner, state, previous, attempt)
    SELECT after.task_id, after.owner, after.state, before.state, after.attempt FROM after, before
$$;

CREATE OR REPLACE FUNCTION poiesis.claim_attempt_v1(
    p_worker uuid, p_backend text, p_token text, p_metadata jsonb,
    p_free_cpu integer, p_free_memory bigint, p_total_cpu integer, p_total_memory bigint)
RETURNS TABLE (r_task_id uuid, r_attempt integer, r_owner text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = poiesis, pg_temp AS $$
DECLARE
    waiting record;
BEGIN
    SELECT s.task_id, s.attempt + 1 AS attempt, s.owner, d.cpu <= p_free_cpu AND d.memory <= p_free_memory AS fits,
            d.cpu > p_total_cpu OR d.memory > p_total_memory AS never_fits
        INTO waiting
        FROM task_states s JOIN tasks t ON t.task_id = s.task_id
        CROSS JOIN LATERAL (SELECT greatest(1, coalesce(t.resources_cpu_cores, 1)) AS cpu,
            coalesce(t.resources_ram_gb, 0) * 1e9 AS memory) d
        WHERE s.state = 'QUEUED'
            AND (d.cpu <= p_free_cpu AND d.memory <= p_free_memory OR d.cpu > p_total_cpu OR d.memory > p_total_memory
                OR s.changed_at < clock_timestamp() - interval '10 minutes')
        ORDER BY s.task_id LIMIT 1 FOR UPDATE OF s SKIP LOCKED;
    IF NOT FOUND OR NOT (waiting.fits OR waiting.never_fits) THEN RETURN; END IF;
    INSERT INTO task_logs (task_id, attempt, start_time, backend, worker_id, token, metadata, system_logs)
        SELECT t.task_id, waiting.attempt, greatest(clock_timestamp(), t.creation_time), p_backend, p_worker, p_token, p_metadata,
            CASE WHEN waiting.attempt = 1 THEN t.warnings END
        FROM tasks t WHERE t.task_id = waiting.task_id;
    PERFORM write_state_v1(waiting.task_id, 'INITIALIZING', waiting.attempt);
    RETURN QUERY SELECT waiting.task_id, waiting.attempt, waiting.owner;
END
$$;

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
    INSERT INTO executor_logs (task_id, attempt, position, start_time, end_time, stdout, stderr, exit_code)
        SELECT p_task, p_attempt, e.position, 'epoch'::timestamptz + e.start_time * interval '1 microsecond',
            'epoch'::timestamptz + e.end_time * interval '1 microsecond', e.stdout, e.stderr, e.exit_code
        FROM jsonb_to_recordset(p_record->'executors')
            AS e(position integer, start_time bigint, end_time bigint, stdout text, stderr text, exit_code integer)
        ON CONFLICT DO NOTHING;
    INSERT INTO output_file_logs (task_id, attempt, position, url, path, size_bytes, checksum)
        SELECT p_task, p_attempt, o.position, o.url, o.path, o.size_bytes, o.checksum
        FROM jsonb_to_recordset(p_record->'outputs')
            AS o(position integer, url text, path text, size_bytes bigint, checksum text)
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
    IF following = 'QUEUED' OR following IN ('COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED', 'PREEMPTED') THEN
        UPDATE task_logs SET end_time = greatest(moment, start_time) WHERE task_id = p_task AND attempt = p_attempt;
    END IF;
    PERFORM write_state_v1(p_task, following, p_attempt);
    RETURN following;
END
$$;

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
        WHEN current_row.state = 'CANCELING' OR current_row.state IN ('COMPLETE', 'EXECUTOR_ERROR', 'SYSTEM_ERROR', 'CANCELED', 'PREEMPTED') THEN NULL
        ELSE 'CANCELING' END;
    IF following IS NULL THEN RETURN current_row.state; END IF;
    PERFORM write_state_v1(p_task, following, current_row.attempt);
    RETURN following;
END
$$;

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
$$;

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
$$;

REVOKE EXECUTE ON FUNCTION poiesis.next_state_v1(text, text) FROM PUBLIC;

REVOKE EXECUTE ON FUNCTION poiesis.write_state_v1(uuid, text, integer) FROM PUBLIC;

REVOKE EXECUTE ON FUNCTION poiesis.claim_attempt_v1(uuid, text, text, jsonb, integer, bigint, integer, bigint) FROM PUBLIC;

REVOKE EXECUTE ON FUNCTION poiesis.record_v1(uuid, integer, text, jsonb) FROM PUBLIC;

REVOKE EXECUTE ON FUNCTION poiesis.cancel_v1(uuid, text) FROM PUBLIC;

REVOKE EXECUTE ON FUNCTION poiesis.take_back_v1(interval, integer) FROM PUBLIC;

REVOKE EXECUTE ON FUNCTION poiesis.count_states_v1() FROM PUBLIC;

INSERT INTO poiesis.instance (schema_version) VALUES (1);

COMMIT;
