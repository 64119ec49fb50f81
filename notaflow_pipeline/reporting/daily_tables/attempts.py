"""Reads the attempts that finished in a window, with the columns that the daily tables count. It reads one index range."""

from collections.abc import Hashable
from datetime import UTC, datetime
from io import BytesIO

import pandas as pd
from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.reporting.daily_tables.days import AttemptsPruned, Window

ATTEMPT_TYPES: dict[Hashable, str] = {
    "document": "int32",  # a number for each document of the window, to count distinct ones
    "document_source": "category",
    "outcome": "category",  # succeeded, failed or stuck
    "failure_kind": "category",  # empty for succeeded ones
    "attempt_number": "int32",
    "exhausted": "bool",
    "duration_seconds": "float64",
    "wait_seconds": "float64",  # NaN for failures, and where the start of the wait is unknown
    "pages": "int32",
    "characters": "int32",
    "mean_confidence": "float64",  # 0 to 100; NaN without words
    "coverage": "float64",  # 0 to 1; NaN where it was not measured
}
"""The columns of an attempts frame and their types: some 60 bytes a row."""

# A day of a million attempts is read by COPY, which is the fastest without a further library, and unordered: for an order by
# document the planner would read the index of all documents that ever existed. Attempts from before migration 018 have
# neither the start of their wait nor whether they exhausted their document. For these the queue's rows are read; where a row
# was deleted, the default maximum is assumed.
_READ = """
COPY (
    SELECT a.queue_id,
           COALESCE(NULLIF(a.document_source, 'all'), 'unknown'),
           a.outcome,
           CASE WHEN a.outcome <> 'succeeded' THEN COALESCE(a.failure_kind, 'unknown') ELSE '' END,
           a.attempt_number,
           CASE WHEN a.outcome = 'succeeded' THEN FALSE ELSE COALESCE(
               a.exhausted,
               EXISTS (
                   SELECT
                   FROM ocr_round AS r
                   WHERE r.queue_id = a.queue_id
                     AND r.attempts_before = a.attempt_number
               ) OR COALESCE(
                   (SELECT q.status_id <> 5 AND a.attempt_number >= COALESCE(q.ocr_max_attempts, 3)
                    FROM extraction_queue AS q
                    WHERE q.id = a.queue_id),
                   a.attempt_number >= 3
               )
           ) END,
           EXTRACT(EPOCH FROM a.finished_at - a.claimed_at)::double precision,
           -- another program may have written infinity as the creation, which cannot be subtracted
           CASE WHEN a.outcome = 'succeeded' THEN EXTRACT(EPOCH FROM a.claimed_at - (
               SELECT CASE WHEN since > a.claimed_at THEN a.claimed_at WHEN since > '-infinity' THEN since END
               FROM (SELECT COALESCE(
                   a.ready_at,
                   GREATEST(
                       (SELECT q.created_at FROM extraction_queue AS q WHERE q.id = a.queue_id),
                       (SELECT max(earlier.finished_at)
                        FROM ocr_attempt AS earlier
                        WHERE earlier.queue_id = a.queue_id
                          AND earlier.finished_at <= a.claimed_at)
                   )
               ) AS since) AS waited
           ))::double precision END,
           COALESCE(a.pages, 0),
           COALESCE(a.characters, 0),
           a.mean_confidence::double precision,
           a.coverage::double precision
    FROM ocr_attempt AS a
    WHERE a.finished_at >= %(start)s
      AND a.finished_at < %(end)s
      AND a.outcome IN ('succeeded', 'failed', 'stuck')
) TO STDOUT (FORMAT csv)
"""

_PRUNED_BEFORE = """
SELECT finished_before
FROM ocr_attempts_pruned
"""


def read_attempts(connection: Connection, window: Window) -> pd.DataFrame:
    """Return the attempts that succeeded, failed or got stuck in a window, in the columns of `ATTEMPT_TYPES`.

    Waits run from the later of creation, previous end and backoff to the claim, and are never negative.

    Args:
        connection: in a transaction with one snapshot for all its statements, or attempts may be deleted in between.
        window: when they finished.

    Raises:
        AttemptsPruned: some of them were deleted.
    """
    _require_all(connection, window)
    received = BytesIO()
    with connection.cursor() as cursor, cursor.copy(_READ, {"start": window.start, "end": window.end}) as rows:
        for part in rows:
            received.write(part)
    received.seek(0)
    attempts = pd.read_csv(
        received,
        names=list(ATTEMPT_TYPES),
        dtype=ATTEMPT_TYPES | {"document": "str"},
        true_values=["t"],
        false_values=["f"],
        keep_default_na=False,  # "NA" can be a kind of failure
        na_values={"wait_seconds": [""], "mean_confidence": [""], "coverage": [""]},
        float_precision="high",
    )
    attempts["document"] = pd.factorize(attempts["document"])[0].astype(ATTEMPT_TYPES["document"])
    # negative where the clock of another program is ahead; not in SQL, where GREATEST(0, NULL) is 0
    attempts["wait_seconds"] = attempts["wait_seconds"].clip(lower=0)
    return attempts


def pruned_before(connection: Connection) -> datetime | None:
    """Return the time before which finished attempts were deleted; None when all are there."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        time: datetime | None = cursor.execute(_PRUNED_BEFORE).fetchone()
    return time


def _require_all(connection: Connection, window: Window) -> None:
    pruned = pruned_before(connection)
    if pruned is not None and window.start < pruned:
        raise AttemptsPruned(
            f"attempts that finished before {pruned.astimezone(UTC):%Y-%m-%d %H:%M} UTC were deleted, so the tables of "
            f"{window.day} cannot be computed again; they stay as they are. Choose later days."
        )
