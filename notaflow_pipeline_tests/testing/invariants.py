"""The invariants of the queue, as queries that return the rows which break them.

Written independently of the product's (`notaflow_pipeline.job_queue.invariants`), so that each would reveal an error in the
other. They hold for documents that only this project works on; other programs can break (c) and (e).
"""

from psycopg import Connection

from notaflow_pipeline.job_queue.invariants import find_violations

INVARIANT_QUERIES = {
    "(b) file_content is the text of the attempt that succeeded last": """
        SELECT q.id
        FROM extraction_queue AS q
        JOIN LATERAL (
            SELECT a.text_sha256, a.characters
            FROM ocr_attempt AS a
            WHERE a.queue_id = q.id
              AND a.outcome = 'succeeded'
            ORDER BY a.id DESC
            LIMIT 1
        ) AS success ON TRUE
        WHERE q.status_id = 5
          AND (q.file_content IS NULL
               OR success.text_sha256 IS DISTINCT FROM sha256(convert_to(q.file_content, 'UTF8'))
               OR success.characters IS DISTINCT FROM length(q.file_content))
    """,
    "(c) ocr_attempts equals the attempts of the history, released ones excepted": """
        SELECT q.id
        FROM extraction_queue AS q
        LEFT JOIN ocr_attempt AS a ON a.queue_id = q.id AND a.outcome IS DISTINCT FROM 'released'
        GROUP BY q.id, q.ocr_attempts
        HAVING COALESCE(q.ocr_attempts, 0) <> count(a.id)
    """,
    "(c) attempts never exceed the maximum": """
        SELECT id
        FROM extraction_queue
        WHERE ocr_attempts > COALESCE(ocr_max_attempts, 3)
    """,
    "(d) two attempts of a document never overlap": """
        SELECT one.id, another.id
        FROM ocr_attempt AS one
        JOIN ocr_attempt AS another ON another.queue_id = one.queue_id AND another.id > one.id
        WHERE tstzrange(one.claimed_at, COALESCE(one.finished_at, 'infinity'))
           && tstzrange(another.claimed_at, COALESCE(another.finished_at, 'infinity'))
    """,
    "(e) a row at 6 has exactly one open attempt, which is its token": """
        SELECT q.id
        FROM extraction_queue AS q
        LEFT JOIN ocr_attempt AS a ON a.queue_id = q.id AND a.finished_at IS NULL
        WHERE q.status_id = 6
        GROUP BY q.id, q.ocr_claim_id
        HAVING count(a.id) <> 1
            OR min(a.id) IS DISTINCT FROM q.ocr_claim_id
    """,
    "(e) an open attempt is the token of a row at 6": """
        SELECT a.id
        FROM ocr_attempt AS a
        LEFT JOIN extraction_queue AS q ON q.id = a.queue_id AND q.status_id = 6 AND q.ocr_claim_id = a.id
        WHERE a.finished_at IS NULL
          AND q.id IS NULL
    """,
    "(e) a row that is not at 6 has no token": """
        SELECT id
        FROM extraction_queue
        WHERE status_id <> 6
          AND ocr_claim_id IS NOT NULL
    """,
    "(f) a row at 5 has a succeeded attempt, and ended after it began": """
        SELECT q.id
        FROM extraction_queue AS q
        WHERE q.status_id = 5
          AND (q.ocr_completed_at IS NULL
               OR q.ocr_started_at IS NULL
               OR q.ocr_completed_at < q.ocr_started_at
               OR NOT EXISTS (SELECT FROM ocr_attempt AS a WHERE a.queue_id = q.id AND a.outcome = 'succeeded'))
    """,
    "(g) a row at 3 is exactly one of claimable, backing off, exhausted, not for OCR": """
        WITH waiting AS (
            SELECT q.id,
                   q.document_source IN (SELECT document_source FROM ocr_source)
                       AND q.file_content IS NULL
                       AND (COALESCE(q.ocr_attempts, 0) > 0 OR COALESCE(q.ocr_max_attempts, 3) > 0) AS for_ocr,
                   (q.ocr_attempts IS NULL OR q.ocr_max_attempts IS NULL
                    OR q.ocr_attempts < q.ocr_max_attempts) AS may_be_tried,
                   COALESCE(q.ocr_next_attempt_at > clock_timestamp(), FALSE) AS too_early,
                   q.id IN (SELECT id FROM ocr_exhausted_documents) AS exhausted
            FROM extraction_queue AS q
            WHERE q.status_id = 3
        )
        SELECT id
        FROM waiting
        WHERE (for_ocr AND may_be_tried AND NOT too_early)::int
            + (for_ocr AND may_be_tried AND too_early)::int
            + exhausted::int
            + (NOT COALESCE(for_ocr, FALSE))::int <> 1
    """,
}


def violated_invariants(connection: Connection) -> dict[str, int]:
    """Return the invariants that are broken, here or by the product's own check, each with its number of rows."""
    broken = {rule: len(connection.execute(query).fetchall()) for rule, query in INVARIANT_QUERIES.items()}
    for violation in find_violations(connection, sources=["index"]):
        broken[violation.rule] = broken.get(violation.rule, 0) + 1
    return {rule: rows for rule, rows in broken.items() if rows}
