"""Records the outcome of a claim: a text or a failure. `releases` releases claims.

Each function is one short transaction with the claim's token, and changes nothing if the row is no longer at 6 with that
token. It does not wait for a row or an attempt that another session has locked: the other outcomes are recorded, and the
caller tries again. Times are those of the database, and never before the claim, even if the clock steps back.

Rows are found by their keys, for the reason given in `claim_statements`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import psycopg
from psycopg import Connection, sql
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.claiming.releases import release
from notaflow_pipeline.job_queue.database.chunks import describe_refusal
from notaflow_pipeline.job_queue.database.connections import OutcomeRefused
from notaflow_pipeline.job_queue.database.row_locks import retry_while_locked
from notaflow_pipeline.job_queue.database.sessions import short_statement, short_transaction
from notaflow_pipeline.job_queue.database.transient import is_transient, lacks_privilege_or_object
from notaflow_pipeline.job_queue.model import Claim, Failure, OcrResult, Outcome, Recording, storable
from notaflow_pipeline.job_queue.started_at import CLAIM_ENDED

MAX_BACKOFF_SECONDS = 3600
"""The longest wait before the next attempt, without jitter."""

# VALUES instead of arrays: the planner knows the number of rows, and keeps one plan for each number. If a trigger of another
# program drops the update of a row, leaves it at 6, or removes its text, its attempt has no time of its end, which violates a
# constraint: the statement fails like any other that the database refuses.
_SUCCEED = sql.SQL("""
WITH read (token, document_id, path, source, content, pages, mean_confidence, fetch_seconds, ocr_seconds, source_bytes,
           engine, pages_blank, pages_text_layer, pages_damaged, pages_failed, low_confidence_share, passes, coverage)
    AS MATERIALIZED (
    VALUES {rows}
),
held AS MATERIALIZED (
    SELECT q.id, read.token
    FROM extraction_queue AS q
    JOIN read ON read.document_id = q.id
    JOIN ocr_attempt AS a ON a.id = read.token
    WHERE q.status_id + 0 = 6
      AND q.ocr_claim_id = read.token
      AND q.supabase_path IS NOT DISTINCT FROM read.path
      AND q.document_source IS NOT DISTINCT FROM read.source
      AND a.outcome IS NULL
      -- a text that another program wrote meanwhile is kept
      AND (q.file_content IS NULL OR (q.ocr_changed_elsewhere_at > a.claimed_at) IS NOT TRUE)
    FOR NO KEY UPDATE OF q, a SKIP LOCKED
),
finished AS (
    UPDATE extraction_queue AS q
    SET status_id = 5,
        file_content = read.content,
        -- another program may have set it to NULL
        ocr_started_at = COALESCE(q.ocr_started_at, (SELECT a.claimed_at FROM ocr_attempt AS a WHERE a.id = held.token)),
        ocr_max_attempts = GREATEST(q.ocr_max_attempts, q.ocr_attempts),
        ocr_completed_at = GREATEST(clock_timestamp(), q.ocr_started_at),
        ocr_error = NULL,
        ocr_claim_id = NULL,
        ocr_reread_requested_at = NULL,
        updated_at = clock_timestamp()
    FROM held
    JOIN read USING (token)
    WHERE q.id = held.id
    -- the text as it is stored: a trigger of another program may have changed it
    RETURNING held.token, CASE WHEN {ended} THEN q.ocr_completed_at END AS ended_at,
              length(q.file_content) AS characters, sha256(convert_to(q.file_content, 'UTF8')) AS text_sha256
)
UPDATE ocr_attempt AS a
SET finished_at = finished.ended_at,
    outcome = 'succeeded',
    pages = read.pages,
    characters = finished.characters,
    mean_confidence = read.mean_confidence,
    fetch_seconds = read.fetch_seconds,
    ocr_seconds = read.ocr_seconds,
    source_bytes = read.source_bytes,
    engine = read.engine,
    pages_blank = read.pages_blank,
    pages_text_layer = read.pages_text_layer,
    pages_damaged = read.pages_damaged,
    pages_failed = read.pages_failed,
    low_confidence_share = read.low_confidence_share,
    passes = read.passes,
    coverage = read.coverage,
    text_sha256 = finished.text_sha256
FROM held
LEFT JOIN finished USING (token)
JOIN read USING (token)
WHERE a.id = held.token
  AND a.outcome IS NULL
