INSERT INTO golden.jobs (job_id, name) VALUES ($1, $2);

SELECT job_id, name FROM golden.jobs WHERE job_id = ANY($1::uuid[]) ORDER BY job_id;

SELECT job_id, name FROM golden.jobs WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id;

INSERT INTO golden.job_inputs (job_id, position, url, state) VALUES ($1, $2, $3, $4);

SELECT job_id, position, url, state FROM golden.job_inputs WHERE job_id = ANY($1::uuid[]) ORDER BY job_id, position;

SELECT job_id, position, url, state FROM golden.job_inputs WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id, position;

INSERT INTO golden.job_logs (job_id, attempt, notes) VALUES ($1, $2, $3);

SELECT CASE WHEN jsonb_typeof(value->'notes') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(value->'notes'))::text[] END FROM (SELECT '{}'::jsonb AS value) AS own;

SELECT job_id, attempt, notes FROM golden.job_logs WHERE job_id = ANY($1::uuid[]) ORDER BY job_id, attempt;

SELECT job_id, attempt, notes FROM golden.job_logs WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id, attempt;

INSERT INTO golden.log_files (job_id, attempt, position, url, state) VALUES ($1, $2, $3, $4, $5);

SELECT (value->>'url')::text, (value->>'state')::text FROM (SELECT '{}'::jsonb AS value) AS own;

SELECT job_id, attempt, position, url, state FROM golden.log_files WHERE job_id = ANY($1::uuid[]) ORDER BY job_id, attempt, position;

SELECT job_id, attempt, position, url, state FROM golden.log_files WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id, attempt, position;

