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

CREATE INDEX tasks_by_name ON poiesis.tasks (owner, left(name, 64) COLLATE "C");

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
    submission integer NOT NULL DEFAULT 0,
    PRIMARY KEY (task_id),
    FOREIGN KEY (task_id) REFERENCES poiesis.tasks ON DELETE CASCADE
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX task_states_by_owner ON poiesis.task_states (owner, task_id DESC);

CREATE INDEX task_states_by_state ON poiesis.task_states (owner, state, task_id DESC);

CREATE INDEX task_states_waiting ON poiesis.task_states (task_id) WHERE state = 'QUEUED';

CREATE INDEX task_states_live ON poiesis.task_states (task_id) WHERE state IN ('INITIALIZING', 'RUNNING', 'CANCELING');

COMMENT ON TABLE poiesis.task_states IS 'What changes while a task lives; narrow, so that a transition rewrites little.';

CREATE TABLE poiesis.submissions (
    task_id uuid NOT NULL,
    number integer NOT NULL,
    owner text NOT NULL,
    document text NOT NULL,
    pod text,
    attempt integer,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (task_id, number)
);

COMMENT ON TABLE poiesis.submissions IS 'What a controller handed to a cluster and has not cleaned up yet; task_states.submission counts them.';

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
    cpu_cores integer,
    memory bigint,
    schema_version integer NOT NULL DEFAULT 1,
    PRIMARY KEY (worker_id)
);

COMMENT ON TABLE poiesis.workers IS 'Processes that run attempts; a worker whose heartbeat is older than its lease has lost its attempts.';

CREATE TABLE poiesis.instance (
    singleton boolean DEFAULT true CHECK (singleton) NOT NULL,
    instance_id uuid NOT NULL DEFAULT gen_random_uuid(),
    schema_version integer NOT NULL,
    counted_before xid8 NOT NULL DEFAULT '0',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    serves_from integer NOT NULL DEFAULT 1,
    functions text,
    PRIMARY KEY (singleton)
);

COMMENT ON TABLE poiesis.instance IS 'One row, which says what this database is and which schema it has.';

CREATE TABLE poiesis.migrations (
    version integer NOT NULL,
    phase text NOT NULL,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (version, phase)
);

COMMENT ON TABLE poiesis.migrations IS 'What led to this schema, and when; a new database has them all from the start.';
