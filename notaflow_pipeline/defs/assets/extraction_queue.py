"""The asset `extraction_queue`: the table of documents, which other programs fill and this project observes."""

import warnings
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from psycopg import Connection

from notaflow_pipeline.defs.metadata_tables import metadata_table
from notaflow_pipeline.defs.ownership import OWNERS, TAGS
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.job_queue import metrics
from notaflow_pipeline.job_queue.maintenance.exhausted_days import exhausted_by_day
from notaflow_pipeline.job_queue.queries import count_queue
from notaflow_pipeline.job_queue.schema.columns import TABLE_COLUMNS
from notaflow_pipeline.settings import Settings, load_settings

MAX_DAYS = 30
"""Days with exhausted documents in the observation's table."""

COLUMNS = {
    "id": "identifies the document",
    "document_source": "index, acte or plan_cadastraux",
    "document_number": "number of the document in the land register",
    "document_number_normalized": "the number without white space",
    "status_id": "3 is ready for OCR, 6 under OCR, 5 read; 1, 2 and 4 belong to the extraction before OCR",
    "supabase_path": "bucket and name of the scan in the storage",
    "error_message": "why the extraction failed, or the last attempt at OCR",
    "file_content": "the text that OCR read; personal data",
    "created_at": "when the row was added",
    "updated_at": "when the row was last changed",
    "ocr_worker_id": "who reads or has read the document",
    "ocr_started_at": "when the last claim began",
    "ocr_completed_at": "when OCR succeeded",
    "ocr_attempts": "attempts that count; released ones do not",
    "ocr_max_attempts": "attempts after which a failing document is exhausted",
    "ocr_error": "why the last attempt failed",
    "ocr_last_error_at": "when it failed",
    "ocr_claim_id": "token of the open claim, the id in ocr_attempt; empty unless status 6 by this project",
    "ocr_next_attempt_at": "not claimed before this time; empty is now",
    "ocr_priority": "higher is claimed first, then the oldest",
    "ocr_reread_requested_at": "since when a finished document waits to be read again",
    "ocr_changed_elsewhere_at": "when another program last changed the OCR of the row",
}

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
    metadata={
        "dagster/table_name": "extraction_queue",
        "dagster/column_schema": dg.TableSchema(
            [
                dg.TableColumn(name, kind, description=COLUMNS[name])
                for name, kind in TABLE_COLUMNS["extraction_queue"].items()
            ]
        ),
    },
)


# a decorator in beta, the only one that makes the asset's page show observations; it would warn at every start
warnings.filterwarnings("ignore", "Function `multi_observable_source_asset`", dg.BetaWarning)


@dg.multi_observable_source_asset(name="observe_extraction_queue", specs=[SPEC])  # type: ignore[untyped-decorator]
@described_failures()
def extraction_queue(queue: QueueResource) -> Iterator[dg.ObserveResult]:
    """Count the documents by state, as "Observe" on the asset's page asks for."""
    with queue.pool.connection() as connection:
        yield dg.ObserveResult(SPEC.key, metadata=observed(connection, load_settings()))


def observed(connection: Connection, settings: Settings) -> dict[str, int | float | dg.TableMetadataValue]:
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
