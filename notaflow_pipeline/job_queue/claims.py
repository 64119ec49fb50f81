"""Claims documents for OCR.

A claim is one short transaction; times are those of the database. `lease_renewal` renews claims, `outcomes` and `releases`
end them.

Statements about known rows must use the primary keys. The planner prefers the partial indexes of rows at 6 and of open
attempts, because they look smaller, but they keep an entry for each row that vacuum could not yet remove. The conditions
`status_id + 0 = 6` and `outcome IS NULL` (by a constraint the same as `finished_at IS NULL`) keep it from using them.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from uuid import UUID

import psycopg
from psycopg import Connection, sql
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.job_queue.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.database.sessions import short_statement
from notaflow_pipeline.job_queue.model import Claim, DocumentSource, storable
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch

# Status and source are literals, the condition on attempts is written as in the index, and the order ends in id: otherwise
# the planner does not use idx_extraction_queue_ocr_next_<source>, which has no exhausted row and none in backoff. The last
# condition excludes rows with NULL attempts and a maximum of 0, which the index contains.
CLAIMABLE = sql.SQL("""status_id = 3
      AND document_source = {source}
      AND file_content IS NULL
      AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts)
      AND COALESCE(ocr_attempts, 0) < ocr_max_attempts""")

# comparisons with NULL exclude these rows from every list; locked rows follow with the next claim
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
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE extraction_queue AS q
SET ocr_max_attempts = GREATEST(3, q.ocr_attempts),
    ocr_attempts = COALESCE(q.ocr_attempts, 0),
    updated_at = clock_timestamp()
FROM without_maximum
WHERE q.id = without_maximum.id
RETURNING q.id
"""

MAX_TOKENS_SKIPPED = 10_000_000
"""If the sequence is further behind, its owner has to set it: skipping a million numbers takes about a second."""

TOKENS_SKIPPED_AT_ONCE = 1_000_000


def claim_documents(
    connection: Connection,
    *,
    limit: int,
    sources: Sequence[str],
    worker_id: str,
    run_id: str | None,
    lease: timedelta,
    instance: UUID | None = None,
    position: ClaimPosition | None = None,
) -> list[Claim]:
    """Claim up to `limit` documents, highest priority first, then oldest; an empty list when none is ready.

    Documents to be reread follow after all that were never read. The attempt is counted at the claim, so that a document
    that kills its worker runs out of attempts.

    Args:
        connection: outside any transaction.
        limit: documents, at least 1.
        sources: enabled document sources.
        worker_id: `OCR_WORKER_ID`.
        run_id: the Dagster run, or None outside Dagster.
        lease: how long the claim holds without a renewal.
        instance: identifies the claiming process, so that it can release claims whose commit it did not see.
        position: where the worker's last claim ended, from which the next claim may continue; without it, or if too few
            documents follow, the claim starts at the head of the queue.

    Raises:
        SchemaMismatch: the token sequence is too far behind the table for a worker to advance it.
    """
    arguments = {
        "worker_id": storable(worker_id),
        "run_id": run_id and storable(run_id),
        "lease": lease,
        "instance": instance,
    }
    enabled = tuple(sources)
    claimed: list[Claim] = []

    def claim(statement: bytes, **more: object) -> None:
        claimed.extend(_claim(connection, statement, {**arguments, **more}))

    after = position.after if position else None
    if after is not None:
        claim(claim_statement(enabled, limit, after=True), after=after)
    from_head = len(claimed) < limit
    if from_head:
        _end_backoff(connection)
        claim(claim_statement(enabled, limit - len(claimed)))
    if len(claimed) < limit and _write_missing_maxima(connection, sources):
        claim(claim_statement(enabled, limit - len(claimed)))
    if position:
        position.note_claims(claimed, limit=limit, from_head=from_head)
    if len(claimed) < limit:
        claim(reread_statement(enabled, limit - len(claimed)))
    return claimed


def _claim(connection: Connection, statement: bytes, arguments: dict[str, object]) -> list[Claim]:
    """Run one claim; a second time if the token sequence was behind the table."""
    try:
        return _claim_once(connection, statement, arguments)
    except psycopg.errors.UniqueViolation as used:
        if used.diag.constraint_name != "ocr_attempt_pkey":
            raise
    _skip_used_tokens(connection)
    return _claim_once(connection, statement, arguments)


