-- Databases say which migrations they have had and which programs they serve; workers, which version and how much they have.

-- expand: the column workers.schema_version is new; programs that do not write it are of version 1
ALTER TABLE poiesis.workers ADD COLUMN schema_version integer DEFAULT 1 NOT NULL;

-- expand: the columns workers.cpu_cores and workers.memory are new
ALTER TABLE poiesis.workers ADD COLUMN cpu_cores integer, ADD COLUMN memory bigint;

-- expand: the columns instance.serves_from and instance.functions are new
ALTER TABLE poiesis.instance ADD COLUMN serves_from integer DEFAULT 1 NOT NULL, ADD COLUMN functions text;

-- expand: the table migrations is new
CREATE TABLE poiesis.migrations (
    version integer NOT NULL,
    phase text NOT NULL,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (version, phase)
);

-- expand: its comment
COMMENT ON TABLE poiesis.migrations IS 'What led to this schema, and when; a new database has them all from the start.';

-- expand: the index tasks_by_name is new
CREATE INDEX tasks_by_name ON poiesis.tasks (owner, left(name, 64) COLLATE "C");
