"""Says what is left when no document can be claimed and none will end by itself; `work --until-empty` would wait for ever."""

from collections.abc import Sequence
from datetime import timedelta

from psycopg import Connection

from notaflow_pipeline.job_queue.pause import current_pause
from notaflow_pipeline.job_queue.queries import QueueCounts, count_queue

MAX_WAIT = timedelta(hours=2)
"""More than the longest wait before another attempt that this project sets, `MAX_BACKOFF_SECONDS` with its jitter."""

_WILL_BE_TRIED = """
SELECT EXISTS (
    SELECT
    FROM extraction_queue
    WHERE status_id IN (3, 5)
      AND document_source = ANY(%(sources)s)
      AND ocr_next_attempt_at BETWEEN statement_timestamp() AND statement_timestamp() + %(max_wait)s
)
"""


def describe_blocked(
    connection: Connection, *, sources: Sequence[str], stuck_after: timedelta, exhausted_status: int
) -> str | None:
    """Return what is left, by state; None if a document is being read or will be tried soon, or the queue is paused.

    Reads all rows of the sources, like `count_queue`; the arguments are the same.
    """
    counts = count_queue(connection, sources=sources, stuck_after=stuck_after, exhausted_status=exhausted_status)
    arguments = {"sources": list(sources), "max_wait": MAX_WAIT}
    waits = connection.execute(_WILL_BE_TRIED, arguments).fetchone() == (True,)
    if counts.active or waits or current_pause(connection) is not None:
        return None
    return ", ".join(_left(counts)) or None


def _left(counts: QueueCounts) -> list[str]:
    reasons = {
        "ready (their rows are locked by other sessions)": counts.ready,
        "refused (a constraint, trigger or policy keeps their rows)": counts.refused,
        "stuck (recovery could not change their rows)": counts.stuck,
        f"backing off for more than {MAX_WAIT.total_seconds() / 3600:.0f} hours": counts.backing_off,
        "to reread (their rows are locked by other sessions)": counts.to_reread,
    }
    return [f"{count:,} {reason}" for reason, count in reasons.items() if count]
