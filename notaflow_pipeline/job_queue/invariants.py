"""Finds rows that break the queue's invariants, and says what to do about each.

Used by an asset check, `notaflow recover` and the tests. The tests have a second set of queries, which was written
independently, so that an error in either of them shows. Only `accept_changes` writes. `reporting` compares the daily tables
with the attempts.

Other programs write the same rows. They may claim a row without a token, finish it with their own text, reset it with any
number of attempts, and delete it. A trigger records when one did (`ocr_changed_elsewhere_at`, migration 021). From then on
the row's number of attempts is not compared, nor are its text and times until the next success of this project.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg import Connection

from notaflow_pipeline.job_queue.database.sessions import long_scan, short_statement

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
"""Before every attempt."""

LOOK_BACK = timedelta(days=2)
"""The hourly check and `notaflow recover` compare the attempts of two days, so that an outage of a night hides nothing."""

MAX_ROWS = 1000
"""Rows that are named for each invariant."""

RECOVER = "`notaflow recover` repairs it, OCR_STUCK_MINUTES after its claim at the latest"

REREAD = "`notaflow reread --id ID` reads it again; if another program wrote it, `notaflow recover --accept ID` says so"

ACCEPT = (
    "`notaflow show ID` has its history; if another program changed the row, `notaflow recover --accept ID` says so"
)


@dataclass(frozen=True)
class Invariant:
    """A rule that always holds, the query for rows that break it, and what a person can do about them."""

    rule: str
    remedy: str
    violations_sql: str
    """Returns (document, what is wrong). %(sources)s are the enabled sources; attempts are compared since %(since)s."""


INVARIANTS: dict[str, Invariant] = {
    "one_success_per_attempt": Invariant(
        "at most one succeeded attempt per document and attempt number",
        ACCEPT,
        """
        SELECT q.id, format('attempt %%s succeeded %%s times', a.attempt_number, count(*))
        FROM ocr_attempt AS a
        JOIN extraction_queue AS q ON q.id = a.queue_id
        WHERE a.outcome = 'succeeded'
          AND a.finished_at >= %(since)s
          AND q.ocr_changed_elsewhere_at IS NULL
        GROUP BY q.id, a.attempt_number
        HAVING count(*) > 1
           AND (q.created_at > min(a.claimed_at)) IS NOT TRUE
        """,
    ),
    "text_matches_last_success": Invariant(
        "file_content is the text of the last succeeded attempt",
        REREAD,
        """
        SELECT q.id, format('the text is not that of attempt %%s', success.id)
        FROM extraction_queue AS q
        JOIN LATERAL (
            SELECT a.id, a.text_sha256, a.finished_at
            FROM ocr_attempt AS a
            WHERE a.queue_id = q.id
              AND a.outcome = 'succeeded'
            ORDER BY a.id DESC
            LIMIT 1
        ) AS success ON TRUE
        WHERE q.status_id = 5
          AND q.id IN (SELECT queue_id FROM ocr_attempt WHERE finished_at >= %(since)s)
          AND (q.ocr_changed_elsewhere_at IS NULL OR q.ocr_changed_elsewhere_at < success.finished_at)
          AND sha256(convert_to(q.file_content, 'UTF8')) IS DISTINCT FROM success.text_sha256
        """,
    ),
    "attempts_are_counted": Invariant(
        "ocr_attempts equals the attempts in the history, released ones excepted",
        ACCEPT,
        """
        SELECT q.id, format('ocr_attempts is %%s, the history has %%s', q.ocr_attempts, count(a.id))
        FROM extraction_queue AS q
        JOIN ocr_attempt AS a ON a.queue_id = q.id AND a.outcome IS DISTINCT FROM 'released'
        WHERE q.ocr_changed_elsewhere_at IS NULL
          AND q.id IN (SELECT queue_id FROM ocr_attempt WHERE finished_at >= %(since)s)
        GROUP BY q.id
        HAVING q.ocr_attempts <> count(a.id)
           -- deleted and inserted again with its id
           AND (q.created_at > min(a.claimed_at)) IS NOT TRUE
        """,
    ),
    "attempts_stay_within_maximum": Invariant(
        "attempts never exceed the maximum",
        ACCEPT,
        """
        SELECT id, format('%%s attempts of at most %%s', ocr_attempts, ocr_max_attempts)
        FROM extraction_queue
        WHERE ocr_attempts > COALESCE(ocr_max_attempts, 3)
          AND ocr_changed_elsewhere_at IS NULL
          AND id IN (SELECT queue_id FROM ocr_attempt WHERE finished_at >= %(since)s)
        """,
    ),
    "attempts_do_not_overlap": Invariant(
        "two attempts of a document never overlap",
        ACCEPT,
        """
        SELECT queue_id, format('attempt %%s was claimed before the one before it had ended', attempt.id)
        FROM (
            SELECT id, queue_id, claimed_at,
                   lag(finished_at, 1, '-infinity') OVER history AS ended_before,
                   lag(id) OVER history AS previous_id
            FROM ocr_attempt
            WHERE queue_id IN (SELECT queue_id FROM ocr_attempt WHERE finished_at >= %(since)s)
            WINDOW history AS (PARTITION BY queue_id ORDER BY id)
        ) AS attempt
        JOIN extraction_queue AS q ON q.id = attempt.queue_id
        WHERE previous_id IS NOT NULL
          AND (ended_before IS NULL OR claimed_at < ended_before)
          AND (q.ocr_changed_elsewhere_at > claimed_at) IS NOT TRUE
        """,
    ),
    "status_6_is_one_open_attempt": Invariant(
        "status 6 with a token means exactly one open attempt, and an open attempt is its row's token",
        RECOVER,
        """
        SELECT COALESCE(q.id, a.queue_id),
               CASE WHEN a.id IS NULL THEN 'at 6 with a token, but no attempt is open'
                    ELSE format('attempt %%s is open, but the row does not hold its token', a.id) END
        FROM (SELECT id, ocr_claim_id FROM extraction_queue WHERE status_id = 6 AND ocr_claim_id IS NOT NULL) AS q
        FULL JOIN (
            SELECT id, queue_id, lease_expires_at
            FROM ocr_attempt
            WHERE finished_at IS NULL
        ) AS a ON a.id = q.ocr_claim_id
        WHERE a.id IS NULL
           -- a row that another program has just taken: its worker or recovery ends the attempt
           OR (q.id IS NULL AND a.lease_expires_at < clock_timestamp())
        """,
    ),
    "token_means_status_6": Invariant(
        "a row holds a token only at status 6",
        ACCEPT,
        """
        SELECT id, format('holds token %%s at status %%s', ocr_claim_id, status_id)
        FROM extraction_queue
        WHERE ocr_claim_id IS NOT NULL
          AND status_id <> 6
          AND id IN (SELECT queue_id FROM ocr_attempt WHERE claimed_at >= %(since)s)
        """,
    ),
    "done_means_succeeded": Invariant(
        "status 5 after an attempt of ours means a succeeded attempt, a text, and an end after the start",
        REREAD,
        """
        SELECT q.id, 'at 5 without a succeeded attempt, without text, or ended before it started'
        FROM extraction_queue AS q
        LEFT JOIN LATERAL (
            SELECT a.id, a.finished_at
            FROM ocr_attempt AS a
            WHERE a.queue_id = q.id
              AND a.outcome = 'succeeded'
            ORDER BY a.id DESC
            LIMIT 1
        ) AS success ON TRUE
        WHERE q.status_id = 5
          AND q.id IN (SELECT queue_id FROM ocr_attempt WHERE finished_at >= %(since)s)
          AND (q.ocr_changed_elsewhere_at IS NULL OR q.ocr_changed_elsewhere_at < success.finished_at)
          AND (q.file_content IS NULL OR (q.ocr_completed_at >= q.ocr_started_at) IS NOT TRUE OR success.id IS NULL)
        """,
    ),
    "status_3_has_one_state": Invariant(
        "every row at 3 is exactly one of claimable, backing off, exhausted, not for OCR",
        RECOVER,
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
    """A row that breaks an invariant."""

    invariant: str
    rule: str
    document_id: str
    what: str
    remedy: str


def find_violations(
    connection: Connection, *, sources: Sequence[str], since: datetime = BEGINNING
) -> Iterator[Violation]:
    """Yield the rows that break an invariant at this moment.

    All queries use one snapshot, so that work in progress is never seen half-done.

    Args:
        connection: outside any transaction.
        sources: enabled document sources.
        since: only documents with an attempt since then, so that the cost depends on the day and not on the history.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        with long_scan(connection):
            for name, one in INVARIANTS.items():
                found = connection.execute(one.violations_sql, {"sources": list(sources), "since": since})
                for document_id, what in found.fetchmany(MAX_ROWS):
                    remedy = one.remedy.replace("ID", str(document_id))
                    yield Violation(name, one.rule, str(document_id), what, remedy)


_ACCEPT = """
UPDATE extraction_queue
SET ocr_changed_elsewhere_at = clock_timestamp(),
    ocr_claim_id = CASE WHEN status_id = 6 THEN ocr_claim_id END
WHERE id = ANY(%(ids)s)
"""


def accept_changes(connection: Connection, ids: Collection[UUID]) -> int:
    """Mark these rows as changed by another program, which the trigger did not notice; return how many there are."""
    with short_statement(connection):
        return connection.execute(_ACCEPT, {"ids": list(ids)}).rowcount
