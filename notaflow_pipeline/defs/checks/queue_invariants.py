"""The check `queue_invariants`: no row of the queue contradicts its attempts."""

from collections import Counter
from datetime import UTC, datetime

import dagster as dg

from notaflow_pipeline.defs.metadata_tables import metadata_table
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.job_queue.invariants import LOOK_BACK, Violation, find_violations
from notaflow_pipeline.settings import load_settings

MAX_ROWS = 100


@dg.asset_check(
    asset="extraction_queue",
    description=(
        "No document is lost, doubled or without an owner: every row at 6 has one open attempt, every text is that of the "
        "attempt that succeeded, attempts are counted, never overlap and never exceed their maximum. Covers two days."
    ),
)
@described_failures()
def queue_invariants(queue: QueueResource) -> dg.AssetCheckResult:
    """Fail with the rows that violate an invariant, and name a remedy for each."""
    since = datetime.now(UTC) - LOOK_BACK
    with queue.pool.connection() as connection:
        violations = list(find_violations(connection, sources=load_settings().sources, since=since))
    if not violations:
        return dg.AssetCheckResult(
            passed=True, description="Every invariant holds.", metadata={"violations": 0, "threshold": 0}
        )
    broken = Counter(one.rule for one in violations)
    return dg.AssetCheckResult(
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=(
            f"{'1 row violates' if len(violations) == 1 else f'{len(violations)} rows violate'} an invariant: "
            f"{'; '.join(broken)}. Run `notaflow recover`, which names what is left to do for each row that it cannot repair."
        ),
        metadata={"violations": len(violations), "threshold": 0, "rows": _table(violations)},
    )


def _table(violations: list[Violation]) -> dg.TableMetadataValue:
    rows = [
        {"document": one.document_id, "rule": one.rule, "what": one.what, "remedy": one.remedy}
        for one in violations[:MAX_ROWS]
    ]
    return metadata_table(rows, dict.fromkeys(("document", "rule", "what", "remedy"), "string"))
