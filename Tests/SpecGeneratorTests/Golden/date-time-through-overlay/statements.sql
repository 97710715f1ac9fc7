INSERT INTO golden.logs (log_id, start_time, end_time) VALUES ($1, $2, $3);

SELECT log_id, start_time, end_time FROM golden.logs WHERE log_id = ANY($1::uuid[]) ORDER BY log_id;

SELECT log_id, start_time, end_time FROM golden.logs WHERE log_id BETWEEN $1::uuid AND $2::uuid ORDER BY log_id;