RETURNING a.id
""")

_RESULT_ROW = sql.SQL("""(
        %s::bigint, %s::uuid, %s::text, %s::text, %s::text, %s::integer, %s::real, %s::double precision,
        %s::double precision, %s::bigint, %s::text, %s::integer, %s::integer, %s::integer, %s::integer, %s::real,
        %s::integer, %s::real
    )""")


@lru_cache
def _succeed_statement(texts: int) -> bytes:
    return _SUCCEED.format(rows=sql.SQL(",").join([_RESULT_ROW] * texts), ended=CLAIM_ENDED).as_bytes(None)


def record_texts(connection: Connection, outcomes: Sequence[tuple[Claim, OcrResult]]) -> dict[int, Recording]:
    """Record the texts of these claims with one commit; return the result of each by token.

    Raises:
        OutcomeRefused: the database refuses one of these texts permanently; none was recorded.
    """
    values = [
        (
            *(claim.token, claim.document_id, claim.supabase_path, claim.document_source),
            *(result.text, result.pages, result.mean_confidence),
            *(result.fetch_seconds, result.ocr_seconds, result.source_bytes, result.engine, result.pages_blank),
            *(result.pages_text_layer, result.pages_damaged, result.pages_failed, result.low_confidence_share),
            *(result.passes, result.coverage),
        )
        for claim, result in outcomes
    ]
    statement, arguments = _succeed_statement(len(values)), [value for row in values for value in row]

    def record() -> dict[int, Recording]:
        recorded = _recorded(connection, statement, arguments)
        return {
            claim.token: Recording.RECORDED
            if claim.token in recorded
            else _unrecorded(connection, claim, Outcome.SUCCEEDED)
            for claim, _ in outcomes
        }

    return retry_while_locked(record, lambda recordings: Recording.LOCKED in recordings.values())


# A failure that is not retryable exhausts the document by lowering its maximum to the attempts made: attempts only ever grow.
# GREATEST corrects counts that another program wrote, so that the document appears in one list. The wait doubles with each
# attempt, with 50 % jitter, so that retries spread. A dropped update fails as above.
_FAIL = sql.SQL("""
WITH held AS MATERIALIZED (
    SELECT q.id, GREATEST(q.ocr_attempts, 1) AS attempts,
           GREATEST(COALESCE(q.ocr_max_attempts, 3), q.ocr_attempts, 1) AS maximum
    FROM extraction_queue AS q
    JOIN ocr_attempt AS a ON a.id = %(token)s
    WHERE q.id = %(document_id)s
      AND q.status_id + 0 = 6
      AND q.ocr_claim_id = %(token)s
      AND q.supabase_path IS NOT DISTINCT FROM %(path)s
      AND q.document_source IS NOT DISTINCT FROM %(source)s
      AND a.outcome IS NULL
    FOR NO KEY UPDATE OF q, a SKIP LOCKED
),
failed AS (
    UPDATE extraction_queue AS q
    SET status_id = CASE
            WHEN NOT %(retryable)s OR held.attempts >= held.maximum THEN %(exhausted_status)s
            ELSE 3
        END,
        ocr_attempts = held.attempts,
        ocr_max_attempts = CASE WHEN %(retryable)s THEN held.maximum ELSE held.attempts END,
        ocr_next_attempt_at = CASE
            WHEN %(retryable)s AND held.attempts < held.maximum THEN
                clock_timestamp() + make_interval(secs =>
                    LEAST(%(retry_base_seconds)s * power(2, LEAST(held.attempts, 31) - 1), %(max_backoff_seconds)s)
                    * (0.5 + random()))
        END,
        ocr_error = %(error)s,
        ocr_last_error_at = GREATEST(clock_timestamp(), q.ocr_started_at),
        error_message = CASE WHEN %(mirror)s THEN %(error)s ELSE q.error_message END,
        ocr_claim_id = NULL,
        updated_at = clock_timestamp()
    FROM held
    WHERE q.id = held.id
    -- a document that was to be reread keeps its text: a trigger sets it to 5
    RETURNING CASE WHEN {ended} THEN q.ocr_last_error_at END AS ended_at, q.ocr_next_attempt_at,
              q.ocr_attempts >= q.ocr_max_attempts AND q.status_id <> 5 AS exhausted
)
UPDATE ocr_attempt
SET finished_at = failed.ended_at,
    outcome = 'failed',
    exhausted = failed.exhausted,
    retry_at = failed.ocr_next_attempt_at,
    failure_kind = %(kind)s,
    error = %(sentence)s,
    fetch_seconds = %(fetch_seconds)s,
    source_bytes = %(source_bytes)s
FROM held
LEFT JOIN failed ON TRUE
WHERE ocr_attempt.id = %(token)s
  AND outcome IS NULL
