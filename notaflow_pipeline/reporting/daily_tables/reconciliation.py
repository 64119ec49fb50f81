"""Compares the daily tables of a day with a second count of its attempts.

The count is written in SQL and shares no code with `daily`, which counts in pandas: a mistake in either one shows as a
difference. It is kept beside the tests of `daily` because it also finds attempts or tables that were changed later.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from math import isclose
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row

# The day is the date of an instant in the time zone; a slightly wider window is added so that the index is used. Values that
# attempts from before migration 018 lack are found by joins.
_ATTEMPTS = """
WITH attempt AS MATERIALIZED (
    SELECT a.queue_id, a.outcome, a.attempt_number, a.pages, a.characters,
           a.mean_confidence::double precision AS mean_confidence, a.coverage::double precision AS coverage,
           CASE WHEN a.document_source IS NULL OR a.document_source = 'all' THEN 'unknown' ELSE a.document_source END
               AS source,
           COALESCE(a.failure_kind, 'unknown') AS kind,
           EXTRACT(EPOCH FROM a.finished_at - a.claimed_at)::double precision AS duration,
           CASE
               WHEN waited_since > a.claimed_at THEN 0
               WHEN waited_since = '-infinity' THEN NULL
               ELSE EXTRACT(EPOCH FROM a.claimed_at - waited_since)::double precision
           END AS wait,
           a.outcome <> 'succeeded' AND CASE
               WHEN a.exhausted IS NOT NULL THEN a.exhausted
               WHEN round.queue_id IS NOT NULL THEN TRUE
               WHEN q.id IS NULL OR q.status_id IS NULL THEN a.attempt_number >= 3
               ELSE q.status_id <> 5 AND a.attempt_number >= COALESCE(q.ocr_max_attempts, 3)
           END AS exhausted
    FROM ocr_attempt AS a
    LEFT JOIN extraction_queue AS q
        ON q.id = a.queue_id AND (a.ready_at IS NULL OR a.exhausted IS NULL AND a.outcome <> 'succeeded')
    LEFT JOIN LATERAL (
        SELECT r.queue_id
        FROM ocr_round AS r
        WHERE r.queue_id = a.queue_id AND r.attempts_before = a.attempt_number AND a.exhausted IS NULL
        LIMIT 1
    ) AS round ON TRUE
    LEFT JOIN LATERAL (
        SELECT earlier.finished_at
        FROM ocr_attempt AS earlier
        WHERE earlier.queue_id = a.queue_id AND earlier.finished_at <= a.claimed_at AND a.ready_at IS NULL
        ORDER BY earlier.finished_at DESC
        LIMIT 1
    ) AS previous ON TRUE
    CROSS JOIN LATERAL (
        SELECT CASE WHEN a.ready_at IS NULL THEN GREATEST(q.created_at, previous.finished_at) ELSE a.ready_at END
            AS waited_since
    ) AS ready
    WHERE a.finished_at >= %(day)s::date::timestamp AT TIME ZONE %(timezone)s - interval '1 hour'
      AND a.finished_at < (%(day)s::date + 1)::timestamp AT TIME ZONE %(timezone)s + interval '1 hour'
      AND (a.finished_at AT TIME ZONE %(timezone)s)::date = %(day)s
      AND a.outcome NOT IN ('released', 'superseded')
)
"""

_RECOUNT = {
    "ocr_daily_performance": """
SELECT COALESCE(source, 'all') AS document_source,
       count(DISTINCT queue_id) AS documents,
       COALESCE(sum(pages), 0) AS pages,
       COALESCE(sum(characters), 0) AS characters,
       avg(duration) AS duration_seconds_avg,
       min(duration) AS duration_seconds_min,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY duration) AS duration_seconds_p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY duration) AS duration_seconds_p95,
       max(duration) AS duration_seconds_max,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY wait) AS wait_seconds_p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY wait) AS wait_seconds_p95,
       avg(attempt_number) AS attempts_avg,
       60 * COALESCE(sum(pages), 0) / NULLIF(sum(duration), 0) AS pages_per_minute,
       avg(mean_confidence) AS mean_confidence,
       count(DISTINCT queue_id) FILTER (WHERE mean_confidence < %(low_confidence)s) AS low_confidence_documents,
       avg(coverage) AS mean_coverage,
       count(DISTINCT queue_id) FILTER (WHERE coverage < %(low_coverage)s) AS low_coverage_documents
