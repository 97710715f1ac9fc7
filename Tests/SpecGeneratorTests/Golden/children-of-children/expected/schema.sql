CREATE SCHEMA IF NOT EXISTS golden;

CREATE TABLE golden.jobs (
    job_id uuid NOT NULL,
    name text,
    PRIMARY KEY (job_id)
);

CREATE TABLE golden.job_inputs (
    job_id uuid NOT NULL,
    position integer NOT NULL,
    url text NOT NULL,
    state text CHECK (state IN ('QUEUED', 'IT''S DONE')),
    PRIMARY KEY (job_id, position),
    FOREIGN KEY (job_id) REFERENCES golden.jobs ON DELETE CASCADE
);

CREATE TABLE golden.job_logs (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    notes text[],
    PRIMARY KEY (job_id, attempt),
    FOREIGN KEY (job_id) REFERENCES golden.jobs ON DELETE CASCADE
);

CREATE TABLE golden.log_files (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    position integer NOT NULL,
    url text NOT NULL,
    state text CHECK (state IN ('QUEUED', 'IT''S DONE')),
    PRIMARY KEY (job_id, attempt, position),
    FOREIGN KEY (job_id, attempt) REFERENCES golden.job_logs ON DELETE CASCADE
);

CREATE TABLE golden.job_states (
    job_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('QUEUED', 'IT''S DONE')),
    PRIMARY KEY (job_id),
    FOREIGN KEY (job_id) REFERENCES golden.jobs ON DELETE CASCADE
) WITH (fillfactor = 70);
