"""The checks of `extraction_queue`: progress, stuck documents, waiting time, exhausted documents."""

from collections.abc import Iterator

import dagster as dg

from notaflow_pipeline.defs.checks.results import results_of, spec_of
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.health_checks import QUEUE_CHECKS, evaluate_queue


@dg.multi_asset_check(specs=[spec_of(check) for check in QUEUE_CHECKS], name="queue_health")
def queue_health(queue: QueueResource) -> Iterator[dg.AssetCheckResult]:
    """Check that documents are claimed, not stuck, not waiting too long, and that exhausted ones are acknowledged."""
    yield from results_of(queue, evaluate_queue)