FROM attempt
WHERE outcome = 'succeeded'
GROUP BY GROUPING SETS ((source), ())
""",
    "ocr_daily_failure_rate": """
SELECT counted.*,
       failures::double precision / NULLIF(attempts, 0) AS attempt_failure_rate,
       documents_exhausted::double precision / NULLIF(documents_finished, 0) AS document_failure_rate,
       (2 * failures + z2 - z * sqrt(z2 + 4.0 * failures * (1 - failures / NULLIF(attempts, 0)::double precision)))
           / NULLIF(2 * (attempts + z2), 2 * z2) AS failure_rate_low,
       (2 * failures + z2 + z * sqrt(z2 + 4.0 * failures * (1 - failures / NULLIF(attempts, 0)::double precision)))
           / NULLIF(2 * (attempts + z2), 2 * z2) AS failure_rate_high
FROM (
    SELECT COALESCE(source, 'all') AS document_source,
           count(*) AS attempts,
           count(*) FILTER (WHERE outcome = 'failed') AS attempts_failed,
           count(*) FILTER (WHERE outcome = 'stuck') AS attempts_stuck,
           count(*) FILTER (WHERE outcome IN ('failed', 'stuck')) AS failures,
           count(DISTINCT queue_id) FILTER (WHERE outcome = 'succeeded' OR exhausted) AS documents_finished,
           count(DISTINCT queue_id) FILTER (WHERE exhausted) AS documents_exhausted
    FROM attempt
    GROUP BY GROUPING SETS ((source), ())
) AS counted,
(SELECT 1.959963984540054::double precision AS z, 1.959963984540054::double precision ^ 2 AS z2) AS normal
""",
    "ocr_daily_failures_by_kind": """
SELECT COALESCE(source, 'all') AS document_source, kind AS failure_kind, count(*) AS attempts,
       count(DISTINCT queue_id) AS documents
FROM attempt
WHERE outcome IN ('failed', 'stuck')
GROUP BY GROUPING SETS ((source, kind), (kind))
""",
}

_KEYS = {
    "ocr_daily_performance": ("document_source",),
    "ocr_daily_failure_rate": ("document_source",),
    "ocr_daily_failures_by_kind": ("document_source", "failure_kind"),
}

_COUNTS = {"documents", "attempts"}
"""Columns that decide whether a row that is missing on one side should exist."""

_STORED = sql.SQL("""
SELECT *
FROM {table}
WHERE day = %(day)s
""")


@dataclass(frozen=True)
class Difference:
    """A figure that differs between table and attempts; None where the row is missing on that side."""

    day: date
    table: str
    row: str
    column: str
    stored: object
    counted: object


def find_daily_differences(
    connection: Connection, day: date, *, timezone: str, low_confidence: float, low_coverage: float
) -> Iterator[Difference]:
    """Yield the figures in which the tables of a day differ from its attempts.

    A source without attempts may have no row, or one that says so. Arguments are those of `daily_storage.write_day`.
    """
    arguments = {"day": day, "timezone": timezone, "low_confidence": low_confidence, "low_coverage": low_coverage}
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = '10min'")
        for table, count in _RECOUNT.items():
            counted = {_key(table, row): row for row in cursor.execute(_ATTEMPTS + count, arguments)}
            statement = _STORED.format(table=sql.Identifier(table))
            stored = {_key(table, row): row for row in cursor.execute(statement, arguments)}
            for key in sorted(counted.keys() | stored.keys()):
                for column, is_stored, is_counted in _unequal(stored.get(key), counted.get(key)):
                    yield Difference(day, table, ", ".join(key), column, is_stored, is_counted)


def _key(table: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row[column] for column in _KEYS[table])


def _unequal(
    stored: Mapping[str, Any] | None, counted: Mapping[str, Any] | None
) -> Iterator[tuple[str, object, object]]:
    if stored is None or counted is None:
        # a source whose attempts all failed has a row of performance with 0
        figures = stored or counted or {}
        yield from (
            (column, None if stored is None else value, None if counted is None else value)
            for column, value in figures.items()
            if column in _COUNTS and value
        )
        return
    for column in sorted(stored.keys() & counted.keys()):
        if not _equal(stored[column], counted[column]):
            yield column, stored[column], counted[column]


def _equal(stored: Any, counted: Any) -> bool:
    if isinstance(stored, float) and counted is not None:
        return isclose(stored, float(counted), rel_tol=1e-9, abs_tol=1e-9)  # sums run in another order
    return bool(stored == counted)
