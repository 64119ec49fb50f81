"""Metadata of an `ocr_text` materialisation: the batch's figures and a table of its documents."""

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

import dagster as dg

from notaflow_pipeline.defs.metadata_tables import metadata_table
from notaflow_pipeline.job_queue.model import Attempt

MAX_ROWS = 200
"""Documents in the table of a run; the rest is in `ocr_attempt`."""

BATCH_COLUMNS = {
    "document": "string",
    "outcome": "string",
    "error": "string",
    "kind": "string",
    "attempt": "int",
    "pages": "int",
    "pages_failed": "int",
    "characters": "int",
    "confidence": "float",
    "unsure_words": "float",
    "coverage": "float",
    "seconds": "float",
}
"""Of the table of a batch. The asset's page shows some three columns without scrolling, so the error is one of them.

`unsure_words` is the share of words with a confidence below 60, and `coverage` the share of ink that words account for,
on the page with the lowest; empty where it was not measured."""


def batch_metadata(attempts: Sequence[Attempt], numbers: Mapping[UUID, str]) -> dict[str, dg.MetadataValue]:
    """Return a run's figures, which the UI plots, and a table of its documents without their texts."""
    succeeded = [one for one in attempts if one.outcome == "succeeded"]
    failures = Counter(one.failure_kind or "unknown" for one in attempts if one.outcome in {"failed", "stuck"})
    pages = sum(one.pages or 0 for one in succeeded)
    finished = [one.finished_at for one in attempts if one.finished_at is not None]
    figures: dict[str, dg.MetadataValue] = {
        "documents": dg.MetadataValue.int(len(attempts)),
        "succeeded": dg.MetadataValue.int(len(succeeded)),
        "failed": dg.MetadataValue.int(failures.total()),
        "pages": dg.MetadataValue.int(pages),
        "pages_blank": dg.MetadataValue.int(sum(one.pages_blank or 0 for one in succeeded)),
        "pages_text_layer": dg.MetadataValue.int(sum(one.pages_text_layer or 0 for one in succeeded)),
        "pages_failed": dg.MetadataValue.int(sum(one.pages_failed or 0 for one in succeeded)),
        "characters": dg.MetadataValue.int(sum(one.characters or 0 for one in succeeded)),
        "failed_by_kind": dg.MetadataValue.json(dict(sorted(failures.items()))),
        "dagster/row_count": dg.MetadataValue.int(len(succeeded)),
        "batch": _table(attempts, numbers),
    }
    if pages and finished:
        seconds = (max(finished) - min(one.claimed_at for one in attempts)).total_seconds()
        figures["pages_per_minute"] = dg.MetadataValue.float(round(60 * pages / max(seconds, 0.001), 1))
    sure = [(one.mean_confidence, one.characters or 0) for one in succeeded if one.mean_confidence is not None]
    if weight := sum(characters for _, characters in sure):
        mean = sum(confidence * characters for confidence, characters in sure) / weight
        figures["mean_confidence"] = dg.MetadataValue.float(round(mean, 1))
    if measured := [one.coverage for one in succeeded if one.coverage is not None]:
        figures["mean_coverage"] = dg.MetadataValue.float(round(sum(measured) / len(measured), 3))
    return figures


def attempts_to_show(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the attempts that the table shows: those without a text first, `MAX_ROWS` at most."""
    return sorted(attempts, key=lambda one: one.outcome == "succeeded")[:MAX_ROWS]


def _table(attempts: Sequence[Attempt], numbers: Mapping[UUID, str]) -> dg.TableMetadataValue:
    rows = [
        {
            "document": numbers.get(one.queue_id, str(one.queue_id)),
            "attempt": one.attempt_number,
            "outcome": one.outcome or "open",
            "kind": one.failure_kind or "",
            "pages": one.pages or 0,
            "characters": one.characters or 0,
            "pages_failed": one.pages_failed or 0,
            "confidence": round(one.mean_confidence or 0.0, 1),
            "unsure_words": round(one.low_confidence_share or 0.0, 3),
            "coverage": None if one.coverage is None else round(one.coverage, 3),
            "seconds": round((one.finished_at - one.claimed_at).total_seconds(), 2) if one.finished_at else 0.0,
            "error": one.error or "",
        }
        for one in attempts_to_show(attempts)
    ]
    return metadata_table(rows, BATCH_COLUMNS)
