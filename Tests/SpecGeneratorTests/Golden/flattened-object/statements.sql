INSERT INTO golden.jobs (job_id, limits_cpu_cores, limits_ram_gb, limits_zones, limits_parameters, resources_cpu_cores, resources_ram_gb, resources_zones, resources_parameters) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

SELECT job_id, limits_cpu_cores, limits_ram_gb, limits_zones, limits_parameters, resources_cpu_cores, resources_ram_gb, resources_zones, resources_parameters FROM golden.jobs WHERE job_id = ANY($1::uuid[]) ORDER BY job_id;

SELECT job_id, limits_cpu_cores, limits_ram_gb, limits_zones, limits_parameters, resources_cpu_cores, resources_ram_gb, resources_zones, resources_parameters FROM golden.jobs WHERE job_id BETWEEN $1::uuid AND $2::uuid ORDER BY job_id;

