CREATE SCHEMA IF NOT EXISTS jobs;

CREATE TABLE jobs.jobs (
    job uuid NOT NULL,
    id text NOT NULL,
    "a
	b" text,
    PRIMARY KEY (job)
);

COMMENT ON TABLE jobs.jobs IS 'JobsDROP TABLE jobs;�--it''s the end';
