CREATE SCHEMA IF NOT EXISTS golden;

CREATE TABLE golden.jobs (
    job_id uuid NOT NULL,
    name text,
    PRIMARY KEY (job_id)
);

CREATE TABLE golden.steps (
    job_id uuid NOT NULL,
    step integer NOT NULL,
    command text[] NOT NULL,
    PRIMARY KEY (job_id, step),
    FOREIGN KEY (job_id) REFERENCES golden.jobs ON DELETE CASCADE
);

CREATE TABLE golden.mounts (
    job_id uuid NOT NULL,
    step integer NOT NULL,
    mount integer NOT NULL,
    path text NOT NULL,
    PRIMARY KEY (job_id, step, mount),
    FOREIGN KEY (job_id, step) REFERENCES golden.steps ON DELETE CASCADE
);

CREATE TABLE golden.options (
    job_id uuid NOT NULL,
    step integer NOT NULL,
    mount integer NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (job_id, step, mount, number),
    FOREIGN KEY (job_id, step, mount) REFERENCES golden.mounts ON DELETE CASCADE
);

CREATE TABLE golden.step_env (
    job_id uuid NOT NULL,
    step integer NOT NULL,
    name text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (job_id, step, name),
    FOREIGN KEY (job_id, step) REFERENCES golden.steps ON DELETE CASCADE
);

CREATE TABLE golden.step_logs (
    job_id uuid NOT NULL,
    step integer NOT NULL,
    log integer NOT NULL,
    path text NOT NULL,
    PRIMARY KEY (job_id, step, log),
    FOREIGN KEY (job_id, step) REFERENCES golden.steps ON DELETE CASCADE
);

CREATE TABLE golden.log_options (
    job_id uuid NOT NULL,
    step integer NOT NULL,
    log integer NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (job_id, step, log, number),
    FOREIGN KEY (job_id, step, log) REFERENCES golden.step_logs ON DELETE CASCADE
);

CREATE TABLE golden.notes (
    note_id uuid NOT NULL,
    text text,
    PRIMARY KEY (note_id)
);

CREATE TABLE golden.marks (
    note_id uuid NOT NULL,
    position integer NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (note_id, position),
    FOREIGN KEY (note_id) REFERENCES golden.notes ON DELETE CASCADE
);
