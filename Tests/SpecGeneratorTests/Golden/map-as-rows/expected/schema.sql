CREATE SCHEMA IF NOT EXISTS golden;

CREATE TABLE golden.jobs (
    job_id uuid NOT NULL,
    name text,
    owner text NOT NULL DEFAULT 'public',
    PRIMARY KEY (job_id)
);

COMMENT ON TABLE golden.jobs IS 'It''s a job.';

CREATE TABLE golden.job_tags (
    job_id uuid NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    owner text NOT NULL,
    FOREIGN KEY (job_id) REFERENCES golden.jobs ON DELETE CASCADE
);

CREATE UNIQUE INDEX job_tags_key ON golden.job_tags (job_id, hashtextextended(key, 0));

CREATE INDEX job_tags_by_key ON golden.job_tags (owner, hashtextextended(key, 0), job_id DESC);

COMMENT ON TABLE golden.job_tags IS 'One row for each tag.';
