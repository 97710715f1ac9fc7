-- A controller hands tasks to a cluster.

-- expand: the column task_states.submission is new
ALTER TABLE poiesis.task_states ADD COLUMN submission integer DEFAULT 0 NOT NULL;

-- expand: the table submissions is new
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

-- expand: its comment
COMMENT ON TABLE poiesis.submissions IS 'What a controller handed to a cluster and has not cleaned up yet; task_states.submission counts them.';