# a sequence restored from an older state returns existing tokens; a worker's role may not set it, but may use it
_COUNT_USED_TOKENS = """
SELECT (SELECT max(id) FROM ocr_attempt) - nextval('ocr_attempt_id_seq')
"""

_SKIP_TOKENS = """
SELECT count(nextval('ocr_attempt_id_seq'))
FROM generate_series(1, %(count)s)
"""


def _skip_used_tokens(connection: Connection) -> None:
    with short_statement(connection), connection.cursor(row_factory=scalar_row) as cursor:
        behind = int(cursor.execute(_COUNT_USED_TOKENS).fetchone() or 0)
    if behind > MAX_TOKENS_SKIPPED:
        raise SchemaMismatch(
            f"the sequence ocr_attempt_id_seq is {behind} numbers behind ocr_attempt.id, so that no document can be claimed; "
            "its owner has to set it to the largest id with setval()"
        )
    for skipped in range(0, behind, TOKENS_SKIPPED_AT_ONCE):
        with short_statement(connection):
            connection.execute(_SKIP_TOKENS, {"count": min(TOKENS_SKIPPED_AT_ONCE, behind - skipped)})


def _claim_once(connection: Connection, statement: bytes, arguments: dict[str, object]) -> list[Claim]:
    with short_statement(connection), connection.cursor(row_factory=class_row(Claim)) as cursor:
        return cursor.execute(statement, arguments).fetchall()


# Rows in backoff have their own index, so that a claim does not read them. Locked rows follow with the next claim; at most a
# thousand at once, so that the statement stays short when many failures are due together.
_END_BACKOFF = """
WITH due AS MATERIALIZED (
    SELECT id
    FROM extraction_queue
    WHERE status_id = 3
      AND file_content IS NULL
      AND ocr_next_attempt_at <= clock_timestamp()
    ORDER BY ocr_next_attempt_at
    LIMIT 1000
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE extraction_queue AS q
SET ocr_next_attempt_at = NULL,
    updated_at = clock_timestamp()
FROM due
WHERE q.id = due.id
"""


def _end_backoff(connection: Connection) -> None:
    with short_statement(connection):
        connection.execute(_END_BACKOFF)


def _write_missing_maxima(connection: Connection, sources: Sequence[str]) -> int:
    with short_statement(connection):
        return connection.execute(WRITE_MISSING_MAXIMA, {"sources": list(sources)}).rowcount


def claimable(source: str) -> sql.Composed:
    """Return the condition of a source's claimable rows without that on backoff, in the form of its claim index."""
    return CLAIMABLE.format(source=sql.Literal(DocumentSource(source).value))


_PICK = sql.SQL("""
    SELECT id, ocr_priority, created_at
    FROM extraction_queue
    WHERE {claimable}
      AND {place}
      AND ocr_next_attempt_at IS NULL
      AND NOT EXISTS (SELECT FROM ocr_pause)
    ORDER BY ocr_priority DESC, created_at, id
    LIMIT {limit}
    FOR NO KEY UPDATE OF extraction_queue SKIP LOCKED
""")

_FROM_START = sql.SQL("TRUE")

# one priority only, so that the index scan can start in the middle; no row if that document was deleted
_AFTER = sql.SQL("""ocr_priority = (SELECT last.ocr_priority FROM extraction_queue AS last WHERE last.id = %(after)s)
      AND (created_at, id) > (
          (SELECT last.created_at FROM extraction_queue AS last WHERE last.id = %(after)s),
          %(after)s
      )""")


@lru_cache
def claim_statement(sources: tuple[str, ...], limit: int, *, after: bool = False) -> bytes:
    """Return the claim of up to `limit` documents of these sources that were never read.

    With `after` it starts after the document `%(after)s`, among documents of the same priority.

    Raises:
        ValueError: a source that is not in `DocumentSource`, or drawings.
    """
    known = [DocumentSource(source) for source in sources]
    if not known or DocumentSource.PLAN_CADASTRAUX in known:
        raise ValueError("OCR reads the sources index and acte; drawings are never OCRed")
    place = _AFTER if after else _FROM_START
    return _claim_of(
        {
            source.value: _PICK.format(claimable=claimable(source), place=place, limit=sql.Literal(limit))
            for source in known
        },
        limit,
    )


