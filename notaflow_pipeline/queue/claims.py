"""Who may work on a row: claim, renew, succeed, fail, release.

Each function is one short transaction. Every one but the claim names the claim's token, and changes nothing when the row
is no longer at 6 with that token. Times are the database's. What does not belong here: finding rows that nobody works on
any more (`recovery`), and counting (`monitoring`).

Rows that are known are found by their keys alone. The partial indexes of rows at 6 and of open attempts look smaller to the
planner, but keep an entry of everything that vacuum could not yet take away: hence `status_id + 0 = 6`, which they do not
serve, and `outcome IS NULL`, which by a constraint says the same as `finished_at IS NULL` and which they do not serve either.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import psycopg
from psycopg import Connection, sql
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.queue.database import OutcomeRefused, is_passing, short_statement, short_transaction
from notaflow_pipeline.queue.front import QueueFront
from notaflow_pipeline.queue.model import Claim, DocumentSource, Failure, Reading

MAX_BACKOFF_SECONDS = 3600
"""No failure makes a document wait longer than this for its next attempt, jitter aside."""

# Status and source are literals, the attempts' condition has the index's very form, and the order ends in id: only so
# does the planner walk idx_extraction_queue_ocr_claim_<source>, which holds no exhausted row. That form lets a row pass
# that was never tried and may never be (NULL attempts of at most 0), hence the condition below it. MATERIALIZED, because a
# LIMIT inside a joined subquery may otherwise be run more than once.
CLAIMABLE = sql.SQL("""status_id = 3
      AND document_source = {source}
      AND file_content IS NULL
      AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts)
      AND COALESCE(ocr_attempts, 0) < ocr_max_attempts""")

_PICK = sql.SQL("""
    SELECT id, ocr_priority, created_at, ocr_next_attempt_at, FALSE AS again
    FROM extraction_queue
    WHERE {claimable}
      AND {place}
      AND (ocr_next_attempt_at IS NULL OR ocr_next_attempt_at <= clock_timestamp())
      AND NOT EXISTS (SELECT FROM ocr_pause)
    ORDER BY ocr_priority DESC, created_at, id
    LIMIT %(limit)s
    FOR UPDATE OF extraction_queue SKIP LOCKED
""")

_ANYWHERE = sql.SQL("TRUE")

# one priority alone, or the index could not be entered in its middle; nothing when that document is gone
_BEHIND = sql.SQL("""ocr_priority = (SELECT last.ocr_priority FROM extraction_queue AS last WHERE last.id = %(behind)s)
      AND (created_at, id) > (
          (SELECT last.created_at FROM extraction_queue AS last WHERE last.id = %(behind)s),
          %(behind)s
      )""")

# finished documents that are to be read again give way to all that were never read
_PICK_AGAIN = sql.SQL("""
    SELECT id, ocr_priority, created_at, ocr_next_attempt_at, TRUE AS again
    FROM extraction_queue
    WHERE status_id = 5
      AND ocr_reread_requested_at IS NOT NULL
      AND document_source = ANY(%(sources)s)
      AND ocr_attempts < ocr_max_attempts
      AND (ocr_next_attempt_at IS NULL OR ocr_next_attempt_at <= clock_timestamp())
      AND NOT EXISTS (SELECT FROM ocr_pause)
    ORDER BY ocr_priority DESC, created_at, id
    LIMIT %(limit)s
    FOR UPDATE OF extraction_queue SKIP LOCKED
