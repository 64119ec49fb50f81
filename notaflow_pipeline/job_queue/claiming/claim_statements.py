"""The SQL of claims.

Statements about known rows must use the primary keys. The planner prefers the partial indexes of rows at 6 and of open
attempts, because they look smaller, but they keep an entry for each row that vacuum could not yet remove. The conditions
`status_id + 0 = 6` and `outcome IS NULL` (by a constraint the same as `finished_at IS NULL`) keep it from using them.
"""

from enum import Enum, auto
from functools import lru_cache

from psycopg import sql

from notaflow_pipeline.job_queue.model import DocumentSource


class ClaimScope(Enum):
    """The documents that a statement takes; never those of `%(left_out)s`."""

    HEAD = auto()
    """The first ones of the queue."""

    AFTER = auto()
    """The first ones after the document `%(after)s`, among those of the same priority."""

    ONLY = auto()
    """The document `%(only)s` alone."""

    CANDIDATES = auto()
    """The first ones of the queue. The statement returns their ids, and claims nothing."""


# Status and source are literals, the condition on attempts is written as in the index, and the order ends in id: otherwise
# the planner does not use idx_extraction_queue_ocr_next_<source>, which has no exhausted row and none in backoff. The last
# condition excludes rows with NULL attempts and a maximum of 0, which the index contains.
CLAIMABLE = sql.SQL("""status_id = 3
      AND document_source = {source}
      AND file_content IS NULL
      AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts)
      AND COALESCE(ocr_attempts, 0) < ocr_max_attempts""")


def claimable(source: str) -> sql.Composed:
    """Return the condition of a source's claimable rows without that on backoff, in the form of its claim index."""
    return CLAIMABLE.format(source=sql.Literal(DocumentSource(source).value))


_PICK = sql.SQL("""
    SELECT id, ocr_priority, created_at
    FROM extraction_queue
    WHERE {claimable}
      AND {scope}
      AND id <> ALL(%(left_out)s::uuid[])
      AND ocr_next_attempt_at IS NULL
      AND NOT EXISTS (SELECT FROM ocr_pause)
    ORDER BY ocr_priority DESC, created_at, id
    LIMIT {limit}
    FOR NO KEY UPDATE OF extraction_queue SKIP LOCKED
""")

_FROM_START = sql.SQL("TRUE")

_SCOPES = {
    ClaimScope.HEAD: _FROM_START,
    # one priority only, so that the index scan can start in the middle; no row if that document was deleted
    ClaimScope.AFTER: sql.SQL("""ocr_priority = (
          SELECT last.ocr_priority FROM extraction_queue AS last WHERE last.id = %(after)s
      )
      AND (created_at, id) > (
          (SELECT last.created_at FROM extraction_queue AS last WHERE last.id = %(after)s),
          %(after)s
      )"""),
    ClaimScope.ONLY: sql.SQL("id = %(only)s"),
    ClaimScope.CANDIDATES: _FROM_START,
}


@lru_cache
def claim_statement(sources: tuple[str, ...], limit: int, scope: ClaimScope = ClaimScope.HEAD) -> bytes:
    """Return the claim of up to `limit` documents of these sources that were never read.

    Raises:
        ValueError: a source that is not in `DocumentSource`, or drawings.
    """
    known = [DocumentSource(source) for source in sources]
    if not known or DocumentSource.PLAN_CADASTRAUX in known:
        raise ValueError("OCR reads the sources index and acte; drawings are never OCRed")
    picks = {
        source.value: _PICK.format(claimable=claimable(source), scope=_SCOPES[scope], limit=sql.Literal(limit))
        for source in known
    }
    return _statement_of(picks, limit, scope)


_PICK_REREAD = sql.SQL("""
    SELECT id, ocr_priority, created_at
    FROM extraction_queue
    WHERE status_id = 5
      AND ocr_reread_requested_at IS NOT NULL
      AND document_source = ANY({sources})
      AND {scope}
      AND id <> ALL(%(left_out)s::uuid[])
      AND ocr_attempts < ocr_max_attempts
      AND (ocr_next_attempt_at IS NULL OR ocr_next_attempt_at <= statement_timestamp())
      AND NOT EXISTS (SELECT FROM ocr_pause)
    ORDER BY ocr_priority DESC, created_at, id
    LIMIT {limit}
    FOR NO KEY UPDATE OF extraction_queue SKIP LOCKED
""")


