"""The page in a real browser without a network: everything is drawn, follows its buttons, fits a phone and paper."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pypdfium2
import pytest
from psycopg import Connection

from notaflow_pipeline.reporting.html_page import render_page, write_page
from notaflow_pipeline_tests.reporting import daily_table_rows
from notaflow_pipeline_tests.reporting.conftest import UNTIL, Gather

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MARKUP = '</script><script>document.title="taken"</script><img src=x onerror=document.title="taken">'
CHARTS = 7

pytestmark = pytest.mark.xdist_group("browser")


def complaints(page: "Page") -> list[str]:
    """A list to which everything is added that the page will write to its console, and every error."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def test_charts_are_drawn_offline_on_a_phone_and_follow_the_reader(
    connection: Connection, gather: Gather, tmp_path: Path, browser: "Browser"
) -> None:
    daily_table_rows.add_history(connection, until=UNTIL, days=30)
    daily_table_rows.add_documents(connection, until=UNTIL)
    document = daily_table_rows.add_document(connection, MARKUP, status_id=3, attempts=3)
    daily_table_rows.add_attempt(connection, document, UNTIL, "failed", kind=MARKUP)
    daily_table_rows.add_attempt(connection, document, UNTIL, "failed", kind=MARKUP)
    connection.execute(
        "UPDATE ocr_daily_failures_by_kind SET failure_kind = %s WHERE failure_kind = 'timeout'", [MARKUP]
    )
    write_page(render_page(gather()), tmp_path / "page.html")

    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844}, locale="fr-CA", has_touch=True)
    page = context.new_page()
    said = complaints(page)
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
    page.goto((tmp_path / "page.html").as_uri())

    page.wait_for_selector("html[data-drawn=fr]")
    assert page.locator("main[lang=fr] .chart svg").count() == CHARTS
    assert page.locator("main[lang=fr] .chart svg[aria-label], main[lang=fr] .chart[aria-label]").count() >= CHARTS
    assert page.evaluate("document.documentElement.scrollWidth") == 390, "nothing reaches over the edge of a phone"
    # months as French writes them, read from the axis that was drawn
    assert "nov." in (page.text_content("#throughput-fr svg") or "")

    days = "document.querySelectorAll('#failure_rate-fr g.mark-rect path').length"
    assert page.evaluate(days) == 30
    page.click("main[lang=fr] [data-days='7']")
    page.wait_for_function(f"{days} === 7")

    page.click("main[lang=fr] [data-language=en]")
    page.wait_for_selector("html[data-drawn=en]")
    assert page.locator("main[lang=en] .chart svg").count() == CHARTS
    assert not page.locator("main[lang=fr]").is_visible()
    assert "Nov" in (page.text_content("#throughput-en svg") or "")
    assert page.title() == "Document reading", "no script of a row has run"
    assert said == [], "no request, no warning, no error"
    context.close()


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
        pytest.param(lambda _connection: None, date(2026, 10, 24), 0, id="nothing"),
        pytest.param(one_document, date(2026, 10, 24), CHARTS - 1, id="one document"),
        pytest.param(a_year, date(2025, 11, 23), CHARTS, id="a year"),
    ],
)
def test_page_fits_phones_and_desks_whatever_there_is_to_show(
    connection: Connection,
    gather: Gather,
    tmp_path: Path,
    browser: "Browser",
    fill: Callable[[Connection], None],
    first: date,
    charts: int,
) -> None:
    fill(connection)
    write_page(render_page(gather(first)), tmp_path / "page.html")
    for width in (390, 1280):
        page = browser.new_page(offline=True, viewport={"width": width, "height": 900}, locale="en-CA")
        said = complaints(page)
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
        assert said == []
        page.close()


def test_paper_says_which_days_and_documents_its_charts_show(
    connection: Connection, gather: Gather, tmp_path: Path, browser: "Browser"
) -> None:
    daily_table_rows.add_history(connection, until=UNTIL, days=30)
    write_page(render_page(gather()), tmp_path / "page.html")
    page = browser.new_page(offline=True, viewport={"width": 1280, "height": 900}, locale="fr-CA")
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("html[data-drawn=fr]")
    chosen = page.locator("main[lang=fr] .chosen")
    assert not chosen.is_visible(), "the buttons say it on a screen"
    page.emulate_media(media="print")
    assert chosen.is_visible()
    assert chosen.text_content() == "Période des graphiques\xa0: Tout. Documents\xa0: tous."
    page.emulate_media(media="null")
    page.click("main[lang=fr] [data-days='7']")
    page.click("main[lang=fr] [data-source=acte]")
    page.pdf(path=tmp_path / "page.pdf", format="Letter")
    page.close()
    with pypdfium2.PdfDocument(tmp_path / "page.pdf") as paper:
        sheets = [sheet.get_textpage().get_text_bounded() for sheet in paper]
        assert {round(sheet.get_width()) for sheet in paper} == {612}
    printed = " ".join(" ".join(sheets).split())
    assert "Période des graphiques : 7 jours. Documents : actes." in printed
    assert "Documents lus par jour" in printed
    assert "English" not in printed, "buttons are of no use on paper"
    assert len(sheets) <= 4