""")

_CLAIM = sql.SQL("""
WITH {picks},
-- Tokens in the order of the queue, whatever order the update takes; one instant for what ends and what begins, since
-- the order of the statements below is not fixed and attempts of a document never overlap.
picked AS MATERIALIZED (
    SELECT id, nextval('ocr_attempt_id_seq') AS token, clock_timestamp() AS now, ocr_next_attempt_at AS waited_until
    FROM (
        SELECT id, ocr_next_attempt_at
        FROM ({candidates}) AS candidate
        ORDER BY again, ocr_priority DESC, created_at, id
        LIMIT %(limit)s
    ) AS first
),
-- the row was taken away behind its worker's back: that attempt ends here
superseded AS (
    UPDATE ocr_attempt AS a
    SET finished_at = picked.now,
        outcome = 'superseded'
    FROM picked
    WHERE a.queue_id = picked.id
      AND a.outcome IS NULL
    RETURNING a.queue_id, a.finished_at
),
claimed AS (
    UPDATE extraction_queue AS q
    SET status_id = 6,
        ocr_claim_id = picked.token,
        ocr_worker_id = %(worker_id)s,
        ocr_started_at = picked.now,
        ocr_completed_at = NULL,
        ocr_attempts = COALESCE(q.ocr_attempts, 0) + 1,
        ocr_max_attempts = COALESCE(q.ocr_max_attempts, 3),
        ocr_next_attempt_at = NULL,
        updated_at = clock_timestamp()
    FROM picked
    WHERE q.id = picked.id
    RETURNING q.ocr_claim_id AS token, q.id AS document_id, q.document_number, q.document_source, q.supabase_path,
              q.ocr_attempts AS attempt_number, q.ocr_max_attempts AS max_attempts, q.ocr_started_at,
              GREATEST(q.created_at, picked.waited_until, q.ocr_reread_requested_at) AS waited_since
),
-- Counted first, so that what is superseded has ended before the unique index on open attempts sees its successor. Since
-- when the document could have been claimed is known only now: the claim takes the backoff from the row, which may go.
opened AS (
    INSERT INTO ocr_attempt (id, queue_id, attempt_number, document_source, worker_id, run_id, worker_instance, claimed_at,
                             lease_expires_at, ready_at)
    SELECT token, document_id, attempt_number, document_source, %(worker_id)s, %(run_id)s, %(instance)s, ocr_started_at,
           clock_timestamp() + %(lease)s,
           LEAST(ocr_started_at, GREATEST(
               waited_since,
               (SELECT max(a.finished_at) FROM ocr_attempt AS a WHERE a.queue_id = document_id),
               (SELECT max(s.finished_at) FROM superseded AS s WHERE s.queue_id = document_id),
               CASE WHEN attempt_number > 1 THEN
                   (SELECT max(r.sent_at) FROM ocr_round AS r WHERE r.queue_id = document_id)
               END
           ))
    FROM claimed
    CROSS JOIN (SELECT count(*) FROM superseded) AS ended
)
SELECT token, document_id, document_number, document_source, supabase_path, attempt_number, max_attempts
FROM claimed
ORDER BY token
""")

# rows that a comparison with NULL hides from every list; locked ones are somebody's and come next time
WRITE_MISSING_MAXIMA = """
WITH without_maximum AS (
    SELECT id
    FROM extraction_queue
    WHERE status_id = 3
      AND file_content IS NULL
      AND ocr_max_attempts IS NULL
      AND document_source = ANY(%(sources)s)
    ORDER BY created_at, id
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
)
UPDATE extraction_queue AS q
SET ocr_max_attempts = 3,
    ocr_attempts = COALESCE(q.ocr_attempts, 0),
    updated_at = clock_timestamp()
FROM without_maximum
WHERE q.id = without_maximum.id
RETURNING q.id
"""

_RENEW = """
WITH held AS MATERIALIZED (
    SELECT a.id
    FROM ocr_attempt AS a
    JOIN extraction_queue AS q ON q.id = a.queue_id
    WHERE a.id = ANY(%(tokens)s)
      AND a.outcome IS NULL
      AND q.status_id + 0 = 6
      AND q.ocr_claim_id = a.id
    ORDER BY a.id
    FOR NO KEY UPDATE OF a
)
UPDATE ocr_attempt AS a
SET lease_expires_at = clock_timestamp() + %(lease)s
FROM held
WHERE a.id = held.id
  AND a.outcome IS NULL
