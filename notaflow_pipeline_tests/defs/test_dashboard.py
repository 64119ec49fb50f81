"""Tests of the asset `ocr_dashboard`: its page, its metadata in the UI, and its schedule."""

import base64
import io
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from PIL import Image
from psycopg import Connection

from notaflow_pipeline.defs.assets.dashboard import CHARTS
from notaflow_pipeline.defs.partitions import nightly_freshness
from notaflow_pipeline.report_service import dashboard_path
from notaflow_pipeline.settings import load_settings
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, configure, days, defs
from notaflow_pipeline_tests.reporting import daily_table_rows
from notaflow_pipeline_tests.testing.clock import wait_past_full_hour

pytestmark = pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}")

NUMBER = "2 784 195"

PAGE = dashboard_path(load_settings())
"""Where it lies with the settings that the definitions were loaded with."""


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """The environment names this test's database and this folder."""
    configure(monkeypatch, tmp_path, database_url)
    wait_past_full_hour()  # what counts days up to today must not see the day change


def materialise(instance: dg.DagsterInstance | None = None, **config: Any) -> dict[str, Any]:
    job = defs.resolve_job_def("dashboard_job")
    run_config = {"ops": {"ocr_dashboard": {"config": config}}}
    with nullcontext(instance) if instance else dg.DagsterInstance.ephemeral() as one:
        result = job.execute_in_process(instance=one, run_config=run_config)
    (event,) = [one for one in result.all_events if one.is_step_materialization]
    return dict(event.materialization.metadata)


def test_page_is_written_to_the_home_and_shown_with_figures_and_pictures(
    connection: Connection, tmp_path: Path
) -> None:
    today = datetime.now(UTC).astimezone(ZoneInfo("America/Toronto")).date()
    daily_table_rows.add_history(connection, until=today, days=120)
    document = daily_table_rows.add_document(connection, NUMBER, status_id=3, attempts=3)
    daily_table_rows.add_attempt(connection, document, today, "failed", kind="timeout")
    metadata = materialise()
    page = tmp_path / "home" / "reports" / "dashboard.html"
    assert Path(metadata["page"].path) == page
    assert metadata["page_bytes"].value == page.stat().st_size
    assert NUMBER in page.read_text()
    assert metadata["exhausted"].value == 1
    assert 0 < metadata["attempt_failure_rate"].value < 1
    for name in CHARTS:
        title, _, encoded = metadata[name].md_str.partition("](data:image/png;base64,")
        assert title.startswith("![")
        drawn = base64.b64decode(encoded.removesuffix(")"))
        assert len(metadata[name].md_str) < 50_000
        picture = Image.open(io.BytesIO(drawn)).convert("RGB")
        assert picture.width >= 500
        blue, orange = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
        colours = {colour for _, colour in picture.getcolors(1 << 24) or []}
        assert colours & {blue, orange}, "lines and bars are drawn, in the colours that were chosen"
    assert NUMBER not in repr({name: value for name, value in metadata.items() if name != "page"})


def test_webserver_finds_the_page_where_the_link_says(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        metadata = materialise(instance)
        link = metadata["download"].md_str
        _, _, path = link.partition("(/logs/")
        *key, ending = path.partition(")")[0].split("/")  # as Dagster's webserver takes it apart
        served = instance.compute_log_manager.get_captured_local_path(key, ending)  # type: ignore[attr-defined]
    assert Path(served).read_bytes() == Path(metadata["page"].path).read_bytes()


def test_without_any_figure_it_is_written_without_pictures(tmp_path: Path) -> None:
    metadata = materialise(days=7)
    assert (tmp_path / "home" / "reports" / "dashboard.html").exists()
    assert not metadata.keys() & set(CHARTS)
    assert "attempt_failure_rate" not in metadata
    assert metadata["ready"].value == 0


def test_as_many_days_are_shown_as_were_asked_for(connection: Connection, tmp_path: Path) -> None:
    today = datetime.now(UTC).astimezone(ZoneInfo("America/Toronto")).date()
    for ago in range(5):
        daily_table_rows.add_day(connection, today - timedelta(days=ago), read=10, failed=1)
    assert materialise(days=2)["attempts"].value == 22


def test_asset_names_the_page_and_is_due_every_night() -> None:
    node = defs.resolve_asset_graph().get(dg.AssetKey("ocr_dashboard"))
    assert node.metadata["page"] == dg.MetadataValue.path(PAGE)
    assert node.metadata["dagster/uri"] == PAGE.as_uri()
    assert node.freshness_policy == nightly_freshness(days)


def test_it_follows_the_daily_tables_every_night() -> None:
    node = defs.resolve_asset_graph().get(dg.AssetKey("ocr_dashboard"))
    assert {key.to_user_string() for key in node.parent_keys} == {
        "ocr_daily_performance",
        "ocr_daily_failure_rate",
        "ocr_daily_failures_by_kind",
    }
    schedule = defs.resolve_schedule_def("dashboard_schedule")
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.cron_schedule, schedule.execution_timezone) == (
        "30 0 * * *",
        "America/Toronto",
    )
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
