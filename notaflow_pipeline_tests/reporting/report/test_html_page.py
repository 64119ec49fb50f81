"""Tests of the page as text: without days, with one document, with a year; values of rows are never markup."""

import json
import re
from datetime import date
from html.parser import HTMLParser
from typing import Any

import pytest
from psycopg import Connection

from notaflow_pipeline.reporting.report.html_page import render_page
from notaflow_pipeline.reporting.report.report_data import QueueSnapshot
from notaflow_pipeline_tests.reporting import daily_table_rows
from notaflow_pipeline_tests.reporting.gathering import UNTIL, Gather

MARKUP = '</script><script>document.title="taken"</script><img src=x onerror=alert(1)>'


class Elements(HTMLParser):
    """Collects the elements of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(page)
    return parser.found


def drawn(page: str) -> set[str]:
    return {str(attributes["id"]) for tag, attributes in elements(page) if attributes.get("class") == "chart"}


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<(style|script)\b.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL))


def embedded(page: str) -> Any:
    found = re.search(r'id="report">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_range_without_days_has_no_charts_and_says_so_in_both_languages(gather: Gather) -> None:
    page = render_page(gather())
    assert drawn(page) == set()
    assert "Aucun document n’a été traité pendant cette période." in page
    assert "No document was processed in this period." in page
    assert "rien n’attend" in page
    assert "no attempt" in page


def test_one_document_is_shown_with_its_figures(connection: Connection, gather: Gather) -> None:
    daily_table_rows.add_day(connection, date(2026, 11, 12), read=1, failed=0)
    document = daily_table_rows.add_document(connection, "2 784 195")
    daily_table_rows.add_attempt(
        connection, document, date(2026, 11, 12), "succeeded", confidence=41.26, coverage=0.625
    )
    page = render_page(gather(queue=QueueSnapshot(0, 0, 0, 0, 0, 1, None)))
    assert drawn(page) == {
        f"{name}-{language}"
        for name in ("throughput", "failure_rate", "wait", "duration", "attempts", "confidence")
        for language in ("fr", "en")
    }, "no chart of kinds where nothing failed"
    assert "2 784 195 41,3 62,5 % 8 2026-11-12" in text(page).replace("\N{NO-BREAK SPACE}", " ")
    assert "2 784 195 41.3 62.5% 8 2026-11-12" in text(page)
    assert "0 sur 1 trop peu de tentatives pour un taux" in text(page), "one attempt gives no rate"
    assert "0 of 1 too few attempts for a rate" in text(page)
    assert "Aucune tentative n’a échoué." in page
    assert "notaflow view NUMÉRO" in page
    assert "notaflow view NUMBER" in page


def test_year_is_written_in_each_language_and_binned_by_weeks(connection: Connection, gather: Gather) -> None:
    daily_table_rows.add_history(connection, until=UNTIL, days=365)
    daily_table_rows.add_documents(connection, until=UNTIL)
    figures = gather(date(2025, 11, 23), QueueSnapshot(1284, 4, 1, 37, 52, 214_331, 5_400.0))
    page = render_page(figures)
    french, english = text(page).split("The progress of reading")
    for said in (
        "1 284",
        "214 331",
        "1,5 h",
        "À vérifier",
        "95 %",
        "Du 23 nov. 2025 au 22 nov. 2026",
        "4 438 sur 221 078",
        "délai dépassé",
    ):
        assert said in french.replace("\N{NO-BREAK SPACE}", " ")
    for said in ("1,284", "214,331", "1.5 hr", "Needs attention", "95%", "Nov 23, 2025 to Nov 22, 2026", "timeout"):
        assert said in english.replace("\N{NO-BREAK SPACE}", " ")
    periods = embedded(page)["periods"]
    assert set(periods) == {"7", "30", "90", "0"}
    days = periods["90"]["data"]["days"]
    assert len(days["day"]) == 90 * 3, "every day of every source, also those without a row"
    assert days["documents"].count(None) == 3 * 3
    weeks = periods["0"]["data"]["days"]
    assert len(weeks["day"]) == 53 * 3, "from a Sunday to a Sunday"
    assert len(page.encode()) < 2_500_000


def test_days_without_daily_tables_are_named(connection: Connection, gather: Gather) -> None:
    computed, during, after, missing = (date(2026, 11, day) for day in (17, 18, 19, 20))
    document = daily_table_rows.add_document(connection, "2 784 195")
    for day in (computed, during, after, missing):
        daily_table_rows.add_attempt(connection, document, day, "succeeded", confidence=90.0)
    for day in (computed, during, after):
        daily_table_rows.add_day(connection, day, read=1, failed=0)
    for day, time in ((during, "2026-11-18 23:59"), (after, "2026-11-20 00:00")):
        connection.execute(
            "UPDATE ocr_daily_failure_rate SET computed_at = %s::timestamp AT TIME ZONE 'America/Toronto' WHERE day = %s",
            [time, day],
        )
    figures = gather()
    assert list(figures.days_not_computed) == [during, missing], "a table of before the day's end lacks its last hours"
    page = render_page(figures)
    assert "incomplets : 18 nov. 2026, 20 nov. 2026." in text(page).replace("\N{NO-BREAK SPACE}", " ")
    assert "incomplete: Nov 18, 2026, Nov 20, 2026." in text(page)
    assert embedded(page)["languages"]["fr"]["views"]["7"]["notice"] is not None
    connection.execute("INSERT INTO ocr_attempts_pruned (finished_before) VALUES ('2026-11-21 12:00+00')")
    assert list(gather().days_not_computed) == [], "deleted attempts cannot be counted again"


def test_page_loads_nothing_from_elsewhere(connection: Connection, gather: Gather) -> None:
    daily_table_rows.add_history(connection, until=UNTIL, days=30)
    for tag, attributes in elements(render_page(gather())):
        assert tag not in {"link", "iframe", "img", "object", "embed", "base"}
        assert not {"src", "href", "srcset", "action", "data", "background"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]


def test_markup_in_rows_stays_text(connection: Connection, gather: Gather) -> None:
    daily_table_rows.add_day(connection, UNTIL, read=9, failed=4)
    connection.execute(
        "UPDATE ocr_daily_failures_by_kind SET failure_kind = %s WHERE failure_kind = 'timeout'", [MARKUP]
    )
    document = daily_table_rows.add_document(connection, MARKUP, status_id=3, attempts=3)
    daily_table_rows.add_attempt(connection, document, UNTIL, "failed", kind=MARKUP)
    page = render_page(gather())
    assert MARKUP not in page, "it is escaped everywhere"
    assert "&lt;/script&gt;&lt;script&gt;document.title=&#34;taken&#34;" in page
    scripts = [attributes for tag, attributes in elements(page) if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "report"}, {}, {}]
    assert not [tag for tag, _ in elements(page) if tag == "img"]


@pytest.mark.parametrize("language", ["fr", "en"])
def test_language_in_which_it_opens_can_be_chosen(gather: Gather, language: str) -> None:
    page = render_page(gather(), language=language)  # type: ignore[arg-type]
    assert f'<html lang="{language}">' in page
    assert f'"language": "{language}"' in page