RETURNING a.id
"""

# Rows are locked in the order of their tokens, here, by renewals and by releases, so that nobody waits in a circle.
_SUCCEED = """
WITH read AS MATERIALIZED (
    SELECT *
    FROM unnest(%(tokens)b::bigint[], %(document_ids)b::uuid[], %(texts)b::text[], %(pages)b::integer[],
                %(mean_confidences)b::real[], %(fetch_seconds)b::double precision[], %(ocr_seconds)b::double precision[],
                %(source_bytes)b::bigint[], %(engines)b::text[], %(pages_blank)b::integer[],
                %(pages_text_layer)b::integer[], %(pages_damaged)b::integer[], %(pages_failed)b::integer[],
                %(low_confidence_shares)b::real[], %(passes)b::integer[])
        AS r (token, document_id, content, pages, mean_confidence, fetch_seconds, ocr_seconds, source_bytes, engine,
              pages_blank, pages_text_layer, pages_damaged, pages_failed, low_confidence_share, passes)
),
held AS MATERIALIZED (
    SELECT q.id, read.token
    FROM extraction_queue AS q
    JOIN read ON read.document_id = q.id
    WHERE q.status_id + 0 = 6
      AND q.ocr_claim_id = read.token
    ORDER BY read.token
    FOR UPDATE OF q
),
finished AS (
    UPDATE extraction_queue AS q
    SET status_id = 5,
        file_content = read.content,
        ocr_completed_at = clock_timestamp(),
        ocr_error = NULL,
        ocr_claim_id = NULL,
        ocr_reread_requested_at = NULL,
        updated_at = clock_timestamp()
    FROM held
    JOIN read USING (token)
    WHERE q.id = held.id
      AND q.status_id + 0 = 6
      AND q.ocr_claim_id = held.token
    RETURNING held.token, q.ocr_completed_at
),
ending AS MATERIALIZED (
    SELECT a.id, finished.ocr_completed_at
    FROM ocr_attempt AS a
    JOIN finished ON finished.token = a.id
    WHERE a.outcome IS NULL
    ORDER BY a.id
    FOR NO KEY UPDATE OF a
)
UPDATE ocr_attempt AS a
SET finished_at = ending.ocr_completed_at,
    outcome = 'succeeded',
    pages = read.pages,
    characters = length(read.content),
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
    text_sha256 = sha256(convert_to(read.content, 'UTF8'))
FROM ending
JOIN read ON read.token = ending.id
WHERE a.id = ending.id
RETURNING a.id
"""

# A failure that no further attempt can help exhausts the document at once, by lowering its maximum to what was used:
# attempts only ever grow. The wait doubles with each attempt, and half of it is chance, so that retries spread.
_FAIL = """
WITH failed AS (
    UPDATE extraction_queue
    SET status_id = CASE
            WHEN NOT %(retryable)s OR ocr_attempts >= ocr_max_attempts THEN %(exhausted_status)s
            ELSE 3
        END,
        ocr_max_attempts = CASE
            WHEN %(retryable)s THEN ocr_max_attempts
            ELSE LEAST(ocr_max_attempts, ocr_attempts)
        END,
        ocr_next_attempt_at = CASE
            WHEN %(retryable)s AND ocr_attempts < ocr_max_attempts THEN
                clock_timestamp() + make_interval(secs =>
                    LEAST(%(retry_base_seconds)s * power(2, LEAST(ocr_attempts - 1, 30)), %(max_backoff_seconds)s)
                    * (0.5 + random()))
        END,
        ocr_error = %(error)s,
        ocr_last_error_at = clock_timestamp(),
        error_message = CASE WHEN %(mirror)s THEN %(error)s ELSE error_message END,
        ocr_claim_id = NULL,
        updated_at = clock_timestamp()
    WHERE id = %(document_id)s
      AND status_id + 0 = 6
      AND ocr_claim_id = %(token)s
    -- a document that was only to be read again keeps its text: a trigger has set it to 5
    RETURNING ocr_last_error_at, ocr_attempts >= ocr_max_attempts AND status_id <> 5 AS exhausted
)
UPDATE ocr_attempt
SET finished_at = failed.ocr_last_error_at,
    outcome = 'failed',
    exhausted = failed.exhausted,
    failure_kind = %(kind)s,
    error = %(sentence)s,
    fetch_seconds = %(fetch_seconds)s,
    source_bytes = %(source_bytes)s
