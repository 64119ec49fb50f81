"""Tests of the page in Chromium without a network: charts, tiles and tables follow the buttons; phone, desk, paper."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pypdfium2
import pytest
from psycopg import Connection

from notaflow_pipeline.atomic_files import write_atomically
from notaflow_pipeline.reporting.report.html_page import render_page
from notaflow_pipeline_tests.reporting import daily_table_rows
from notaflow_pipeline_tests.reporting.gathering import UNTIL, Gather
from notaflow_pipeline_tests.testing.contrast import MIN_CONTRAST, contrasts

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MARKUP = '</script><script>document.title="taken"</script><img src=x onerror=document.title="taken">'
CHARTS = 7
WIDTHS = "all => all.map((one) => one.viewBox.baseVal.width)"


def console_messages(page: "Page") -> list[str]:
    """Return a list that receives everything the page writes to its console, and every error."""
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    return messages


def test_charts_are_drawn_offline_on_a_phone_and_follow_the_reader(
    connection: Connection, gather: Gather, tmp_path: Path, browser: "Browser"
) -> None:
    from playwright.sync_api import expect

    daily_table_rows.add_history(connection, until=UNTIL, days=30)
    daily_table_rows.add_documents(connection, until=UNTIL)
    document = daily_table_rows.add_document(connection, MARKUP, status_id=3, attempts=3)
    daily_table_rows.add_attempt(connection, document, UNTIL, "failed", kind=MARKUP)
    daily_table_rows.add_attempt(connection, document, UNTIL, "failed", kind=MARKUP)
    connection.execute(
        "UPDATE ocr_daily_failures_by_kind SET failure_kind = %s WHERE failure_kind = 'timeout'", [MARKUP]
    )
    write_atomically(render_page(gather()), tmp_path / "page.html")

    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844}, locale="fr-CA", has_touch=True)
    page = context.new_page()
    messages = console_messages(page)
    page.on("request", lambda request: messages.append(request.url) if not request.url.startswith("file:") else None)
    page.goto((tmp_path / "page.html").as_uri())

    page.wait_for_selector("html[data-drawn=fr]")
    assert page.locator("main[lang=fr] .chart svg").count() == CHARTS
    assert page.locator("main[lang=fr] .chart svg[aria-label], main[lang=fr] .chart[aria-label]").count() >= CHARTS
    assert page.evaluate("document.documentElement.scrollWidth") == 390, "nothing reaches over the edge of a phone"
    # months as French writes them, read from the axis that was drawn
    assert "nov." in (page.text_content("#throughput-fr svg") or "")

    days = page.locator("#failure_rate-fr g.mark-rect path")
    expect(days).to_have_count(30)
    page.click("main[lang=fr] [data-days='7']")
    expect(days).to_have_count(7)

    page.click("main[lang=fr] [data-language=en]")
    page.wait_for_selector("html[data-drawn=en]")
    assert page.locator("main[lang=en] .chart svg").count() == CHARTS
    assert not page.locator("main[lang=fr]").is_visible()
    assert "Nov" in (page.text_content("#throughput-en svg") or "")
    assert page.title() == "Document reading", "no script of a row has run"
    assert messages == [], "no request, no warning, no error"
    context.close()


def test_tiles_tables_and_charts_follow_period_and_source(
    connection: Connection, gather: Gather, tmp_path: Path, browser: "Browser"
) -> None:
    from playwright.sync_api import expect

    for back in range(30):
        for source in ("all", "index"):
            daily_table_rows.add_day(connection, UNTIL - timedelta(days=back), read=100, failed=0, source=source)
    daily_table_rows.add_day(connection, UNTIL, read=5, failed=1, source="acte")
    write_atomically(render_page(gather()), tmp_path / "page.html")
    page = browser.new_page(offline=True, viewport={"width": 1280, "height": 900}, locale="fr-CA")
    messages = console_messages(page)
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("html[data-drawn=fr]")
    tile, rate = "main[lang=fr] .period .tile .value >> nth={}".format, "main[lang=fr] .period .tile .note >> nth=1"
    rows = page.locator("main[lang=fr] [data-table=throughput] tbody tr")
    assert page.text_content(tile(0)) == "3\N{NO-BREAK SPACE}000"
    assert rows.count() == 30

    page.click("main[lang=fr] [data-days='7']")
    assert page.text_content(tile(0)) == "700"
    assert rows.count() == 7
    assert page.text_content("main[lang=fr] [data-shown=period]") == "Du 16 nov. 2026 au 22 nov. 2026"
    labels = page.locator("#throughput-fr .role-axis-label text").filter(has_text="nov.")
    expect(labels).to_have_count(7)
    days = [f"{day} nov." for day in range(16, 23)]
    assert sorted(labels.all_text_contents()) == days, "the seven days, and not the day after"

    page.click("main[lang=fr] [data-source=acte]")
    assert page.text_content(tile(0)) == "5"
    assert page.text_content(tile(1)) == "1 sur 6"
    assert page.text_content(rate) == "trop peu de tentatives pour un taux"
    assert rows.count() == 1
    points = page.locator("#failure_rate-fr g.mark-symbol.role-mark path")
    expect(points).to_have_count(0)
    page.click("main[lang=fr] [data-source=index]")
    expect(points).to_have_count(7)
    assert not page.locator("main[lang=fr] [data-table=kinds]").is_visible(), "no attempt of this source failed"
    assert messages == []
    page.close()


Fill = Callable[[Connection], None]


@pytest.fixture(scope="module")
def rendered() -> dict[Fill, str]:
    """Pages that the tests of this module share: that of a year takes seconds of CPU time."""
    return {}


def page_of(rendered: dict[Fill, str], fill: Fill, first: date, connection: Connection, gather: Gather) -> str:
    """Return the page of what `fill` adds to the database, from this day on."""
    if fill not in rendered:
        fill(connection)
        rendered[fill] = render_page(gather(first))
    return rendered[fill]


def nothing(_connection: Connection) -> None:
    """Leave the database empty."""


def one_document(connection: Connection) -> None:
    daily_table_rows.add_day(connection, date(2026, 11, 12), read=1, failed=0)
    document = daily_table_rows.add_document(connection, "2 784 195")
    daily_table_rows.add_attempt(connection, document, date(2026, 11, 12), "succeeded", confidence=41.26)


def a_year(connection: Connection) -> None:
    daily_table_rows.add_history(connection, until=UNTIL, days=365)
    daily_table_rows.add_documents(connection, until=UNTIL)


@pytest.mark.parametrize(
    ("fill", "first", "charts"),
    [
        pytest.param(nothing, date(2026, 10, 24), 0, id="nothing"),
        pytest.param(one_document, date(2026, 10, 24), CHARTS - 1, id="one document"),
        pytest.param(a_year, date(2025, 11, 23), CHARTS, id="a year"),
    ],
)
def test_page_fits_phones_and_desks_whatever_there_is_to_show(
    connection: Connection,
    gather: Gather,
    tmp_path: Path,
    browser: "Browser",
    rendered: dict[Fill, str],
    fill: Fill,
    first: date,
    charts: int,
) -> None:
    write_atomically(page_of(rendered, fill, first, connection, gather), tmp_path / "page.html")
    for width in (390, 1280):
        page = browser.new_page(offline=True, viewport={"width": width, "height": 900}, locale="en-CA")
        messages = console_messages(page)
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_selector("html[data-drawn=en]")
        assert page.locator("main[lang=en] .chart svg").count() == charts
        for drawn in page.locator("main[lang=en] .chart svg").all():
            assert drawn.locator("path[d]").count() > 0, "more than an empty frame"
            box = drawn.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert messages == []
        page.close()


@pytest.mark.parametrize(("scheme", "paper"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(28, 35, 42)")])
def test_texts_can_be_told_from_their_background(
    connection: Connection,
    gather: Gather,
    tmp_path: Path,
    browser: "Browser",
    rendered: dict[Fill, str],
    scheme: Literal["light", "dark"],
    paper: str,
) -> None:
    write_atomically(page_of(rendered, a_year, date(2025, 11, 23), connection, gather), tmp_path / "page.html")
    page = browser.new_page(offline=True, locale="fr-CA", color_scheme=scheme)
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("html[data-drawn=fr]")
    for summary in page.locator("main[lang=fr] summary").all():
        summary.click()
    measured = contrasts(page)
    assert len(measured) > 100
    assert "Taux d’échec" in [text for text, _ in measured], "texts of charts are measured too"
    assert [one for one in measured if one[1] < MIN_CONTRAST] == []
    figure = page.locator("main[lang=fr] figure >> nth=0")
    assert figure.evaluate("one => getComputedStyle(one).backgroundColor") == paper
    interrupted = page.locator("#attempts-fr .role-mark path[fill='#000000'] >> nth=0")
    assert (interrupted.evaluate("one => getComputedStyle(one).fill") == "rgb(0, 0, 0)") == (scheme == "light")
    page.close()


def test_paper_names_period_and_source_and_takes_two_sheets(
    connection: Connection, gather: Gather, tmp_path: Path, browser: "Browser", rendered: dict[Fill, str]
) -> None:
    write_atomically(page_of(rendered, a_year, date(2025, 11, 23), connection, gather), tmp_path / "page.html")
    page = browser.new_page(offline=True, viewport={"width": 1280, "height": 900}, locale="fr-CA")
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("html[data-drawn=fr]")
    page.pdf(path=tmp_path / "year.pdf", format="Letter")
    page.click("main[lang=fr] [data-days='7']")
    page.click("main[lang=fr] [data-source=acte]")
    page.pdf(path=tmp_path / "week.pdf", format="Letter")
    wide = max(page.locator("main[lang=fr] .chart svg").evaluate_all(WIDTHS))
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    # drawn again rather than made smaller, so that letters keep their size
    assert max(page.locator("main[lang=fr] .chart svg").evaluate_all(WIDTHS)) < 400 < wide
    page.close()
    year, week = sheets_of(tmp_path / "year.pdf"), sheets_of(tmp_path / "week.pdf")
    assert "Du 16 nov. 2026 au 22 nov. 2026 · Documents : actes" in week[0]
    assert "Documents lus" in week[0]
    assert "Documents les moins sûrs" in year[-1]
    assert "English" not in " ".join(week), "buttons are of no use on paper"
    assert (len(year), len(week)) == (2, 2)


def sheets_of(path: Path) -> list[str]:
    with pypdfium2.PdfDocument(path) as paper:
        assert {round(sheet.get_width()) for sheet in paper} == {612}
        return [" ".join(sheet.get_textpage().get_text_bounded().split()) for sheet in paper]
