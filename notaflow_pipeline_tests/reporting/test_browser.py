"""The page in a real browser without a network: everything is drawn, follows its buttons, and fits a phone."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg import Connection

from notaflow_pipeline.reporting.page import render_page, write_page
from notaflow_pipeline_tests.reporting import history
from notaflow_pipeline_tests.reporting.conftest import UNTIL, Gather

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MARKUP = '</script><script>document.title="taken"</script><img src=x onerror=document.title="taken">'
CHARTS = 7

pytestmark = pytest.mark.xdist_group("browser")


def test_charts_are_drawn_offline_on_a_phone_and_follow_the_reader(
    connection: Connection, gather: Gather, tmp_path: Path, browser: "Browser"
) -> None:
    history.add_history(connection, until=UNTIL, days=30)
    history.add_documents(connection, until=UNTIL)
    document = history.add_document(connection, MARKUP, status_id=3, attempts=3)
    history.add_attempt(connection, document, UNTIL, "failed", kind=MARKUP)
    history.add_attempt(connection, document, UNTIL, "failed", kind=MARKUP)
    connection.execute(
        "UPDATE ocr_daily_failures_by_kind SET failure_kind = %s WHERE failure_kind = 'timeout'", [MARKUP]
    )
    write_page(render_page(gather()), tmp_path / "page.html")

    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844}, locale="fr-CA", has_touch=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
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
