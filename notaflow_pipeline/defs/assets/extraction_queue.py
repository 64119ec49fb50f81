"""The asset `extraction_queue`: the table of documents, which other programs fill and this project observes."""

import warnings
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from psycopg import Connection

from notaflow_pipeline.defs.metadata_tables import metadata_table
from notaflow_pipeline.defs.ownership import OWNERS, TAGS, source_file
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.defs.table_columns import QUEUE_COLUMNS, table_metadata
from notaflow_pipeline.job_queue import metrics
from notaflow_pipeline.job_queue.maintenance.exhausted_days import exhausted_by_day
from notaflow_pipeline.job_queue.queries import count_queue
from notaflow_pipeline.settings import Settings, load_settings

MAX_DAYS = 30
"""Days with exhausted documents in the observation's table."""

SPEC = dg.AssetSpec(
    "extraction_queue",
    description=(
        "The table of ordered land-registry documents. NotaFlow's extraction stage adds a row per document and sets it to "
        "status 3 when the scan is in the storage; this project reads every such row of the enabled sources. Every ten "
        "minutes an observation records how many documents are ready, active, backing off, exhausted and done."
    ),
    kinds={"postgres"},
    group_name="ocr",
    owners=OWNERS,
    tags=TAGS,
    metadata=table_metadata("extraction_queue", QUEUE_COLUMNS) | source_file(__file__),
)


# a decorator in beta, the only one that makes the asset's page show observations; it would warn at every start
warnings.filterwarnings("ignore", "Function `multi_observable_source_asset`", dg.BetaWarning)


@dg.multi_observable_source_asset(name="observe_extraction_queue", specs=[SPEC])  # type: ignore[untyped-decorator]
def extraction_queue(queue: QueueResource) -> Iterator[dg.ObserveResult]:
    """Count the documents by state, as "Observe" on the asset's page asks for."""
    with described_failures(), queue.pool.connection() as connection:
        yield dg.ObserveResult(SPEC.key, metadata=observation_metadata(connection, load_settings()))


def observation_metadata(connection: Connection, settings: Settings) -> dict[str, int | float | dg.TableMetadataValue]:
    """Return the figures of an observation: documents of the enabled sources by state, and the days of exhausted ones."""
    counts = count_queue(
        connection,
        sources=settings.sources,
        stuck_after=timedelta(minutes=settings.stuck_minutes),
        exhausted_status=settings.exhausted_status,
    )
    oldest = metrics.oldest_waiting_seconds(connection, sources=settings.sources)
    days = exhausted_by_day(
        connection,
        sources=settings.sources,
        timezone=settings.timezone,
        days=MAX_DAYS,
        exhausted_status=settings.exhausted_status,
    )
    rows = [{"day": day.isoformat(), "documents": count} for day, count in days.items()]
    table = metadata_table(rows, {"day": "string", "documents": "int"})
    return {
        "ready": counts.ready,
        "refused": counts.refused,
        "active": counts.active,
        "stuck": counts.stuck,
        "backing_off": counts.backing_off,
        "exhausted": counts.exhausted,
        "done": counts.done,
        "to_reread": counts.to_reread,
        "oldest_waiting_seconds": round(oldest or 0.0, 1),
        "exhausted_by_day": table,
    }
