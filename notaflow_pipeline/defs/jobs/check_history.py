"""Removes old check results and observations from Dagster's tables where a newer one exists.

Dagster removes a run's events with the run, but never what no run recorded (`health_sensor` records some 200 results a day,
`queue_observation_sensor` 144 observations), nor the row in the checks' own table.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text

ROWS_AT_ONCE = 1000
"""Results or observations that one transaction removes."""

# Removed: results without a run, and those of deleted runs. Kept: the newest of each check, which the UI and the next
# evaluation need. The time is naive and UTC, as Dagster writes it.
_PRUNE_CHECKS = """
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
    LIMIT :limit
),
executions AS (
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


# Observations that no run recorded, but for the newest, which the asset's page shows.
_PRUNE_OBSERVATIONS = """
WITH old AS MATERIALIZED (
    SELECT e.id
    FROM event_logs AS e
    WHERE e.dagster_event_type = 'ASSET_OBSERVATION'
      AND e.run_id = ''
      AND e.timestamp < :before
      AND e.id < (SELECT max(newest.id) FROM event_logs AS newest WHERE newest.dagster_event_type = 'ASSET_OBSERVATION')
    ORDER BY e.id
    LIMIT :limit
),
removed AS (
    DELETE FROM event_logs AS l
    USING old
    WHERE l.id = old.id
)
SELECT count(*)
FROM old
"""


@dataclass(frozen=True)
class EventPruningResult:
    """How many check results or observations were removed, and whether that was all."""

    count: int
    complete: bool


def prune_check_history(connection: Connection, before: datetime, *, seconds: float) -> EventPruningResult:
    """Remove old check results that were followed by newer ones, in short transactions.

    Args:
        connection: to the schema of Dagster's tables, in autocommit.
        before: results from then on stay; aware.
        seconds: after which no further transaction is begun; the next night continues.
    """
    return _prune(connection, _PRUNE_CHECKS, before, seconds)


def prune_observations(connection: Connection, before: datetime, *, seconds: float) -> EventPruningResult:
    """Remove old observations that no run recorded; arguments as in `prune_check_history`."""
    return _prune(connection, _PRUNE_OBSERVATIONS, before, seconds)


def _prune(connection: Connection, statement: str, before: datetime, seconds: float) -> EventPruningResult:
    deadline = time.monotonic() + seconds
    removed = 0
    arguments = {"before": before.astimezone(UTC).replace(tzinfo=None), "limit": ROWS_AT_ONCE}
    while True:
        count = int(connection.execute(text(statement), arguments).scalar_one())
        removed += count
        if count < ROWS_AT_ONCE:
            return EventPruningResult(removed, complete=True)
        if time.monotonic() > deadline:
            return EventPruningResult(removed, complete=False)
