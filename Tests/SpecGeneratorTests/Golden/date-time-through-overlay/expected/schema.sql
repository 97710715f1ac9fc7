CREATE SCHEMA IF NOT EXISTS golden;

CREATE TABLE golden.logs (
    log_id uuid NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz,
    PRIMARY KEY (log_id)
);
