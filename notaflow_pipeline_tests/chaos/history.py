"""Records each change of a row with a trigger: which program set which status and text, in the order of the commits."""

from psycopg import Connection

RECORD = """
CREATE TABLE chaos_history (
    id bigserial PRIMARY KEY,
    queue_id uuid NOT NULL,
    program text NOT NULL,
    old_status integer,
    new_status integer,
    claimed boolean NOT NULL,
    old_text text,
    new_text text,
    reread_requested boolean NOT NULL
);

CREATE INDEX ON chaos_history (queue_id, id);

CREATE FUNCTION chaos_record() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO chaos_history (queue_id, program, old_status, new_status, claimed, old_text, new_text, reread_requested)
    VALUES (
        NEW.id,
        current_setting('application_name'),
        OLD.status_id,
        NEW.status_id,
        NEW.status_id = 6 AND (OLD.status_id <> 6 OR NEW.ocr_started_at IS DISTINCT FROM OLD.ocr_started_at),
        OLD.file_content,
        NEW.file_content,
        NEW.ocr_reread_requested_at IS NOT NULL AND OLD.ocr_reread_requested_at IS NULL
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER chaos_record AFTER UPDATE ON extraction_queue FOR EACH ROW EXECUTE FUNCTION chaos_record();
"""

# a text that the pipeline wrote although the row's last claim was another program's
SUPERSEDED_TEXTS = """
SELECT q.document_number, 'the text of a claim that another program had ended was accepted'
FROM chaos_history AS h
JOIN extraction_queue AS q ON q.id = h.queue_id
JOIN LATERAL (
    SELECT claim.program
    FROM chaos_history AS claim
    WHERE claim.queue_id = h.queue_id
      AND claim.id < h.id
      AND claim.claimed
    ORDER BY claim.id DESC
    LIMIT 1
) AS last ON TRUE
WHERE h.program = 'notaflow_pipeline'
  AND h.new_status = 5
  AND h.new_text IS DISTINCT FROM h.old_text
  AND last.program <> 'notaflow_pipeline'
"""

# at any moment, also if it was corrected since
DONE_WITHOUT_TEXT = """
SELECT DISTINCT q.document_number, format('%s set it to 5 without a text', h.program)
FROM chaos_history AS h
JOIN extraction_queue AS q ON q.id = h.queue_id
WHERE h.new_status = 5
  AND h.new_text IS NULL
"""

# each reread request and each write of another program may lead to one more success
READ_TWICE = """
SELECT q.document_number, format('%s successes', count(*))
FROM ocr_attempt AS a
JOIN extraction_queue AS q ON q.id = a.queue_id
WHERE a.outcome = 'succeeded'
GROUP BY q.id
HAVING count(*) > 1 + (
    SELECT count(*)
    FROM chaos_history AS h
    WHERE h.queue_id = q.id
      AND (h.reread_requested OR h.program NOT IN ('notaflow_pipeline', 'chaos'))
)
"""


def record_history(connection: Connection) -> None:
    """Record every change of a row from now on."""
    connection.execute(RECORD)
