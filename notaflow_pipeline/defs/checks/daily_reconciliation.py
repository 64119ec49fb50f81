"""The check `daily_tables_reconciled`: the daily tables equal a recount of the attempts.

It runs after each nightly run and each backfill, and once a night by itself, because the nightly run may be missing.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from notaflow_pipeline.defs.assets.daily_tables import FAILURE_RATE, FAILURES_BY_KIND, PERFORMANCE
from notaflow_pipeline.defs.metadata_tables import metadata_table
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.reporting.daily_tables.days import day_of, window_of
from notaflow_pipeline.reporting.daily_tables.due_days import DAYS_CHECKED, GRACE
from notaflow_pipeline.reporting.daily_tables.reconciliation import Difference, find_daily_differences
from notaflow_pipeline.settings import Settings, load_settings

MAX_ROWS = 100


@dg.asset_check(
    name="daily_tables_reconciled",
    asset=FAILURE_RATE,
    additional_deps=[PERFORMANCE, FAILURES_BY_KIND],
    description=(
        "The three daily tables equal a recount of the attempts by other statements, for the days of the run or the last "
        f"{DAYS_CHECKED} whole days if the run has none. Today is left out."
    ),
)
@described_failures()
def daily_tables_reconciled(context: dg.AssetCheckExecutionContext, queue: QueueResource) -> dg.AssetCheckResult:
    """Recount the attempts, and name the differences."""
    from notaflow_pipeline.reporting.daily_tables.attempts import pruned_before  # with pandas, as in `daily`

    settings = load_settings()
    now = datetime.now(UTC)
    with queue.connection_for_a_day() as connection:
        pruned = pruned_before(connection)
        whole = [
            day
            for day in _days_to_compare(context, now, settings)
            if day < day_of(now, settings.timezone)
            and (pruned is None or pruned <= window_of(day, settings.timezone).start)
        ]
        differences = [
            one
            for day in whole
            for one in find_daily_differences(
                connection,
                day,
                timezone=settings.timezone,
                low_confidence=settings.low_confidence,
                low_coverage=settings.low_coverage,
            )
        ]
    return result(whole, differences)


def result(whole: Sequence[date], differences: Sequence[Difference]) -> dg.AssetCheckResult:
    """Return the check result for these days."""
    if not differences:
        return dg.AssetCheckResult(
            passed=True,
            description=f"{count_of(len(whole), 'whole day')} recounted, all equal.",
            metadata={"days": len(whole), "wrong_days": 0, "threshold": 0},
        )
    wrong = sorted({one.day for one in differences})
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=(
            f"The tables of {count_of(len(wrong), 'whole day')} are missing or differ from the attempts: "
            f"{wrong[0]} to {wrong[-1]}. "
            "Materialise those days; if they differ even then, another program writes the tables."
        ),
        metadata={
            "day": wrong[-1].isoformat(),
            "days": len(whole),
            "wrong_days": len(wrong),
            "threshold": 0,
            "differences": _table(differences),
        },
    )


def _days_to_compare(context: dg.AssetCheckExecutionContext, now: datetime, settings: Settings) -> list[date]:
    if context.has_partition_key or context.has_partition_key_range:
        days = [date.fromisoformat(key) for key in context.partition_keys]
        if days[0] < day_of(now, settings.timezone):
            return days
    today = day_of(now - GRACE, settings.timezone)
    last_days = [today - timedelta(days=back) for back in range(DAYS_CHECKED, 0, -1)]
    return [day for day in last_days if day >= settings.partitions_start]


def _table(differences: Sequence[Difference]) -> dg.TableMetadataValue:
    columns = ("day", "table", "row", "column", "stored", "counted")
    rows = [{name: str(getattr(one, name)) for name in columns} for one in differences[:MAX_ROWS]]
    return metadata_table(rows, dict.fromkeys(columns, "string"))
