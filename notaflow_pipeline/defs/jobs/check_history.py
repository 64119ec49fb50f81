"""Removes old check results from Dagster's tables where a newer one exists.

Dagster removes a run's events with the run, but never a result that no run recorded (`health_sensor` records some 200 a
day), nor the row in the checks' own table.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text

# Removed: answers without a run, and those of runs that are gone. Kept: the newest of each check, which the UI and the next
# look compare with. The time is naive and UTC, as Dagster writes it.
_PRUNE_BATCH = """
WITH old AS MATERIALIZED (
    SELECT e.id, e.evaluation_event_storage_id, e.run_id
    FROM asset_check_executions AS e
    WHERE e.evaluation_event_timestamp < :before
      AND NOT EXISTS (
            SELECT
            FROM runs AS r
            WHERE r.run_id = e.run_id
        )
      AND EXISTS (
            SELECT
            FROM asset_check_executions AS newer
            WHERE newer.asset_key = e.asset_key
              AND newer.check_name = e.check_name
              AND newer.partition IS NOT DISTINCT FROM e.partition
              AND newer.evaluation_event_storage_id > e.evaluation_event_storage_id
        )
    ORDER BY e.id
    LIMIT :batch
),
answers AS (
    DELETE FROM asset_check_executions AS e
    USING old
    WHERE e.id = old.id
),
events AS (
    DELETE FROM event_logs AS l
    USING old
    WHERE l.id = old.evaluation_event_storage_id
      AND l.run_id = ''
)
SELECT count(*)
FROM old
"""


@dataclass(frozen=True)
class PrunedResults:
    """How many answers were removed, and whether that was all."""

    answers: int
    complete: bool


def prune_check_history(
    connection: Connection, before: datetime, *, batch: int = 1000, seconds: float = 60.0
) -> PrunedResults:
    """Remove old answers of checks that were followed by newer ones, in short transactions.

    Args:
        connection: to the schema of Dagster's tables, in autocommit.
        before: answers from then on stay; aware.
        batch: answers that one transaction removes.
        seconds: after which no further batch is begun; the next night goes on.
    """
    deadline = time.monotonic() + seconds
    removed = 0
    arguments = {"before": before.astimezone(UTC).replace(tzinfo=None), "batch": batch}
    while True:
        count = int(connection.execute(text(_PRUNE_BATCH), arguments).scalar_one())
        removed += count
        if count < batch:
            return PrunedResults(removed, complete=True)
        if time.monotonic() > deadline:
            return PrunedResults(removed, complete=False)