@lru_cache
def reread_statement(sources: tuple[str, ...], limit: int, scope: ClaimScope = ClaimScope.HEAD) -> bytes:
    """Return the claim of up to `limit` finished documents of these sources that are to be reread."""
    pick = _PICK_REREAD.format(sources=sql.Literal(list(sources)), scope=_SCOPES[scope], limit=sql.Literal(limit))
    return _statement_of({"reread": pick}, limit, scope)


# MATERIALIZED, because a LIMIT in a joined subquery may otherwise run more than once. The limit is a literal, so that a
# cached plan is as good as a new one.
# picked: assigns tokens in the order of the queue. One instant for the end of the old attempt and the start of the new one,
# because the order of the following statements is not defined; never before the last attempt, even if the clock steps back.
# left_open, superseded: another program took the row from its worker; that attempt ends here. If another session has locked
# it, the unique index on open attempts refuses the claim of this document, and the others are claimed.
# opened: counts superseded, so that the old attempt ends before the unique index on open attempts sees the new one. A trigger
# of another program can drop the update of a row, or change the values; the NULL id then violates the primary key, and the
# statement fails like any other that the database refuses. Otherwise the row would be claimed again and again.
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
left_open AS MATERIALIZED (
    SELECT a.id, picked.now
    FROM picked
    CROSS JOIN ocr_attempt AS a
    WHERE a.queue_id = picked.id
      AND a.outcome IS NULL
    FOR NO KEY UPDATE OF a SKIP LOCKED
),
superseded AS (
    UPDATE ocr_attempt AS a
    SET finished_at = left_open.now,
        outcome = 'superseded'
    FROM left_open
    WHERE a.id = left_open.id
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
              q.ocr_attempts AS attempt_number, q.ocr_max_attempts AS max_attempts, q.ocr_started_at, q.status_id,
              GREATEST(q.created_at, q.ocr_reread_requested_at, picked.ready_at) AS waited_since
),
opened AS (
    INSERT INTO ocr_attempt (id, queue_id, attempt_number, document_source, worker_id, run_id, worker_instance, claimed_at,
                             lease_expires_at, ready_at)
    SELECT CASE WHEN status_id = 6 THEN picked.token END, document_id, attempt_number, document_source, %(worker_id)s,
           %(run_id)s, %(instance)s, ocr_started_at, clock_timestamp() + %(lease)s,
           LEAST(ocr_started_at, GREATEST(
               waited_since,
               CASE WHEN attempt_number > 1 THEN
                   (SELECT max(r.sent_at) FROM ocr_round AS r WHERE r.queue_id = document_id)
               END
           ))
    FROM picked
    LEFT JOIN claimed ON claimed.token = picked.token
    CROSS JOIN (SELECT count(*) FROM superseded) AS ended
)
SELECT token, document_id, document_number, document_source, supabase_path, attempt_number, max_attempts
FROM claimed
ORDER BY token
""")


_LIST = sql.SQL("""
WITH {picks}
SELECT id
FROM ({first}) AS first
""")


def _statement_of(picks: dict[str, sql.Composed], limit: int, scope: ClaimScope) -> bytes:
    steps = [sql.SQL("pick_{} AS MATERIALIZED ({})").format(sql.SQL(name), pick) for name, pick in picks.items()]
    chosen: sql.Composable = sql.SQL(" UNION ALL ").join(
        [sql.SQL("SELECT * FROM pick_{}").format(sql.SQL(name)) for name in picks]
    )
    if len(picks) > 1:
        chosen = sql.SQL("SELECT * FROM ({}) AS one ORDER BY ocr_priority DESC, created_at, id LIMIT {}").format(
            chosen, sql.Literal(limit)
        )
    whole = _LIST if scope is ClaimScope.CANDIDATES else _CLAIM
    return whole.format(picks=sql.SQL(",\n").join(steps), first=chosen).as_bytes(None)
