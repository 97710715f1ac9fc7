CREATE SCHEMA IF NOT EXISTS golden;

CREATE TABLE golden.jobs (
    job_id uuid NOT NULL,
    limits_cpu_cores integer NOT NULL,
    limits_ram_gb double precision,
    limits_zones text[],
    limits_parameters jsonb,
    resources_cpu_cores integer,
    resources_ram_gb double precision,
    resources_zones text[],
    resources_parameters jsonb,
    PRIMARY KEY (job_id)
);
