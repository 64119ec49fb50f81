"""Is the queue what it promises to be? The oracle's answer, beside the asset in the UI, every hour.

What does not belong here: the promises themselves (`job_queue.invariants`).
"""

from collections import Counter
from datetime import UTC, datetime

import dagster as dg

from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.job_queue.invariants import LOOK_BACK, Violation, find_violations
from notaflow_pipeline.settings import load_settings

SHOWN = 100


@dg.asset_check(
    asset="extraction_queue",
    description=(
        "No document lost, doubled or in limbo: every row at 6 has one open attempt, every text is that of the attempt that "
        "won, attempts are counted, never overlap and never exceed their maximum. Looks at the last two days."
    ),
)
def queue_keeps_its_promises(queue: QueueResource) -> dg.AssetCheckResult:
    """Ask the oracle; a violation is an error that a person must look at."""
    since = datetime.now(UTC) - LOOK_BACK
    with queue.pool.connection() as connection:
        violations = list(find_violations(connection, sources=load_settings().sources, since=since))
    if not violations:
        return dg.AssetCheckResult(
            passed=True, description="Every promise holds.", metadata={"violations": 0, "threshold": 0}
        )
    broken = Counter(one.promise for one in violations)
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=(
            f"{'1 row breaks' if len(violations) == 1 else f'{len(violations)} rows break'} a promise: "
            f"{'; '.join(broken)}. Run `notaflow recover`, which names what is left to do for each row that it cannot repair."
        ),
        metadata={"violations": len(violations), "threshold": 0, "rows": _table(violations)},
    )


def _table(violations: list[Violation]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord({"document": one.document_id, "promise": one.promise, "what": one.what, "remedy": one.remedy})
        for one in violations[:SHOWN]
    ]
    columns = [dg.TableColumn(name) for name in ("document", "promise", "what", "remedy")]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


queue_check_job = dg.define_asset_job(
    "queue_check_job",
    selection=dg.AssetSelection.checks(queue_keeps_its_promises),
    executor_def=dg.in_process_executor,
    description="Asks the oracle whether the queue keeps its promises.",
)

queue_check_schedule = dg.ScheduleDefinition(
    name="queue_check_schedule",
    job=queue_check_job,
    cron_schedule="17 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour, beside the full one.",
)
