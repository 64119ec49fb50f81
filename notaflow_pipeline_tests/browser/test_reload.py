"""Tests of loading the code again, from the page and during a run."""

from pathlib import Path
from typing import TYPE_CHECKING

from notaflow_pipeline_tests.browser.dagster import Dagster
from notaflow_pipeline_tests.processes.dagster_runs import DOCUMENTS, open_claims, parts, read_by, run_at_work, runs
from notaflow_pipeline_tests.testing.ending import kill
from notaflow_pipeline_tests.testing.processes import ready_documents
from notaflow_pipeline_tests.testing.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

SERVES = "code_server.py api grpc"
"""In the command of the process that has loaded the code."""


def test_reload_replaces_the_code_and_active_runs_can_be_terminated(idle: Dagster) -> None:
    connection, ui = idle.connection, idle.ui
    ui.stop_sensor("ocr_ready_sensor")
    ready_documents(connection, idle.terminal, DOCUMENTS)
    run = run_at_work(connection, ui)
    serving = set(parts(idle.terminal, SERVES))
    assert ui.reload() == "LOADED"
    assert set(parts(idle.terminal, SERVES)) - serving, "another process has loaded the code anew"
    known = read_by(connection, run)
    wait_until(lambda: read_by(connection, run) > known)
    assert ui.terminate(run) == "TerminateRunSuccess"
    wait_until(lambda: open_claims(connection, run) == 0)
    wait_until(lambda: runs(connection)[run] == "CANCELED")
    # what served the old code ends with its last run
    wait_until(lambda: not serving & set(parts(idle.terminal, SERVES)))
    # and a process that serves the code and dies is replaced
    kill(parts(idle.terminal, SERVES))
    wait_until(lambda: ui.answer_to_launch("ocr_job", {}) == "LaunchRunSuccess")
    ui.start_sensor("ocr_ready_sensor")


def test_reload_loads_the_code_again_and_says_so(page: "Page", dagster: Dagster) -> None:
    serving = set(parts(dagster.terminal, SERVES))
    schedule = f"{dagster.url}/locations/notaflow_pipeline/schedules/dashboard_schedule"
    page.goto(schedule)
    page.get_by_text("America/Toronto").first.wait_for()
    # what the definitions are made from: Dagster's processes read this file when they start
    settings = Path(dagster.terminal.environment["NOTAFLOW_HOME"], "dagster", ".env")
    settings.write_text("NOTAFLOW_TIMEZONE=America/Halifax\n")
    page.goto(f"{dagster.url}/locations")
    page.get_by_role("button", name="Reload").nth(1).click()  # the first is "Reload all"
    page.get_by_text("eloaded!").wait_for()
    page.goto(schedule)
    page.get_by_text("America/Halifax").first.wait_for()
    assert set(parts(dagster.terminal, SERVES)) - serving
