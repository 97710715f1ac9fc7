CREATE SCHEMA IF NOT EXISTS golden;

CREATE TABLE golden.files (
    file_id uuid NOT NULL,
    size_bytes bigint NOT NULL,
    quota bigint,
    count bigint,
    exit_code integer,
    ratio double precision,
    PRIMARY KEY (file_id)
);