RETURNING ocr_attempt.id
""")


def record_failure(
    connection: Connection,
    claim: Claim,
    failure: Failure,
    *,
    error: str,
    fetch_seconds: float,
    source_bytes: int,
    retry_base_seconds: float,
    mirror_errors: bool,
    exhausted_status: int,
) -> Recording:
    """Record why the document could not be read.

    Args:
        connection: outside any transaction.
        claim: the claim that ends.
        failure: its kind and sentence; a kind that is not retryable exhausts the document.
        error: the text for `ocr_error`.
        fetch_seconds: duration of the fetch; 0 if the document was not fetched.
        source_bytes: size of the document; 0 if it was not fetched.
        retry_base_seconds: the first wait; it doubles with each attempt, with 50 % jitter.
        mirror_errors: whether the error is written to `error_message` too.
        exhausted_status: status of an exhausted document, 3 or 4 (`OCR_EXHAUSTED_STATUS`).

    Raises:
        OutcomeRefused: the database refuses this permanently.
    """
    arguments = {
        "document_id": claim.document_id,
        "token": claim.token,
        **_file(claim),
        "kind": failure.kind,
        "sentence": failure.sentence,
        "error": storable(error),
        "retryable": failure.kind.retryable,
        "retry_base_seconds": retry_base_seconds,
        "max_backoff_seconds": MAX_BACKOFF_SECONDS,
        "mirror": mirror_errors,
        "exhausted_status": exhausted_status,
        "fetch_seconds": fetch_seconds,
        "source_bytes": source_bytes,
    }

    def record() -> Recording:
        if claim.token in _recorded(connection, _FAIL.format(ended=CLAIM_ENDED).as_bytes(None), arguments):
            return Recording.RECORDED
        return _unrecorded(connection, claim, Outcome.FAILED)

    return retry_while_locked(record, lambda recording: recording is Recording.LOCKED)


def _recorded(connection: Connection, statement: bytes, arguments: Mapping[str, object] | Sequence[object]) -> set[int]:
    """Run a statement that ends claims; return the tokens of those that it ended."""
    try:
        with connection.cursor(row_factory=scalar_row) as cursor:
            with short_statement(connection):
                cursor.execute(statement, arguments)
            return set(cursor.fetchall())
    except psycopg.Error as error:
        if is_transient(error) or lacks_privilege_or_object(error):  # not caused by the row
            raise
        refusal = f"The database refuses to store the outcome ({describe_refusal(error)})."
    except UnicodeError:
        refusal = "The text cannot be stored as UTF-8."
    # outside the except blocks, so that the driver's error is not chained: it can contain the row with its text
    raise OutcomeRefused(refusal)


def _file(claim: Claim) -> dict[str, str | None]:
    """Return path and source at the time of the claim, which together determine the file."""
    return {"path": claim.supabase_path, "source": claim.document_source}


_CLAIM_STATE = """
SELECT a.outcome, q.id IS NOT NULL AND a.outcome IS NULL AS held,
       q.supabase_path IS NOT DISTINCT FROM %(path)s AND q.document_source IS NOT DISTINCT FROM %(source)s
           AND (q.file_content IS NULL OR (q.ocr_changed_elsewhere_at > a.claimed_at) IS NOT TRUE) AS unchanged
FROM ocr_attempt AS a
LEFT JOIN extraction_queue AS q ON q.id = a.queue_id AND q.status_id + 0 = 6 AND q.ocr_claim_id = a.id
WHERE a.id = %(token)s
"""

# It ended when the other program's claim started, if that is known: attempts of a document never overlap. The other
# program's clock may be wrong, so the time is limited to between this claim and now.
_CLOSE_SUPERSEDED = """
UPDATE ocr_attempt AS a
SET finished_at = GREATEST(a.claimed_at, COALESCE(
        (SELECT LEAST(q.ocr_started_at, clock_timestamp())
         FROM extraction_queue AS q
         WHERE q.id = a.queue_id AND q.ocr_started_at > a.claimed_at),
        clock_timestamp()
    )),
    outcome = 'superseded'
WHERE a.id = (
    -- if another session has locked it, the next claim or recovery ends it
    SELECT b.id FROM ocr_attempt AS b WHERE b.id = %(token)s AND b.outcome IS NULL FOR NO KEY UPDATE SKIP LOCKED
)
"""


def _unrecorded(connection: Connection, claim: Claim, outcome: Outcome) -> Recording:
    """Find out why an outcome was not recorded.

    It may have been recorded by an earlier try whose response was lost; then the attempt has this outcome. An attempt
    whose claim is no longer held is closed.
    """
    with short_transaction(connection):
        token = {"token": claim.token}
        row = connection.execute(_CLAIM_STATE, {**token, **_file(claim)}).fetchone()
        ended_with, held, unchanged = row or (None, False, False)
        if ended_with == outcome:
            return Recording.RECORDED
        if not held:
            connection.execute(_CLOSE_SUPERSEDED, token)
            return Recording.LOST
    if unchanged:
        return Recording.LOCKED
    reason = "its row named another file, or got another text, while it was being read"
    released = release(connection, [claim.token], reason=reason)
    return Recording.RELEASED if released else Recording.LOCKED
