"""Tests of alerts in a running `notaflow dev`: the start and end of every check failure are reported once each."""

import signal
from datetime import date, datetime, time, timedelta
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from psycopg import Connection

from notaflow_pipeline.alerting.delivery import POSSIBLE_DUPLICATE
from notaflow_pipeline.reporting.daily_tables.daily_storage import write_day
from notaflow_pipeline_tests.alerting.receiver_servers import Webhook, webhook
from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, defs
from notaflow_pipeline_tests.processes.dagster_runs import command, parts
from notaflow_pipeline_tests.processes.dagster_ui import DagsterUI
from notaflow_pipeline_tests.reporting.daily_tables.attempt_history import add_attempt
from notaflow_pipeline_tests.testing.clock import zone_at_noon
from notaflow_pipeline_tests.testing.ending import kill
from notaflow_pipeline_tests.testing.job_queue import READING, add_document, ago, change, claim_one, succeed
from notaflow_pipeline_tests.testing.ports import free_port
from notaflow_pipeline_tests.testing.processes import count_at, ready_documents, running_dev, started_from
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}"),
]

ZONE = zone_at_noon()
"""Days are counted while they pass: none may end during the test."""

SETTINGS = {
    "NOTAFLOW_TIMEZONE": ZONE,
    "NOTAFLOW_ALERT_INTERVAL_SECONDS": "5",
    "NOTAFLOW_ALERT_EXHAUSTED_HOURS": "0",
    "NOTAFLOW_ALERT_STUCK_MINUTES": "0",
    "NOTAFLOW_ALERT_IDLE_MINUTES": "0.05",
    "NOTAFLOW_ALERT_MIN_DOCUMENTS": "5",
}

ORACLE = ("extraction_queue", "queue_invariants")
RECOUNT = ("ocr_daily_failure_rate", "daily_tables_reconciled")

FIRST_OF_RANGE = "dagster/asset_partition_range_start"
LAST_OF_RANGE = "dagster/asset_partition_range_end"


