"""Is the queue what it promises to be? The contract's invariants (section 5) as SQL that returns what breaks them.

Used by an asset check in the product and as the judge of the tests. Reads only. The daily tables (h) are judged beside
them, in `reporting`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import Connection

from notaflow_pipeline.queue.database import scanning

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
"""Before every attempt."""

# name -> (what is promised, the rows that break it as (document, what is wrong)); %(sources)s are the enabled sources,
# %(since)s the time since which attempts are looked at
INVARIANTS: dict[str, tuple[str, str]] = {
    "one_success_per_attempt": (
        "at most one succeeded attempt per document and attempt number",
        """
        SELECT queue_id, format('attempt %%s succeeded %%s times', attempt_number, count(*))
        FROM ocr_attempt
        WHERE outcome = 'succeeded'
          AND finished_at >= %(since)s
        GROUP BY queue_id, attempt_number
        HAVING count(*) > 1
        """,
    ),
    "text_is_the_winners": (
        "file_content is the text of the attempt that won",
        """
        SELECT q.id, format('the text is not that of attempt %%s', won.id)
        FROM extraction_queue AS q
        JOIN LATERAL (
            SELECT a.id, a.text_sha256
            FROM ocr_attempt AS a
            WHERE a.queue_id = q.id
              AND a.outcome = 'succeeded'
            ORDER BY a.id DESC
            LIMIT 1
        ) AS won ON TRUE
        WHERE q.status_id = 5
          AND q.id IN (SELECT queue_id FROM ocr_attempt WHERE finished_at >= %(since)s)
          AND sha256(convert_to(q.file_content, 'UTF8')) IS DISTINCT FROM won.text_sha256
        """,
    ),
    "attempts_are_counted": (
        "ocr_attempts equals the attempts in the history, released ones excepted",
        """
        SELECT q.id, format('ocr_attempts is %%s, the history has %%s', q.ocr_attempts, count(a.id))
        FROM extraction_queue AS q
        JOIN ocr_attempt AS a ON a.queue_id = q.id AND a.outcome IS DISTINCT FROM 'released'
        -- another program's claim enters the history when it is recovered
        WHERE NOT (q.status_id = 6 AND q.ocr_claim_id IS NULL)
          AND q.id IN (SELECT queue_id FROM ocr_attempt WHERE finished_at >= %(since)s)
        GROUP BY q.id
        HAVING q.ocr_attempts <> count(a.id)
        """,
    ),
    "attempts_stay_within_maximum": (
        "attempts never exceed the maximum",
        """
        SELECT id, format('%%s attempts of at most %%s', ocr_attempts, ocr_max_attempts)
        FROM extraction_queue
        WHERE ocr_attempts > COALESCE(ocr_max_attempts, 3)
          AND id IN (SELECT queue_id FROM ocr_attempt WHERE finished_at >= %(since)s)
        """,
    ),
    "attempts_do_not_overlap": (
        "two attempts of a document never overlap",
        """
        SELECT queue_id, format('attempt %%s was claimed before the one before it had ended', id)
        FROM (
            SELECT id, queue_id, claimed_at,
                   lag(finished_at, 1, '-infinity') OVER history AS ended_before,
                   lag(id) OVER history AS before
            FROM ocr_attempt
            WHERE queue_id IN (SELECT queue_id FROM ocr_attempt WHERE finished_at >= %(since)s)
            WINDOW history AS (PARTITION BY queue_id ORDER BY id)
        ) AS attempt
        WHERE before IS NOT NULL
          AND (ended_before IS NULL OR claimed_at < ended_before)
        """,
    ),
    "status_6_is_one_open_attempt": (
        "status 6 with a token means exactly one open attempt, and an open attempt is its row's token",
        """
        SELECT COALESCE(q.id, a.queue_id),
               CASE WHEN a.id IS NULL THEN 'at 6 with a token, but no attempt is open'
                    ELSE format('attempt %%s is open, but the row does not hold its token', a.id) END
        FROM (SELECT id, ocr_claim_id FROM extraction_queue WHERE status_id = 6 AND ocr_claim_id IS NOT NULL) AS q
        FULL JOIN (SELECT id, queue_id FROM ocr_attempt WHERE finished_at IS NULL) AS a ON a.id = q.ocr_claim_id
        WHERE q.id IS NULL
           OR a.id IS NULL
        """,
    ),
    "token_means_status_6": (
        "a row holds a token only at status 6",
        """
        SELECT id, format('holds token %%s at status %%s', ocr_claim_id, status_id)
        FROM extraction_queue
        WHERE ocr_claim_id IS NOT NULL
          AND status_id <> 6
          AND id IN (SELECT queue_id FROM ocr_attempt WHERE claimed_at >= %(since)s)
        """,
    ),
    "done_means_succeeded": (
        "status 5 after an attempt of ours means a succeeded attempt, a text, and an end after the start",
        """
        SELECT q.id, 'at 5 without a succeeded attempt, without text, or ended before it started'
        FROM extraction_queue AS q
        WHERE q.status_id = 5
          AND q.id IN (SELECT queue_id FROM ocr_attempt WHERE finished_at >= %(since)s)
          AND (
              q.file_content IS NULL
              OR (q.ocr_completed_at >= q.ocr_started_at) IS NOT TRUE
              OR NOT EXISTS (SELECT FROM ocr_attempt AS a WHERE a.queue_id = q.id AND a.outcome = 'succeeded')
          )
        """,
    ),
    "ready_rows_are_one_thing": (
        "every row at 3 is exactly one of claimable, backing off, exhausted, not for OCR",
        """
        SELECT id, format('is %%s of them', claimable::int + backing_off::int + exhausted::int + not_for_ocr::int)
        FROM (
            SELECT id, NOT not_for_ocr AND attempts < maximum AND NOT waits AS claimable,
                   NOT not_for_ocr AND attempts < maximum AND waits AS backing_off,
                   NOT not_for_ocr AND attempts >= maximum AS exhausted,
                   not_for_ocr AND NOT has_our_text AS not_for_ocr
            FROM (
                SELECT q.id,
                       COALESCE(q.ocr_attempts, 0) AS attempts,
                       COALESCE(q.ocr_max_attempts, 3) AS maximum,
                       COALESCE(q.ocr_next_attempt_at > clock_timestamp(), FALSE) AS waits,
                       q.document_source IS NULL
                           OR q.document_source <> ALL(%(sources)s)
                           OR q.file_content IS NOT NULL
                           OR COALESCE(q.ocr_max_attempts, 3) < 1 AS not_for_ocr,
                       COALESCE(sha256(convert_to(q.file_content, 'UTF8')) = (
                           SELECT a.text_sha256
                           FROM ocr_attempt AS a
                           WHERE a.queue_id = q.id
                             AND a.outcome = 'succeeded'
                           ORDER BY a.id DESC
                           LIMIT 1
                       ), FALSE) AS has_our_text
                FROM extraction_queue AS q
                WHERE q.status_id = 3
            ) AS row
        ) AS state
        WHERE claimable::int + backing_off::int + exhausted::int + not_for_ocr::int <> 1
        """,
    ),
}


@dataclass(frozen=True)
class Violation:
    """A row that breaks a promise."""

    invariant: str
    promise: str
    document_id: str
    what: str


def find_violations(
    connection: Connection, *, sources: Sequence[str], since: datetime = BEGINNING, at_most: int = 1000
) -> Iterator[Violation]:
    """Yield what breaks the queue's promises at this moment; nothing when all hold.

    One snapshot serves all questions, so work in progress is never seen half-done.

    Args:
        connection: outside any transaction.
        sources: enabled document sources.
        since: only documents with an attempt since then, so that the cost depends on the day and not on the history.
        at_most: so many for each promise.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        with scanning(connection):
            for name, (promise, broken_by) in INVARIANTS.items():
                rows = connection.execute(broken_by, {"sources": list(sources), "since": since}).fetchmany(at_most)
                for document_id, what in rows:
                    yield Violation(name, promise, str(document_id), what)
