"""The daily tables as assets: one partition per day, any range of days in one run, each day with its own figures."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from notaflow_pipeline.defs.ownership import FIGURE_TAGS, OWNERS, source_file
from notaflow_pipeline.defs.partitions import nightly_freshness
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.defs.table_columns import ATTEMPT_COLUMNS, table_metadata
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.settings import load_settings

if TYPE_CHECKING:
    import pandas as pd

    from notaflow_pipeline.reporting.daily_tables.daily import DailyTables

PERFORMANCE = dg.AssetKey("ocr_daily_performance")
FAILURE_RATE = dg.AssetKey("ocr_daily_failure_rate")
FAILURES_BY_KIND = dg.AssetKey("ocr_daily_failures_by_kind")

MAX_KINDS = 20
"""How many kinds of failure get a plot of their own; the table has all."""

PERFORMANCE_COLUMNS = {
    "document_source": ("text", "index, acte, or all for the sum"),
    "documents": ("integer", "documents that were read"),
    "pages": ("bigint", "their pages"),
    "characters": ("bigint", "their characters"),
    "duration_seconds_avg": ("double precision", "from claim to finish, on average"),
    "duration_seconds_min": ("double precision", "the shortest"),
    "duration_seconds_p50": ("double precision", "half took no longer"),
    "duration_seconds_p95": ("double precision", "95 % took no longer"),
    "duration_seconds_max": ("double precision", "the longest"),
    "wait_seconds_p50": (
        "double precision",
        "from when it could have been claimed to the claim: half waited no longer",
    ),
    "wait_seconds_p95": ("double precision", "95 % waited no longer"),
    "attempts_avg": ("double precision", "which attempt succeeded, on average; 1 is the first"),
    "pages_per_minute": ("double precision", "pages by the sum of durations"),
    "mean_confidence": ("double precision", "0 to 100, mean of the documents' own"),
    "low_confidence_documents": ("integer", "documents below OCR_LOW_CONFIDENCE"),
    "mean_coverage": ("double precision", "0 to 1, mean of the documents' own: the lowest of their pages"),
    "low_coverage_documents": ("integer", "documents below OCR_LOW_COVERAGE"),
}
FAILURE_RATE_COLUMNS = {
    "document_source": ("text", "index, acte, or all for the sum"),
    "attempts": ("integer", "attempts that succeeded, failed or got stuck"),
    "attempts_failed": ("integer", "attempts that ended with an error"),
    "attempts_stuck": ("integer", "attempts whose worker stopped renewing its lease"),
    "attempt_failure_rate": ("double precision", "0 to 1: failed and stuck by attempts"),
    "documents_finished": ("integer", "documents that were read or exhausted"),
    "documents_exhausted": ("integer", "documents whose last permitted attempt failed"),
    "document_failure_rate": ("double precision", "0 to 1: exhausted by finished"),
    "failure_rate_low": ("double precision", "lower bound of the attempt rate, 95 % Wilson interval"),
    "failure_rate_high": ("double precision", "upper bound"),
}
FAILURES_BY_KIND_COLUMNS = {
    "document_source": ("text", "index, acte, or all for the sum"),
    "failure_kind": ("text", "such as timeout, encrypted, lease_expired"),
    "attempts": ("integer", "attempts that failed with this kind"),
    "documents": ("integer", "documents of these attempts"),
}


# an asset apart from `ocr_text`, because `notaflow work` writes it too: daily tables need no run of Dagster
ocr_attempt = dg.AssetSpec(
    "ocr_attempt",
    deps=["ocr_text"],
    description=(
        "The table of claims: one row for each attempt to read a document, with its outcome. Runs and `notaflow work` "
        "add to it; no row changes after its attempt is finished."
    ),
    kinds={"postgres"},
    group_name="ocr",
    owners=OWNERS,
    tags=FIGURE_TAGS,
    metadata=table_metadata("ocr_attempt", ATTEMPT_COLUMNS) | source_file(__file__),
)


def _schema(columns: Mapping[str, tuple[str, str]]) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, kind, description=what) for name, (kind, what) in columns.items()])


def daily_tables(days: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """Return the three daily tables as one multi-asset with these partitions."""

    def spec(key: dg.AssetKey, columns: Mapping[str, tuple[str, str]], description: str) -> dg.AssetSpec:
        return dg.AssetSpec(
            key,
            deps=[ocr_attempt],
            description=(
                f"{description} One row per day and source, and `all` for the sum; days are those of {days.timezone}. "
                "Computed shortly after midnight for the day before, and during the day for today; materialise any range "
                "to compute it again."
            ),
            group_name="daily",
            owners=OWNERS,
            tags=FIGURE_TAGS,
            kinds={"pandas", "postgres"},
            partitions_def=days,
            freshness_policy=nightly_freshness(days),
            metadata={
                "dagster/column_schema": _schema(columns),
                "dagster/table_name": key.to_user_string(),
                **source_file(__file__),
            },
        )

    @dg.multi_asset(
        name="ocr_daily_tables",
        specs=[
            spec(
                PERFORMANCE, PERFORMANCE_COLUMNS, "How much was read, how long it took and waited, and how sure it is."
            ),
            spec(FAILURE_RATE, FAILURE_RATE_COLUMNS, "How many attempts and documents failed, with a 95 % interval."),
            spec(FAILURES_BY_KIND, FAILURES_BY_KIND_COLUMNS, "Failed attempts by kind of failure."),
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def ocr_daily_tables(
        context: dg.AssetExecutionContext, queue: QueueResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Compute each day from the attempts that finished on it, and write its three tables in one transaction."""
        from notaflow_pipeline.reporting.daily_tables.daily_storage import (
            write_day,  # imports pandas, which slows the start of a run
        )

        for key in context.partition_keys:
            with described_failures(), queue.connection_for_a_day() as connection:
                settings = load_settings()
                tables = write_day(
                    connection,
                    date.fromisoformat(key),
                    timezone=days.timezone,
                    low_confidence=settings.low_confidence,
                    low_coverage=settings.low_coverage,
                )
            for asset, metadata in metadata_of(tables).items():
                context.add_asset_metadata(metadata, asset_key=asset, partition_key=key)
        context.log.info(
            "Computed %s, to %s.", count_of(len(context.partition_keys), "day"), context.partition_keys[-1]
        )
        # without metadata, which would be copied to every day
        yield from (dg.MaterializeResult(asset_key=key) for key in (PERFORMANCE, FAILURE_RATE, FAILURES_BY_KIND))

    return ocr_daily_tables


