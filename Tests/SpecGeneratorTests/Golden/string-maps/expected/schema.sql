CREATE SCHEMA IF NOT EXISTS golden;

CREATE TABLE golden.jobs (
    job_id uuid NOT NULL,
    labels jsonb NOT NULL,
    env jsonb,
    PRIMARY KEY (job_id)
);
