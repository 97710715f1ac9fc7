-- Fills an empty schema with :tasks tasks, for Benchmarks/lists.
--
-- Task i was created i seconds after the start of 2025; its id is a UUIDv7 of that time. What is common is a share of all
-- tasks; what is rare, old or new is 600 tasks whatever the number, so that it fills two pages at every size.
SET session_replication_role = replica; -- the rows refer to each other rightly: no checks
SET synchronous_commit = off;
SET work_mem = '256MB';

CREATE TEMPORARY TABLE made AS
SELECT i, id, at, state, h,
    1 + h % 3 AS executors, 1 + (h / 3) % 3 AS inputs, 1 + (h / 9) % 3 AS outputs
FROM (
    SELECT i, hashint8(i)::bigint & 2147483647 AS h, timestamptz '2025-01-01' + i * interval '1 second' AS at,
        (lpad(to_hex(1735689600000 + i * 1000), 12, '0') || '7' || substr(md5(i::text), 1, 3) || '8'
            || substr(md5(i::text), 4, 15))::uuid AS id,
        CASE WHEN i <= 600 THEN 'CANCELED'
            WHEN i > :tasks - 600 THEN 'EXECUTOR_ERROR'
            WHEN i % (:tasks / 600) = 0 THEN 'SYSTEM_ERROR'
            ELSE 'COMPLETE' END AS state
    FROM generate_series(1, :tasks::bigint) i) numbered;

INSERT INTO poiesis.tasks (task_id, name, description, resources_cpu_cores, resources_ram_gb, resources_zones, creation_time)
SELECT id, CASE WHEN i % (:tasks / 600) = 3 THEN 'rare-' WHEN h % 4 = 0 THEN 'align-' ELSE 'nf-process-' END || i,
    'Step ' || i % 40 || ' of the workflow, on sample ' || i / 40, 1, 1 + h % 16, ARRAY['zone-a', 'zone-b'], at
FROM made;

INSERT INTO poiesis.task_tags (task_id, key, value)
SELECT id, 'project', CASE WHEN h % 100 < 60 THEN 'atlas' WHEN h % 100 < 90 THEN 'borealis' ELSE 'cygnus-' || h % 7 END FROM made
UNION ALL SELECT id, 'user', 'user-' || floor(sqrt(h % 2500)) FROM made WHERE h % 10 < 7
UNION ALL SELECT id, 'sample', 'SAMPLE' || i / 40 FROM made
UNION ALL SELECT id, 'rare', 'pair' FROM made WHERE i % (:tasks / 600) = 1
UNION ALL SELECT id, 'old', 'pair' FROM made WHERE i <= 600
UNION ALL SELECT id, 'new', 'pair' FROM made WHERE i > :tasks - 600;

INSERT INTO poiesis.task_inputs (task_id, position, url, path, type)
SELECT id, n, 's3://bucket/project/sample-' || i / 40 || '/input-' || n || '.fastq.gz',
    '/data/inputs/input-' || n || '.fastq.gz', 'FILE'
FROM made, generate_series(0, inputs - 1) n;

INSERT INTO poiesis.task_outputs (task_id, position, url, path, type)
SELECT id, n, 's3://bucket/project/sample-' || i / 40 || '/output-' || n || '.bam',
    '/data/outputs/output-' || n || '.bam', 'FILE'
FROM made, generate_series(0, outputs - 1) n;

INSERT INTO poiesis.task_executors (task_id, position, image, command, workdir, stdout, env)
SELECT id, n, 'quay.io/biocontainers/samtools:1.21--h50ea8bc_0',
    ARRAY['/bin/bash', '-euo', 'pipefail', '-c', 'samtools sort -@ 4 -o "/data/outputs/out.bam" /data/inputs/input-0.fastq.gz'],
    '/data', '/data/outputs/log-' || n, '{"THREADS": "4", "LC_ALL": "C.UTF-8"}'
FROM made, generate_series(0, executors - 1) n;

INSERT INTO poiesis.task_logs (task_id, attempt, metadata, start_time, end_time, backend)
SELECT id, 1, '{"host": "node-7", "backend": "container", "peak_memory_bytes": "1073741824", "vm_price_per_hour_usd": "0"}',
    at + interval '5 seconds', at + interval '65 seconds', 'container'
FROM made;

INSERT INTO poiesis.executor_logs (task_id, attempt, position, start_time, end_time, stdout, stderr, exit_code)
SELECT id, 1, n, at + interval '5 seconds', at + interval '65 seconds',
    '[main] processed ' || h || E' reads\n', E'warning: "quality" of 3 reads is unknown\n', (state <> 'COMPLETE')::int
FROM made, generate_series(0, executors - 1) n;

INSERT INTO poiesis.output_file_logs (task_id, attempt, position, url, path, size_bytes)
SELECT id, 1, 0, 's3://bucket/project/sample-' || i / 40 || '/output-0.bam', '/data/outputs/output-0.bam', h
FROM made;

INSERT INTO poiesis.task_states (task_id, owner, state, attempt, changed_at)
SELECT id, 'public', state, 1, at FROM made;

DROP TABLE made;
VACUUM (ANALYZE);