def metadata_of(tables: "DailyTables") -> dict[dg.AssetKey, dict[str, dg.MetadataValue]]:
    """Return the metadata of each table: the figures of its `all` row, which the UI plots over the days, and its rows."""
    from notaflow_pipeline.reporting.daily_tables.daily import ALL, rows_of

    kinds = tables.failures_by_kind
    of_all = rows_of(kinds[kinds["document_source"] == ALL].nlargest(MAX_KINDS, "attempts"))
    by_kind = {f"failures: {row['failure_kind']}": row["attempts"] for row in of_all}
    return {
        PERFORMANCE: _figures(_sum(tables.performance)) | _table(tables.performance, PERFORMANCE_COLUMNS),
        FAILURE_RATE: _figures(_sum(tables.failure_rate)) | _table(tables.failure_rate, FAILURE_RATE_COLUMNS),
        FAILURES_BY_KIND: _figures({"failures": sum(by_kind.values()), **by_kind})
        | _table(kinds, FAILURES_BY_KIND_COLUMNS),
    }


def _sum(table: "pd.DataFrame") -> dict[str, Any]:
    from notaflow_pipeline.reporting.daily_tables.daily import ALL, rows_of

    [row] = rows_of(table[table["document_source"] == ALL])
    return row


def _figures(row: Mapping[str, Any]) -> dict[str, dg.MetadataValue]:
    figures: dict[str, dg.MetadataValue] = {}
    for name, value in row.items():
        if isinstance(value, int):
            figures[name] = dg.MetadataValue.int(value)
        elif isinstance(value, float):
            figures[name] = dg.MetadataValue.float(round(value, 4))
    return figures


def _table(table: "pd.DataFrame", columns: Mapping[str, tuple[str, str]]) -> dict[str, dg.MetadataValue]:
    from notaflow_pipeline.reporting.daily_tables.daily import rows_of

    records = [
        dg.TableRecord({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})
        for row in rows_of(table)
    ]
    return {
        "table": dg.MetadataValue.table(records, schema=_schema(columns)),
        "dagster/row_count": dg.MetadataValue.int(len(records)),
    }
