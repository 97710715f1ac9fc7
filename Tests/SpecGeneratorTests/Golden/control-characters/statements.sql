INSERT INTO jobs.jobs (job, id, "a
	b") VALUES ($1, $2, $3);

SELECT job, id, "a
	b" FROM jobs.jobs WHERE job = ANY($1::uuid[]) ORDER BY job;

SELECT job, id, "a
	b" FROM jobs.jobs WHERE job BETWEEN $1::uuid AND $2::uuid ORDER BY job;