FROM failed
WHERE id = %(token)s
  AND outcome IS NULL
RETURNING id
"""

# The attempt is given back: what was released does not count.
_RELEASE = """
WITH mine AS MATERIALIZED (
    SELECT q.id, a.id AS token
    FROM extraction_queue AS q
    JOIN ocr_attempt AS a ON a.id = q.ocr_claim_id
    WHERE q.status_id = 6
      AND a.finished_at IS NULL
      AND (a.id = ANY(%(tokens)s) OR a.run_id = %(run_id)s OR a.worker_instance = %(instance)s)
    ORDER BY a.id
    FOR UPDATE OF q
),
released AS (
    UPDATE extraction_queue AS q
    SET status_id = 3,
        ocr_attempts = GREATEST(q.ocr_attempts - 1, 0),
        ocr_worker_id = NULL,
        ocr_started_at = NULL,
        ocr_claim_id = NULL,
        updated_at = clock_timestamp()
    FROM mine
    WHERE q.id = mine.id
    RETURNING mine.token
)
UPDATE ocr_attempt AS a
SET finished_at = clock_timestamp(),
    outcome = 'released',
    error = %(reason)s
FROM released
WHERE a.id = released.token
  AND a.outcome IS NULL
RETURNING a.id
"""

_OUTCOME = """
SELECT outcome
FROM ocr_attempt
WHERE id = %(token)s
"""

# It ended when somebody else began, if that is known: attempts of a document never overlap.
_CLOSE_SUPERSEDED = """
UPDATE ocr_attempt AS a
SET finished_at = COALESCE(
        (SELECT q.ocr_started_at FROM extraction_queue AS q WHERE q.id = a.queue_id AND q.ocr_started_at > a.claimed_at),
        clock_timestamp()
    ),
    outcome = 'superseded'
WHERE a.id = %(token)s
  AND a.outcome IS NULL
"""


def claim_documents(
    connection: Connection,
    *,
    limit: int,
    sources: Sequence[str],
    worker_id: str,
    run_id: str | None,
    lease: timedelta,
    instance: UUID | None = None,
    front: QueueFront | None = None,
) -> list[Claim]:
    """Claim up to `limit` documents, highest priority first, then oldest; an empty list when none is ready.

    The attempt counts from here on, so that a document that kills its worker runs out of attempts.

    Args:
        connection: outside any transaction.
        limit: documents, at least 1.
        sources: enabled document sources.
        worker_id: `OCR_WORKER_ID`.
        run_id: the Dagster run, or None outside Dagster.
        lease: how long the claim holds without a renewal.
        instance: the process that claims, so that it can give back what it does not know of.
        front: where the worker's last claim ended, and the next may begin for a moment; without it, and whenever that
            does not fill the claim, at the head of the queue.
    """
    arguments = {
        "limit": limit,
        "sources": list(sources),
        "worker_id": worker_id,
        "run_id": run_id,
        "lease": lease,
        "instance": instance,
    }
    behind = front.behind if front else None
    claimed: list[Claim] = []
    if behind is not None:
        claimed = _claim(connection, claim_statement(sources, behind=True), {**arguments, "behind": behind})
    from_head = len(claimed) < limit
    if from_head:
        claimed += _claim(connection, claim_statement(sources), {**arguments, "limit": limit - len(claimed)})
    if len(claimed) < limit and _write_missing_maxima(connection, sources):
        claimed += _claim(connection, claim_statement(sources), {**arguments, "limit": limit - len(claimed)})
    if front:
        front.note_claims(claimed, limit=limit, from_head=from_head)
    return claimed


def _claim(connection: Connection, statement: sql.Composed, arguments: Mapping[str, object]) -> list[Claim]:
    with short_statement(connection), connection.cursor(row_factory=class_row(Claim)) as cursor:
        return cursor.execute(statement, arguments).fetchall()


def _write_missing_maxima(connection: Connection, sources: Sequence[str]) -> int:
    with short_statement(connection):
        return connection.execute(WRITE_MISSING_MAXIMA, {"sources": list(sources)}).rowcount


def claimable(source: str) -> sql.Composed:
    """Return the condition of a source's claimable rows, backoff aside, in the form that its claim index serves."""
    return CLAIMABLE.format(source=sql.Literal(DocumentSource(source).value))


