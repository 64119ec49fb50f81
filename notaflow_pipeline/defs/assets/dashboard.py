"""The asset `ocr_dashboard`: the report page with charts, and its main figures in the UI."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from pydantic import Field

from notaflow_pipeline.defs.ownership import FIGURE_TAGS, OWNERS, source_file
from notaflow_pipeline.defs.partitions import nightly_freshness
from notaflow_pipeline.defs.resources import QueueResource
from notaflow_pipeline.defs.run_failures import described_failures
from notaflow_pipeline.reporting.daily_tables.days import today_in
from notaflow_pipeline.settings import load_settings

if TYPE_CHECKING:
    from notaflow_pipeline.reporting.report.report_data import ReportData

CHARTS = ("throughput", "failure_rate", "duration")
"""The charts that the UI shows as pictures; each stays in the event log with its materialisation, at 5 to 20 kB."""

DOWNLOAD = (["reports", "dashboard"], "html")
"""Where the webserver finds the page among the logs of runs, the only files that it serves: key and ending."""


class DashboardConfig(dg.Config):
    """The period that the page shows."""

    days: int = Field(default=90, ge=1, le=3660, description="Days on the page, today included.")


def ocr_dashboard(days: dg.DailyPartitionsDefinition, page: Path) -> dg.AssetsDefinition:
    """Return the asset that writes the page to this file, due every night in the time zone of these days."""

    @dg.asset(
        name="ocr_dashboard",
        deps=["ocr_daily_performance", "ocr_daily_failure_rate", "ocr_daily_failures_by_kind"],
        group_name="daily",
        owners=OWNERS,
        tags=FIGURE_TAGS,
        kinds={"vega"},
        freshness_policy=nightly_freshness(days),
        metadata={"page": dg.MetadataValue.path(page), "dagster/uri": page.as_uri(), **source_file(__file__)},
        description=(
            "A page with charts of the daily tables, the queue as it was when the page was written, and the documents to "
            "look at, in French and English. One file that needs no network: `reports/dashboard.html` in `NOTAFLOW_HOME`, "
            "replaced every night after the daily tables, and whenever this asset is materialised. The link `download` of "
            "the latest materialisation gets it from here. "
            "`notaflow report --html FILE` writes the same for any range."
        ),
    )
    @described_failures()
    def write_dashboard(
        context: dg.AssetExecutionContext, config: DashboardConfig, queue: QueueResource
    ) -> dg.MaterializeResult[None]:
        """Write the page, and show its most important figures and charts in the UI."""
        # with pandas and what draws, which would slow the start of every run
        from notaflow_pipeline import report_service
        from notaflow_pipeline.atomic_files import write_atomically
        from notaflow_pipeline.reporting.report.html_page import render_page

        settings = load_settings()
        with queue.pool.connection() as connection:
            until = today_in(connection, settings.timezone)
            since = report_service.first_day_of_period(until, config.days)
            figures = report_service.read_report(connection, settings, since=since, until=until)
        rendered, path = render_page(figures), report_service.dashboard_path(settings)
        write_atomically(rendered, path)
        metadata: dict[str, dg.MetadataValue] = {
            "page": dg.MetadataValue.path(path),
            "page_bytes": dg.MetadataValue.int(len(rendered.encode())),
        }
        # browsers open no file from a page of a server, so the webserver has to serve a copy
        logs = context.instance.compute_log_manager
        if isinstance(logs, LocalComputeLogManager):
            write_atomically(rendered, Path(logs.get_captured_local_path(*DOWNLOAD)))
            key, ending = DOWNLOAD
            link = "/".join(["/logs", *key, ending])
            metadata["download"] = dg.MetadataValue.md(f"[Download the newest page]({link}), then open the file.")
        return dg.MaterializeResult(metadata={**metadata, **_summary(figures)})

    return write_dashboard


def _summary(figures: "ReportData") -> dict[str, dg.MetadataValue]:
    """Return figures for the plots, among them the queue's counts, and pictures of the charts; nothing is a text of a row."""
    totals = {
        name: dg.MetadataValue.float(round(value, 4)) for name, value in figures.totals().items() if value is not None
    }
    queue = {
        "ready": figures.queue.ready,
        "active": figures.queue.active,
        "stuck": figures.queue.stuck,
        "backing_off": figures.queue.backing_off,
        "exhausted": figures.queue.exhausted,
    }
    pictures = {name: _markdown(name, figures) for name in CHARTS} if figures.totals()["attempts"] else {}
    return {**pictures, **totals, **{name: dg.MetadataValue.int(count) for name, count in queue.items()}}


def _markdown(name: str, figures: "ReportData") -> dg.MetadataValue:
    from notaflow_pipeline.reporting.report.charts import picture
    from notaflow_pipeline.reporting.report.translations import texts_in

    title = texts_in("en")[f"{name}_title"]
    encoded = base64.b64encode(picture(name, figures, "en")).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{encoded})")
