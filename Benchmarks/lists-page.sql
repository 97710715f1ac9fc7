-- The newest 256 tasks in plain SELECTs over key ranges: what a FULL page is measured against. Kept as it is.
-- :first and :last are the page's least and greatest id.
SELECT task_id, state FROM poiesis.task_states WHERE owner = 'public' ORDER BY task_id DESC LIMIT 256;
SELECT * FROM poiesis.tasks WHERE task_id BETWEEN :first AND :last ORDER BY task_id;
SELECT * FROM poiesis.task_tags WHERE task_id BETWEEN :first AND :last ORDER BY task_id;
SELECT * FROM poiesis.task_inputs WHERE task_id BETWEEN :first AND :last ORDER BY task_id, position;
SELECT * FROM poiesis.task_outputs WHERE task_id BETWEEN :first AND :last ORDER BY task_id, position;
SELECT * FROM poiesis.task_executors WHERE task_id BETWEEN :first AND :last ORDER BY task_id, position;
SELECT * FROM poiesis.task_logs WHERE task_id BETWEEN :first AND :last ORDER BY task_id, attempt;
SELECT * FROM poiesis.executor_logs WHERE task_id BETWEEN :first AND :last ORDER BY task_id, attempt, position;
SELECT * FROM poiesis.output_file_logs WHERE task_id BETWEEN :first AND :last ORDER BY task_id, attempt, position;
