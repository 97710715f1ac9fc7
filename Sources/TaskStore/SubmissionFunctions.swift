extension StateFunctions {
    /// What hands a task to a cluster, and what its recorder claims; the same rules as for all state functions.
    static let submissions = [submit, claimSubmission]

    /// Opens a submission of a waiting task and gives its number; the one that is open already where nobody claimed it, so that a
    /// controller that was killed between this and the cluster's answer comes to the same name. NULL where the task does not wait.
    private static let submit = """
        CREATE OR REPLACE FUNCTION poiesis.submit_v1(p_task uuid, p_document text) RETURNS integer
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = poiesis, pg_temp AS $$
        DECLARE
            current_row task_states%ROWTYPE;
        BEGIN
            SELECT * INTO current_row FROM task_states WHERE task_id = p_task FOR UPDATE;
            IF NOT FOUND OR current_row.state <> 'QUEUED' THEN RETURN NULL; END IF;
            IF EXISTS (SELECT FROM submissions
                WHERE task_id = p_task AND number = current_row.submission AND pod IS NULL) THEN
                RETURN current_row.submission;
            END IF;
            UPDATE task_states SET submission = submission + 1 WHERE task_id = p_task;
            INSERT INTO submissions (task_id, number, owner, document)
                VALUES (p_task, current_row.submission + 1, current_row.owner, p_document);
            RETURN current_row.submission + 1;
        END
        $$
        """

    /// Opens an attempt for the Pod that runs a submission; the same Pod gets the same attempt again as long as that holds the task.
    ///
    /// Another Pod of the same submission has taken the place of the one before: that one's attempt is lost. No row where there is
    /// nothing to run: the task was cancelled, has ended, or was submitted again; or the Pod is one whose place another has taken.
    private static let claimSubmission = """
        CREATE OR REPLACE FUNCTION poiesis.claim_submission_v1(
            p_task uuid, p_number integer, p_pod text, p_token text, p_metadata jsonb, p_most integer)
        RETURNS TABLE (r_attempt integer, r_token text, r_owner text, r_state text, r_document text)
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = poiesis, pg_temp AS $$
        DECLARE
            current_row task_states%ROWTYPE;
            submission_row submissions%ROWTYPE;
            following text;
        BEGIN
            SELECT * INTO current_row FROM task_states WHERE task_id = p_task FOR UPDATE;
            SELECT * INTO submission_row FROM submissions WHERE task_id = p_task AND number = p_number;
            IF submission_row IS NULL OR current_row.submission <> p_number OR current_row.state IN \(terminal) THEN
                RETURN;
            END IF;
            IF submission_row.pod <> p_pod AND EXISTS (SELECT FROM task_logs
                WHERE task_id = p_task AND handle = jsonb_build_object('submission', p_number, 'pod', p_pod)) THEN
                RETURN;
            END IF;
            IF submission_row.attempt = current_row.attempt AND current_row.state <> 'QUEUED' THEN
                IF submission_row.pod = p_pod THEN
                    RETURN QUERY SELECT l.attempt, l.token, current_row.owner, current_row.state, submission_row.document
                        FROM task_logs l WHERE l.task_id = p_task AND l.attempt = current_row.attempt;
                    RETURN;
                END IF;
                following := next_state_v1(current_row.state,
                    CASE WHEN current_row.attempt >= p_most THEN 'SYSTEM_ERROR' ELSE 'QUEUED' END);
                UPDATE task_logs SET end_time = clock_timestamp(), cause = 'host-lost',
                    system_logs = coalesce(system_logs, '{}') || 'the attempt was lost: another Pod took the place of its Pod'::text
                    WHERE task_id = p_task AND attempt = current_row.attempt;
                PERFORM write_state_v1(p_task, following, current_row.attempt);
                current_row.state := following;
            END IF;
            IF current_row.state <> 'QUEUED' OR submission_row.pod = p_pod THEN RETURN; END IF;
            INSERT INTO task_logs (task_id, attempt, start_time, backend, token, metadata, system_logs, handle)
                SELECT t.task_id, current_row.attempt + 1, greatest(clock_timestamp(), t.creation_time), 'kubernetes', p_token, p_metadata,
                    CASE WHEN current_row.attempt = 0 THEN t.warnings END,
                    jsonb_build_object('submission', p_number, 'pod', p_pod)
                FROM tasks t WHERE t.task_id = p_task;
            UPDATE submissions SET pod = p_pod, attempt = current_row.attempt + 1 WHERE task_id = p_task AND number = p_number;
            PERFORM write_state_v1(p_task, 'INITIALIZING', current_row.attempt + 1);
            RETURN QUERY SELECT current_row.attempt + 1, p_token, current_row.owner, 'INITIALIZING'::text, submission_row.document;
        END
        $$
        """
}
