INSERT INTO golden.jobs (job_id, name, owner) VALUES ($1, $2, $3);

SELECT job_id, name FROM golden.jobs WHERE job_id = ANY($1::uuid[]) ORDER BY job_id;

SELECT job_id, name FROM golden.jobs WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id;

INSERT INTO golden.job_tags (job_id, key, value, owner) VALUES ($1, $2, $3, $4);

SELECT job_id, key, value FROM golden.job_tags WHERE job_id = ANY($1::uuid[]) ORDER BY job_id;

SELECT job_id, key, value FROM golden.job_tags WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id;

