INSERT INTO golden.files (file_id, size_bytes, quota, count, exit_code, ratio) VALUES ($1, $2, $3, $4, $5, $6);

SELECT file_id, size_bytes, quota, count, exit_code, ratio FROM golden.files WHERE file_id = ANY($1::uuid[]) ORDER BY file_id;

SELECT file_id, size_bytes, quota, count, exit_code, ratio FROM golden.files WHERE file_id BETWEEN $1::uuid AND $2::uuid ORDER BY file_id;