def claim_statement(sources: Sequence[str], *, behind: bool = False) -> sql.Composed:
    """Return the claim for these sources; each must be one that is OCRed.

    `behind` begins it behind the document `%(behind)s`, among those of its priority that were never read.

    Raises:
        ValueError: a source that is not in `DocumentSource`, or drawings.
    """
    known = [DocumentSource(source) for source in sources]
    if not known or DocumentSource.PLAN_CADASTRAUX in known:
        raise ValueError("OCR reads the sources index and acte; drawings are never OCRed")
    place = _BEHIND if behind else _ANYWHERE
    picks: dict[str, sql.Composable] = {
        source.value: _PICK.format(claimable=claimable(source), place=place) for source in known
    }
    if not behind:
        picks["again"] = _PICK_AGAIN
    steps = [sql.SQL("pick_{} AS MATERIALIZED ({})").format(sql.SQL(name), pick) for name, pick in picks.items()]
    candidates = [sql.SQL("SELECT * FROM pick_{}").format(sql.SQL(name)) for name in picks]
    return _CLAIM.format(picks=sql.SQL(",\n").join(steps), candidates=sql.SQL(" UNION ALL ").join(candidates))


def renew(connection: Connection, tokens: Collection[int], lease: timedelta) -> set[int]:
    """Extend the leases of these claims from now; return the tokens that are still held. The others are lost."""
    with short_statement(connection), connection.cursor(row_factory=scalar_row) as cursor:
        return set(cursor.execute(_RENEW, {"tokens": list(tokens), "lease": lease}).fetchall())


def succeed(connection: Connection, claim: Claim, reading: Reading) -> bool:
    """Record the text. False, and nothing changed, when the claim is no longer held.

    Raises:
        OutcomeRefused: the database will not store this text, now or later.
    """
    return claim.token in succeed_together(connection, [(claim, reading)])


def succeed_together(connection: Connection, outcomes: Sequence[tuple[Claim, Reading]]) -> set[int]:
    """Record texts that are there at the same time with one commit; return the tokens whose claims were still held.

    For the others nothing has changed.

    Raises:
        OutcomeRefused: the database will not store one of these texts, now or later; none was recorded.
    """
    claims = [claim for claim, _ in outcomes]
    readings = [reading for _, reading in outcomes]
    arguments = {
        "tokens": [claim.token for claim in claims],
        "document_ids": [claim.document_id for claim in claims],
        "texts": [reading.text for reading in readings],
        "pages": [reading.pages for reading in readings],
        "mean_confidences": [reading.mean_confidence for reading in readings],
        "fetch_seconds": [reading.fetch_seconds for reading in readings],
        "ocr_seconds": [reading.ocr_seconds for reading in readings],
        "source_bytes": [reading.source_bytes for reading in readings],
        "engines": [reading.engine for reading in readings],
        "pages_blank": [reading.pages_blank for reading in readings],
        "pages_text_layer": [reading.pages_text_layer for reading in readings],
        "pages_damaged": [reading.pages_damaged for reading in readings],
        "pages_failed": [reading.pages_failed for reading in readings],
        "low_confidence_shares": [reading.low_confidence_share for reading in readings],
        "passes": [reading.passes for reading in readings],
    }
    accepted = _accepted(connection, _SUCCEED, arguments)
    late = [claim for claim in claims if claim.token not in accepted]
    return accepted | {claim.token for claim in late if _had_ended_so(connection, claim, "succeeded")}


