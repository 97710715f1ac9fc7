INSERT INTO golden.jobs (job_id, name) VALUES ($1, $2);

SELECT job_id, name FROM golden.jobs WHERE job_id = ANY($1::uuid[]) ORDER BY job_id;

SELECT job_id, name FROM golden.jobs WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id;

INSERT INTO golden.steps (job_id, step, command) VALUES ($1, $2, $3);

SELECT job_id, step, command FROM golden.steps WHERE job_id = ANY($1::uuid[]) ORDER BY job_id, step;

SELECT job_id, step, command FROM golden.steps WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id, step;

INSERT INTO golden.mounts (job_id, step, mount, path) VALUES ($1, $2, $3, $4);

SELECT job_id, step, mount, path FROM golden.mounts WHERE job_id = ANY($1::uuid[]) ORDER BY job_id, step, mount;

SELECT job_id, step, mount, path FROM golden.mounts WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id, step, mount;

INSERT INTO golden.options (job_id, step, mount, number, name) VALUES ($1, $2, $3, $4, $5);

SELECT job_id, step, mount, number, name FROM golden.options WHERE job_id = ANY($1::uuid[]) ORDER BY job_id, step, mount, number;

SELECT job_id, step, mount, number, name FROM golden.options WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id, step, mount, number;

INSERT INTO golden.step_env (job_id, step, name, value) VALUES ($1, $2, $3, $4);

SELECT job_id, step, name, value FROM golden.step_env WHERE job_id = ANY($1::uuid[]) ORDER BY job_id, step;

SELECT job_id, step, name, value FROM golden.step_env WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id, step;

INSERT INTO golden.step_logs (job_id, step, log, path) VALUES ($1, $2, $3, $4);

SELECT (value->>'path')::text FROM (SELECT '{}'::jsonb AS value) AS own;

SELECT job_id, step, log, path FROM golden.step_logs WHERE job_id = ANY($1::uuid[]) ORDER BY job_id, step, log;

SELECT job_id, step, log, path FROM golden.step_logs WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id, step, log;

INSERT INTO golden.log_options (job_id, step, log, number, name) VALUES ($1, $2, $3, $4, $5);

SELECT (value->>'name')::text FROM (SELECT '{}'::jsonb AS value) AS own;

SELECT job_id, step, log, number, name FROM golden.log_options WHERE job_id = ANY($1::uuid[]) ORDER BY job_id, step, log, number;

SELECT job_id, step, log, number, name FROM golden.log_options WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id, step, log, number;

INSERT INTO golden.notes (note_id, text) VALUES ($1, $2);

SELECT note_id, text FROM golden.notes WHERE note_id = ANY($1::uuid[]) ORDER BY note_id;

SELECT note_id, text FROM golden.notes WHERE note_id BETWEEN $1::uuid AND $2::uuid ORDER BY note_id;

INSERT INTO golden.marks (note_id, position, name) VALUES ($1, $2, $3);

SELECT note_id, position, name FROM golden.marks WHERE note_id = ANY($1::uuid[]) ORDER BY note_id, position;

SELECT note_id, position, name FROM golden.marks WHERE note_id BETWEEN $1::uuid AND $2::uuid ORDER BY note_id, position;

