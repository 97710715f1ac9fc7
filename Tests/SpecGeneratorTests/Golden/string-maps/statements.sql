INSERT INTO golden.jobs (job_id, labels, env) VALUES ($1, $2, $3);

SELECT job_id, labels, env FROM golden.jobs WHERE job_id = ANY($1::uuid[]) ORDER BY job_id;

SELECT job_id, labels, env FROM golden.jobs WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id;