_PICK_REREAD = sql.SQL("""
    SELECT id, ocr_priority, created_at
    FROM extraction_queue
    WHERE status_id = 5
      AND ocr_reread_requested_at IS NOT NULL
      AND document_source = ANY({sources})
      AND ocr_attempts < ocr_max_attempts
      AND (ocr_next_attempt_at IS NULL OR ocr_next_attempt_at <= clock_timestamp())
      AND NOT EXISTS (SELECT FROM ocr_pause)
    ORDER BY ocr_priority DESC, created_at, id
    LIMIT {limit}
    FOR NO KEY UPDATE OF extraction_queue SKIP LOCKED
""")


@lru_cache
def reread_statement(sources: tuple[str, ...], limit: int) -> bytes:
    """Return the claim of up to `limit` finished documents of these sources that are to be reread."""
    pick = _PICK_REREAD.format(sources=sql.Literal(list(sources)), limit=sql.Literal(limit))
    return _claim_of({"reread": pick}, limit)


# MATERIALIZED, because a LIMIT in a joined subquery may otherwise run more than once. The limit is a literal, so that a
# cached plan is as good as a new one.
# picked: assigns tokens in the order of the queue. One instant for the end of the old attempt and the start of the new one,
# because the order of the following statements is not defined; never before the last attempt, even if the clock steps back.
# superseded: another program took the row from its worker; that attempt ends here.
# opened: counts superseded, so that the old attempt ends before the unique index on open attempts sees the new one.
_CLAIM = sql.SQL("""
WITH {picks},
picked AS MATERIALIZED (
    SELECT first.id, nextval('ocr_attempt_id_seq') AS token,
           GREATEST(clock_timestamp(), before.ended_at) AS now, before.ready_at
    FROM ({first}) AS first
    CROSS JOIN LATERAL (
        SELECT max(COALESCE(a.finished_at, a.claimed_at)) AS ended_at,
               GREATEST(max(COALESCE(a.finished_at, 'infinity')), max(a.retry_at)) AS ready_at
        FROM ocr_attempt AS a
        WHERE a.queue_id = first.id
    ) AS before
),
superseded AS (
    UPDATE ocr_attempt AS a
    SET finished_at = picked.now,
        outcome = 'superseded'
    FROM picked
    WHERE a.queue_id = picked.id
      AND a.outcome IS NULL
    RETURNING a.queue_id
),
claimed AS (
    UPDATE extraction_queue AS q
    SET status_id = 6,
        ocr_claim_id = picked.token,
        ocr_worker_id = %(worker_id)s,
        ocr_started_at = picked.now,
        ocr_completed_at = NULL,
        ocr_attempts = GREATEST(q.ocr_attempts, 0) + 1,
        ocr_max_attempts = COALESCE(q.ocr_max_attempts, 3),
        ocr_next_attempt_at = NULL,
        updated_at = clock_timestamp()
    FROM picked
    WHERE q.id = picked.id
    RETURNING q.ocr_claim_id AS token, q.id AS document_id, q.document_number, q.document_source, q.supabase_path,
              q.ocr_attempts AS attempt_number, q.ocr_max_attempts AS max_attempts, q.ocr_started_at,
              GREATEST(q.created_at, q.ocr_reread_requested_at, picked.ready_at) AS waited_since
),
opened AS (
    INSERT INTO ocr_attempt (id, queue_id, attempt_number, document_source, worker_id, run_id, worker_instance, claimed_at,
                             lease_expires_at, ready_at)
    SELECT token, document_id, attempt_number, document_source, %(worker_id)s, %(run_id)s, %(instance)s, ocr_started_at,
           clock_timestamp() + %(lease)s,
           LEAST(ocr_started_at, GREATEST(
               waited_since,
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


def _claim_of(picks: dict[str, sql.Composed], limit: int) -> bytes:
    steps = [sql.SQL("pick_{} AS MATERIALIZED ({})").format(sql.SQL(name), pick) for name, pick in picks.items()]
    chosen: sql.Composable = sql.SQL(" UNION ALL ").join(
        [sql.SQL("SELECT * FROM pick_{}").format(sql.SQL(name)) for name in picks]
    )
    if len(picks) > 1:
        chosen = sql.SQL("SELECT * FROM ({}) AS one ORDER BY ocr_priority DESC, created_at, id LIMIT {}").format(
            chosen, sql.Literal(limit)
        )
    return _CLAIM.format(picks=sql.SQL(",\n").join(steps), first=chosen).as_bytes(None)
