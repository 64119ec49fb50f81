"""Tests of `notaflow report`: tables, JSON, and the page."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.reporting import daily_table_rows

UNTIL = date(2026, 11, 22)


def test_terminal_shows_tables_and_no_markup_of_rows(terminal: Terminal, connection: Connection) -> None:
    daily_table_rows.add_day(connection, UNTIL, read=1234, failed=30, stuck=2)
    daily_table_rows.add_day(connection, UNTIL - timedelta(days=1), read=0, failed=0)
    document = daily_table_rows.add_document(connection, "[red]1 358-176[/red]", status_id=3, attempts=3)
    daily_table_rows.add_attempt(connection, document, UNTIL, "failed", kind="[b]odd")
    connection.execute("UPDATE ocr_daily_failure_rate SET computed_at = clock_timestamp()")
    done = terminal.run("report", "--from", "2026-11-20", "--to", "2026-11-22", COLUMNS="120")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in done.stdout.splitlines() if "│" in line]
    assert ["exhausted", "1"] in rows, "the queue as it is now"
    assert ["2026-11-22", "all", "1,266", "30", "2", "2.5%", "1.8–3.5%", "7"] in rows
    assert ["2026-11-21", "all", "0", "0", "0", "–", "", "0"] in rows
    assert ["timeout", "15", "15"] in rows
    assert ["[red]1 358-176[/red]", "1", "[b]odd", "exhausted"] in rows


def test_commands_start_without_what_only_reports_and_ocr_need() -> None:
    program = (
        "import sys, notaflow_pipeline.cli; print({'pandas', 'numpy', 'vl_convert', 'boto3'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_narrow_terminal_shows_whole_days_and_all_digits(terminal: Terminal, connection: Connection) -> None:
    daily_table_rows.add_day(connection, UNTIL, read=1234, failed=30)
    connection.execute("UPDATE ocr_daily_performance SET mean_coverage = 0.875, mean_confidence = 91.5")
    printed = terminal.run("report", "--from", "2026-11-22", "--to", "2026-11-22", COLUMNS="80").stdout
    assert "…" not in printed
    rows = [line.strip("│").split("│") for line in printed.splitlines() if "2026-11-22" in line and "│" in line]
    assert {row[0].strip() for row in rows} == {"2026-11-22"}, "never on two lines"
    assert next(row[-1].strip() for row in rows if len(row) == 6) == "87.5%"
    assert max(map(len, printed.splitlines())) <= 80


def test_scripts_get_the_tables_with_their_own_columns(terminal: Terminal, connection: Connection) -> None:
    daily_table_rows.add_day(connection, UNTIL, read=40, failed=4)
    daily_table_rows.add_day(connection, UNTIL - timedelta(days=1), read=0, failed=0)
    (printed,) = terminal.json("report", "--from", "2026-11-21", "--to", "2026-11-22")
    assert (printed["from"], printed["to"], printed["html"]) == ("2026-11-21", "2026-11-22", None)
    for table in ("ocr_daily_performance", "ocr_daily_failure_rate", "ocr_daily_failures_by_kind"):
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")  # noqa: S608
        names = [column.name for column in cursor.description or ()]
        expected = [dict(zip(names, row, strict=True)) | {"day": row[0].isoformat()} for row in cursor]
        for row in expected:
            del row["computed_at"]  # when a day was counted is for whoever counts it again
        assert printed[table] == [pytest.approx(row) for row in expected], "absent figures are null"
    counts = [row["documents"] for row in printed["ocr_daily_performance"]]
    assert [str(count) for count in counts] == ["0", "40"], "whole numbers"
    assert printed["queue"]["ready"] == 0
    assert printed["totals"]["attempts"] == 44


def test_without_a_range_it_is_the_last_thirty_days_of_the_zone(terminal: Terminal, connection: Connection) -> None:
    enqueue_document(connection, NewDocument("index", "1", "index/1.pdf"))
    (printed,) = terminal.json("report", NOTAFLOW_TIMEZONE="Pacific/Kiritimati")
    today = datetime.now(UTC).astimezone(ZoneInfo("Pacific/Kiritimati")).date()
    assert date.fromisoformat(printed["to"]) in {today, today - timedelta(days=1)}, "midnight may have passed since"
    assert date.fromisoformat(printed["to"]) - date.fromisoformat(printed["from"]) == timedelta(days=29)
    assert printed["queue"]["ready"] == 1
    assert printed["queue"]["oldest_waiting_seconds"] > 0


def test_page_is_written_in_the_requested_language(terminal: Terminal, connection: Connection) -> None:
    daily_table_rows.add_day(connection, UNTIL, read=40, failed=4)
    target = terminal.folder / "new" / "report.html"
    done = terminal.run(
        "report", "--from", "2026-11-01", "--to", "2026-11-22", "--html", str(target), "--language", "en"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Wrote {target}: 2026-11-01 to 2026-11-22.\n"
    assert '<html lang="en">' in target.read_text()
    (printed,) = terminal.json("report", "--to", "2026-11-22", "--html", str(target))
    assert printed["html"] == str(target)
    assert '<html lang="fr">' in target.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "2026-11-23", "--to", "2026-11-22"), "--from 2026-11-23 is after --to 2026-11-22"),
        (("--from", "1026-11-23"), "more than ten years"),
        (("--to", "2026-11-22", "--html", "/proc/no/page.html"), "/proc/no"),
    ],
)
def test_wrong_arguments_are_one_line_of_error(terminal: Terminal, arguments: tuple[str, ...], said: str) -> None:
    done = terminal.run("report", *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.startswith("notaflow: ")
    assert done.stderr.count("\n") == 1


def add_attempts_without_tables(connection: Connection, day: date, *, read: int, failed: int) -> None:
    """Attempts that ended on a day whose tables nobody computed."""
    document = daily_table_rows.add_document(connection, f"of {day}", status_id=3, attempts=3)
    for number in range(read + failed):
        daily_table_rows.add_attempt(
            connection, document, day, "failed" if number < failed else "succeeded", kind="timeout"
        )


def test_missing_days_are_computed_and_named(terminal: Terminal, connection: Connection) -> None:
    add_attempts_without_tables(connection, UNTIL, read=3, failed=1)
    add_attempts_without_tables(connection, UNTIL - timedelta(days=3), read=2, failed=0)
    done = terminal.run("report", "--from", "2026-11-18", "--to", "2026-11-22", COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "notaflow: computed the daily tables of 2026-11-19, 2026-11-22, which were missing or out of date\n"
    )
    assert "25.0%" in done.stdout
    [again] = terminal.json("report", "--from", "2026-11-18", "--to", "2026-11-22")
    assert (again["days_computed"], again["days_not_computed"]) == ([], [])
    assert again["totals"]["attempts"] == 6


def test_empty_report_says_that_nothing_ended(terminal: Terminal) -> None:
    done = terminal.run("report", "--from", "2026-11-18", "--to", "2026-11-22")
    assert "No attempt ended from 2026-11-18 to 2026-11-22" in done.stdout


@pytest.mark.owner
def test_days_that_cannot_be_computed_are_named(terminal: Terminal, connection: Connection) -> None:
    add_attempts_without_tables(connection, UNTIL, read=3, failed=1)
    days = [UNTIL - timedelta(days=number) for number in range(1, 40)]
    for day in days:
        add_attempts_without_tables(connection, day, read=1, failed=0)
    done = terminal.run("report", "--from", "2026-10-01", "--to", "2026-11-22")
    assert "computed the daily tables of 31 days from 2026-10-23 to 2026-11-22" in done.stderr
    assert "Only the last 31 are computed at once" in done.stderr
