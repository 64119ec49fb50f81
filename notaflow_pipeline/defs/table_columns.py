"""Describes the columns of the tables that assets stand for; names and types are those of the schema."""

from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from notaflow_pipeline.job_queue.schema.columns import TABLE_COLUMNS

QUEUE_COLUMNS: Final = {
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

TEXT_COLUMNS: Final = {name: QUEUE_COLUMNS[name] for name in ("id", "status_id", "file_content", "ocr_completed_at")}
"""The texts; few columns, because the asset's page shows them above the figures of the batch."""

ATTEMPT_COLUMNS: Final = {
    "id": "token of the claim, never used again",
    "queue_id": "the document, id in extraction_queue",
    "attempt_number": "1 is the document's first attempt",
    "document_source": "index or acte",
    "worker_id": "OCR_WORKER_ID of the worker",
    "worker_instance": "one process; several can share a worker_id",
    "run_id": "the Dagster run; empty outside Dagster",
    "ready_at": "since when the document could have been claimed",
    "claimed_at": "when the attempt began",
    "lease_expires_at": "the claim holds until then unless it is renewed",
    "finished_at": "when it ended; empty while it is open",
    "outcome": "succeeded, failed, stuck, released or superseded; empty while it is open",
    "failure_kind": "such as timeout, encrypted, lease_expired",
    "error": "why it failed, without text of the document",
    "exhausted": "whether this failure used up the document's attempts",
    "retry_at": "up to when the failure makes the document wait",
    "pages": "pages of the document",
    "pages_blank": "pages without any text",
    "pages_text_layer": "pages whose text was taken from the PDF",
    "pages_damaged": "pages of which only a part could be read",
    "pages_failed": "pages that could not be read",
    "characters": "characters of the text",
    "mean_confidence": "0 to 100, over recognised words",
    "low_confidence_share": "0 to 1: recognised words with a confidence below 60",
    "coverage": "0 to 1: share of ink that words account for, on the page with the lowest",
    "passes": "calls of the engine for all pages together",
    "engine": "engine and models",
    "fetch_seconds": "time to fetch the file",
    "ocr_seconds": "time to read it",
    "source_bytes": "size of the file",
    "text_sha256": "digest of the text, to compare file_content with",
}

REQUEUE_COLUMNS: Final = {
    "id": "identifies the requeue",
    "queue_id": "the document, id in extraction_queue",
    "sent_at": "when it was requeued",
    "attempts_before": "attempts that it had had by then",
    "last_failure_kind": "how the last of them failed",
    "run_id": "the Dagster run; empty for `notaflow retry`",
}


def table_metadata(table: str, descriptions: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata of an asset that stands for these columns of a table, in the table's order."""
    columns = [
        dg.TableColumn(name, kind, description=descriptions[name])
        for name, kind in TABLE_COLUMNS[table].items()
        if name in descriptions
    ]
    return {"dagster/table_name": table, "dagster/column_schema": dg.TableSchema(columns)}
