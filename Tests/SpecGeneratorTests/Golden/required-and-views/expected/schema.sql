CREATE SCHEMA IF NOT EXISTS golden;

CREATE TABLE golden.jobs (
    job_id uuid NOT NULL,
    steps text[] NOT NULL,
    secretnotes text,
    PRIMARY KEY (job_id)
);