def fail(
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
) -> bool:
    """Record why the document could not be read. False, and nothing changed, when the claim is no longer held.

    Args:
        connection: outside any transaction.
        claim: the claim that ends.
        failure: its kind and sentence; not retryable means exhausted at once.
        error: the text for `ocr_error`.
        fetch_seconds: what fetching took; 0 if it did not come to that.
        source_bytes: how large the document was; 0 if it did not come here.
        retry_base_seconds: the first wait; it doubles with each attempt, give or take half.
        mirror_errors: whether `error_message` gets the same text.
        exhausted_status: 3, or 4 for installations that want that.
    """
    arguments = {
        "document_id": claim.document_id,
        "token": claim.token,
        "kind": failure.kind,
        "sentence": failure.sentence,
        "error": error,
        "retryable": failure.retryable,
        "retry_base_seconds": retry_base_seconds,
        "max_backoff_seconds": MAX_BACKOFF_SECONDS,
        "mirror": mirror_errors,
        "exhausted_status": exhausted_status,
        "fetch_seconds": fetch_seconds,
        "source_bytes": source_bytes,
    }
    return claim.token in _accepted(connection, _FAIL, arguments) or _had_ended_so(connection, claim, "failed")


def release(connection: Connection, tokens: Collection[int], *, reason: str) -> int:
    """Give these claims back with their attempts; return how many were still held."""
    return _release(connection, reason, tokens=tokens)


def release_run(connection: Connection, run_id: str, *, reason: str) -> int:
    """Give back whatever a Dagster run still holds; return how many claims that was."""
    return _release(connection, reason, run_id=run_id)


def release_instance(connection: Connection, instance: UUID, *, reason: str) -> int:
    """Give back whatever a process still holds, whether it knows of it or not; return how many claims that was."""
    return _release(connection, reason, instance=instance)


def _release(
    connection: Connection,
    reason: str,
    *,
    tokens: Collection[int] = (),
    run_id: str | None = None,
    instance: UUID | None = None,
) -> int:
    arguments = {"tokens": list(tokens), "run_id": run_id, "instance": instance, "reason": reason}
    with short_statement(connection):
        return len(connection.execute(_RELEASE, arguments).fetchall())


def _accepted(connection: Connection, statement: str, arguments: Mapping[str, object]) -> set[int]:
    """Run a statement that ends claims; return the tokens of those that it ended."""
    try:
        with connection.cursor(row_factory=scalar_row) as cursor:
            with short_statement(connection):
                cursor.execute(statement, arguments)
            return set(cursor.fetchall())
    except psycopg.Error as error:
        if is_passing(error):
            raise
        constraint = f", constraint {error.diag.constraint_name}" if error.diag.constraint_name else ""
        refusal = f"The database refuses to store the outcome (SQLSTATE {error.sqlstate}{constraint})."
    except UnicodeError:
        refusal = "The text cannot be stored as UTF-8."
    # raised here, where the driver's error is no longer at hand: it can repeat the row with its text
    raise OutcomeRefused(refusal)


def _had_ended_so(connection: Connection, claim: Claim, outcome: str) -> bool:
    """Whether a claim that is no longer held had ended with this outcome; otherwise it is too late, and it is closed.

    When the answer of an earlier try was lost, the row has moved on already, and its attempt says with which outcome.
    """
    with short_transaction(connection):
        row = connection.execute(_OUTCOME, {"token": claim.token}).fetchone()
        if row is not None and row[0] == outcome:
            return True
        connection.execute(_CLOSE_SUPERSEDED, {"token": claim.token})
        return False