def test_start_and_end_of_every_check_failure_are_reported_once(terminal: Terminal, connection: Connection) -> None:
    checks = {f"check {key.name} of {key.asset_key.to_user_string()}" for key in all_checks()}
    today = write_usual_days(connection)
    with webhook() as hook:
        told = Terminal(terminal.folder, terminal.environment | SETTINGS | {"NOTAFLOW_ALERT_URLS": hook.url})
        ui = DagsterUI(free_port())
        with running_dev(told, ui.port) as dev:
            wait_until(ui.answers)
            # nobody launches runs any more, as after a click too many
            ui.stop_sensor("ocr_ready_sensor")
            ui.stop_sensor("ocr_recovery_sensor")
            # and the receiver is down when it begins: what is to be said waits
            hook.accepts = False
            break_everything(connection, told, today)
            run = ui.execute_checks(ORACLE, RECOUNT)
            wait_until(lambda: is_open(connection, len(checks)))
            wait_until(lambda: ui.status(run) in {"SUCCESS", "FAILURE"})
            assert ui.status(run) == "SUCCESS", "a check that fails fails no run"
            wait_until(lambda: hook.requests >= 1)
            assert hook.messages == []
            hook.accepts = True
            end_delivery_backoff(connection)
            wait_until(lambda: len(hook.messages) >= len(checks))
            assert sorted(hook.titles) == sorted(f"NotaFlow: {one} fails" for one in checks)
            assert_says_what_to_do(hook)

            repair_everything(connection, ui, today)
            wait_until(lambda: open_conditions(connection) == {"check exhausted_acknowledged of extraction_queue"})
            # the document that was stuck on its last attempt is exhausted now, and is acknowledged too
            assert told.run("alert", "--seen").returncode == 0
            wait_until(lambda: all(titles_of(hook, one)[-1].endswith("no longer fails") for one in checks))
            # on a busy machine a document may wait too long once more meanwhile, which is reported and ends too
            for one in checks:
                starts_and_ends = [f"NotaFlow: {one} fails", f"NotaFlow: {one} no longer fails"]
                assert titles_of(hook, one) == starts_and_ends * (len(titles_of(hook, one)) // 2)
            messages_about_checks = len(hook.messages)

            # a run fails, and everything of NotaFlow is killed when the receiver has the message and has not said so
            page_folder = told.folder / "home" / "reports"
            page_folder.parent.mkdir(exist_ok=True)
            page_folder.write_text("where a folder belongs")
            sockets = folder_of_sockets(told)
            hook.before_answer = lambda: kill_everything(told)
            ui.launch("dashboard_job")
            dev.wait(timeout=HANG_SECONDS)
            assert dev.returncode == -signal.SIGKILL
            hook.before_answer = lambda: None
            sent = len(hook.messages)
            assert sockets.exists()
            assert hook.titles[messages_about_checks:] == ["NotaFlow: job dashboard_job fails"]

        # the next sender waits until the one before cannot be alive any more, 40 s; that is over now
        connection.execute(
            "UPDATE ocr_alert_delivery SET claimed_until = clock_timestamp() WHERE claimed_until IS NOT NULL"
        )
        with running_dev(told, ui.port) as dev:
            wait_until(lambda: len(hook.messages) > sent)
            before, again = hook.messages[sent - 1 : sent + 1]
            assert again["headers"]["Idempotency-Key"] == before["headers"]["Idempotency-Key"]
            assert again["title"] == before["title"]
            assert POSSIBLE_DUPLICATE in again["message"]
            assert POSSIBLE_DUPLICATE not in before["message"]
            page_folder.unlink()
            wait_until(ui.answers)
            assert not sockets.exists(), "what the killed one left is removed"
            ui.launch("dashboard_job")
            wait_until(lambda: len(hook.messages) >= sent + 2)
            assert hook.titles[sent + 1 :] == ["NotaFlow: job dashboard_job no longer fails"]
            dev.send_signal(signal.SIGINT)
            dev.wait(timeout=HANG_SECONDS)
        assert len(hook.messages) == messages_about_checks + 3, "once each, but for the one that was cut off"
        ids = {one["headers"]["Idempotency-Key"] for one in hook.messages}
        assert len(ids) == messages_about_checks + 2


def all_checks() -> set[dg.AssetCheckKey]:
    """Every check that the project has: one that no one made fail here makes the test fail."""
    return set(defs.resolve_asset_graph().asset_check_keys)


def write_usual_days(connection: Connection) -> date:
    """Write fourteen days that are like each other, and their tables; return the day after them."""
    today = datetime.now(ZoneInfo(ZONE)).date()
    for day in (today - timedelta(days=back) for back in range(14, 0, -1)):
        noon = datetime.combine(day, time(12), ZoneInfo(ZONE))
        for _ in range(6):
            add_attempt(connection, uuid4(), noon - timedelta(seconds=20), noon)
        write_day(connection, day, timezone=ZONE, low_confidence=60, low_coverage=0.7)
    return today


def break_everything(connection: Connection, told: Terminal, today: date) -> None:
    """Make every check fail, each by a fact of its own."""
    # a read document that another program changed, which the trigger did not see
    add_document(connection, supabase_path="index/page.png")
    assert succeed(connection, claim_one(connection), READING)
    connection.execute("UPDATE extraction_queue SET ocr_attempts = 2 WHERE status_id = 5")
    connection.execute("UPDATE extraction_queue SET ocr_changed_elsewhere_at = NULL")
    # failed for good; left behind on its last attempt; and ready for more than a day
    add_document(connection, ocr_attempts=3)
    add_document(connection, status_id=6, ocr_attempts=1, ocr_max_attempts=1, ocr_started_at=ago("11 minutes"))
    (waiting,) = ready_documents(connection, told, 1)
    change(connection, "extraction_queue", waiting, created_at=ago("25 hours"), updated_at=ago("25 hours"))
    # half of today's attempts fail for good, and the others are slow, unsure and incomplete
    ended = datetime.now(ZoneInfo(ZONE))
    for _ in range(6):
        add_attempt(connection, uuid4(), ended, ended, outcome="failed", exhausted=True)
        add_attempt(connection, uuid4(), ended - timedelta(minutes=5), ended, mean_confidence=40.0, coverage=0.5)
    write_day(connection, today, timezone=ZONE, low_confidence=60, low_coverage=0.7)
    # a figure of a table is wrong
    wrong = "UPDATE ocr_daily_performance SET pages = pages + 1 WHERE day = %s AND document_source = 'all'"
    assert connection.execute(wrong, [today - timedelta(days=2)]).rowcount == 1
    # and the night after that day was missed: it was computed while it lasted, and never since
    missed = "UPDATE ocr_daily_failure_rate SET computed_at = day::timestamptz WHERE day = %s"
    assert connection.execute(missed, [today - timedelta(days=2)]).rowcount > 0


def repair_everything(connection: Connection, ui: DagsterUI, today: date) -> None:
    """Do what the messages say: start what stands still, compute the tables anew, put right what was changed."""
    ui.start_sensor("ocr_ready_sensor")
    ui.start_sensor("ocr_recovery_sensor")
    connection.execute("UPDATE extraction_queue SET ocr_attempts = 1 WHERE status_id = 5 AND ocr_attempts = 2")
    ui.launch("queue_invariants_job")
    # not before the waiting document is read: claims that nobody made would look like work on it
    wait_until(lambda: count_at(connection, 5) == 2)
    ended = datetime.now(ZoneInfo(ZONE))
    with connection.transaction():
        for _ in range(300):
            add_attempt(connection, uuid4(), ended - timedelta(seconds=20), ended)
    first, last = today - timedelta(days=2), today
    ui.launch("ocr_daily_job", **{FIRST_OF_RANGE: first.isoformat(), LAST_OF_RANGE: last.isoformat()})


def assert_says_what_to_do(hook: Webhook) -> None:
    """Each message names the figures and the next step."""
    said = {one["title"].removeprefix("NotaFlow: check ").split()[0]: one["message"] for one in hook.messages}
    for check, words in {
        "queue_progress": ("ready / prêts: 1", "ocr_ready_sensor"),
        "stuck_documents": ("stuck / interrompus: 1", "`notaflow recover`"),
        "waiting_time": ("oldest hours / heures d’attente: 25", "`notaflow status --watch`"),
        "exhausted_acknowledged": (
            "not acknowledged / non confirmés: 1",
            "`notaflow alert --seen`",
            "`notaflow list --state exhausted`",
        ),
        "attempt_failure_rate_high": ("failed / échecs: 6", "`notaflow doctor`"),
        "document_failure_rate_high": ("failed / échecs: 6", "`notaflow retry`"),
        "duration_anomaly": ("p95 seconds / 95e centile en secondes: 300", "slow storage"),
        "confidence_anomaly": ("mean confidence / confiance moyenne: 4", "`notaflow reread`"),
        "coverage_anomaly": ("coverage percent / couverture en pour cent: 5", "`notaflow reread --coverage-below 0.8`"),
        "daily_tables_complete": ("days missed / jours manquants: 1", "ocr_daily_schedule"),
        "queue_invariants": ("violations / incohérences: 1", "`notaflow recover`", "threshold / seuil: 0"),
        "daily_tables_reconciled": (
            "wrong days / jours erronés: 1",
            "Materialise those days",
            "threshold / seuil: 0",
            "day / jour: ",
        ),
    }.items():
        for word in words:
            assert word in said[check], said[check]
        assert f"checkDetail={check}" in said[check]
        figures = {line.partition(":")[0] for line in said[check].splitlines() if line[:1].islower()}
        assert [name for name in figures - {"documents", "message"} if " / " not in name] == [], (
            "each in both languages"
        )


def is_open(connection: Connection, count: int) -> bool:
    """Whether so many conditions are open."""
    row = connection.execute("SELECT count(*) FROM ocr_alert_condition WHERE opened_at IS NOT NULL").fetchone()
    return row == (count,)


def open_conditions(connection: Connection) -> set[str]:
    """The titles of the conditions that fail now."""
    rows = connection.execute("SELECT title FROM ocr_alert_condition WHERE opened_at IS NOT NULL").fetchall()
    return {title for (title,) in rows}


def titles_of(hook: Webhook, check: str) -> list[str]:
    """The titles of the messages about a check, in order."""
    return [title for title in hook.titles if title.startswith(f"NotaFlow: {check} ")]


def end_delivery_backoff(connection: Connection) -> None:
    """Let the wait after a refusal be over."""
    connection.execute("UPDATE ocr_alert_receiver SET next_attempt_at = NULL")


def folder_of_sockets(terminal: Terminal) -> Path:
    """The folder of the socket of `notaflow dev`'s code server, which starts servers with sockets elsewhere."""
    [code_server] = parts(terminal, "--reload --socket")
    words = command(code_server)
    return Path(words[words.index("--socket") + 1]).parent


def kill_everything(terminal: Terminal) -> None:
    """Kill `notaflow dev` and all that it started, as a power cut would."""
    kill(started_from(terminal))
