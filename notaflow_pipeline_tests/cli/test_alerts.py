"""Tests of `notaflow alert`: test messages, checks from outside Dagster, and acknowledgements."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg import Connection

from notaflow_pipeline.alerting.database_outage import STATE_FILE, report_outage
from notaflow_pipeline.alerting.delivery import POSSIBLE_DUPLICATE
from notaflow_pipeline.alerting.receivers import Receiver
from notaflow_pipeline.cli.alerts import _evaluate
from notaflow_pipeline.job_queue.database import sessions
from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable
from notaflow_pipeline.settings import Settings
from notaflow_pipeline_tests.alerting.receiver_servers import smtp_server, webhook
from notaflow_pipeline_tests.cli import Terminal, open_terminal
from notaflow_pipeline_tests.faults.proxy import proxy_before
from notaflow_pipeline_tests.testing.job_queue import ENCRYPTED, READING, add_document, ago, claim_one, fail, succeed
from notaflow_pipeline_tests.testing.ports import free_port
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

SECRET = "correcthorsebattery"

# not pg_stat_activity, which shows the same throughout a transaction
TERMINATE_WAITING = """
SELECT pg_terminate_backend(pid)
FROM pg_locks
WHERE relation = 'ocr_daily_failure_rate'::regclass
  AND NOT granted
"""


def test_test_message_reports_each_receiver_without_secrets_or_database(tmp_path: Path) -> None:
    nowhere = free_port()
    terminal = open_terminal(tmp_path, f"postgresql://u:{SECRET}@127.0.0.1:{nowhere}/x")
    with webhook() as hook, smtp_server() as box:
        good = (
            f"json://u:{SECRET}@127.0.0.1:{hook.port}/ mailto://u:{SECRET}@127.0.0.1:{box.port}?from=a@b.ca&to=c@d.ca"
        )
        done = terminal.run("alert", "--test", NOTAFLOW_ALERT_URLS=good)
        assert (done.returncode, done.stderr) == (0, "")
        assert [line.split()[0] for line in done.stdout.splitlines()] == ["delivered", "delivered"]
        assert f"json://127.0.0.1:{hook.port}/***" in done.stdout
        assert (hook.titles, len(box.mails)) == (["NotaFlow: test"], 1)
        some = terminal.run("alert", "--test", NOTAFLOW_ALERT_URLS=f"json://u:{SECRET}@127.0.0.1:{nowhere}/ {hook.url}")
    assert some.returncode == 1
    refused, delivered = some.stdout.splitlines()
    assert "Connection error" in refused
    assert delivered.startswith("delivered")
    assert SECRET not in done.stdout + some.stdout + some.stderr
    none = terminal.run("alert", "--test")
    assert (none.returncode, none.stderr.count("\n")) == (1, 1)
    assert "NOTAFLOW_ALERT_URLS is empty" in none.stderr


def test_check_from_outside_reports_and_exits_with_1_until_all_is_well(
    terminal: Terminal, connection: Connection
) -> None:
    add_document(connection, ocr_attempts=3, ocr_last_error_at=ago("2 days"))
    add_document(connection, created_at=ago("1 minute"))
    with webhook() as hook:
        urls = {"NOTAFLOW_ALERT_URLS": hook.url, "NOTAFLOW_ALERT_IDLE_MINUTES": "5"}
        first = terminal.run("alert", "--check", **urls)
        assert first.returncode == 1
        assert "failed all attempts" in first.stdout
        connection.execute("UPDATE ocr_progress_watch SET idle_since = clock_timestamp() - interval '6 minutes'")
        second = terminal.run("alert", "--check", **urls)
        assert "none was claimed" in second.stdout
        assert hook.titles == [
            "NotaFlow: check exhausted_acknowledged of extraction_queue fails",
            "NotaFlow: check queue_progress of extraction_queue fails",
        ]
        (shown,) = terminal.json("alert", **urls)
        assert len(shown["open"]) == 2
        assert [one["waiting"] for one in shown["receivers"]] == [0]
        terminal.run("alert", "--seen")
        connection.execute("DELETE FROM extraction_queue WHERE ocr_attempts = 0")
        last = terminal.run("alert", "--check", **urls)
        assert (last.returncode, last.stdout.strip()) == (0, "Nothing is alarming.")
        assert [title.partition(" of ")[2] for title in hook.titles[2:]] == ["extraction_queue no longer fails"] * 2


def test_outage_of_the_database_and_its_end_are_reported_once_each(
    terminal: Terminal, connection: Connection, tmp_path: Path
) -> None:
    unavailable = {"NOTAFLOW_DATABASE_URL": f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/x"}
    with webhook() as hook, webhook() as other:
        urls = {"NOTAFLOW_ALERT_URLS": f"{hook.url} {other.url}"}
        other.accepts = False
        for _ in range(2):
            done = terminal.run("alert", "--check", **urls, **unavailable)
            assert done.returncode == 1
            assert "cannot use database x at 127.0.0.1" in done.stdout
        other.accepts = True
        terminal.run("alert", "--check", **urls, **unavailable)
        assert hook.titles == other.titles == ["NotaFlow: the database fails"]
        terminal.run("alert", "--check", **urls, **unavailable, NOTAFLOW_ALERT_REMINDER_INTERVAL_HOURS="0.00001")
        assert hook.titles[1:] == ["NotaFlow: the database still fails"]
        assert terminal.run("alert", "--check", **urls).returncode == 0
        terminal.run("alert", "--check", **urls)
        assert hook.titles[2:] == other.titles[2:] == ["NotaFlow: the database no longer fails"]
        assert SECRET not in str(hook.messages) + done.stdout + done.stderr
    assert not (tmp_path / "home" / "database-alert.json").exists()


def test_database_lost_during_the_evaluation_is_reported(terminal: Terminal, connection: Connection) -> None:
    with webhook() as hook:
        urls = {"NOTAFLOW_ALERT_URLS": hook.url}
        with connection.transaction():
            connection.execute("LOCK TABLE ocr_daily_failure_rate IN ACCESS EXCLUSIVE MODE")
            with terminal.start("alert", "--check", **urls) as watch:
                # the look waits for the table: it has connected, and is in the middle
                wait_until(lambda: bool(connection.execute(TERMINATE_WAITING).fetchall()))
                said, _ = watch.communicate(timeout=HANG_SECONDS)
        assert watch.returncode == 1
        assert said.startswith("cannot use database")
        assert hook.titles == ["NotaFlow: the database fails"]
        assert terminal.run("alert", "--check", **urls).returncode == 0
        assert hook.titles[1:] == ["NotaFlow: the database no longer fails"]


def test_server_that_stops_answering_ends_the_evaluation(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "RESPONSE_TIMEOUT_SECONDS", 1)
    with proxy_before(database_url) as proxy:
        proxy.go_silent_at("FROM ocr_daily_performance")
        with pytest.raises(DatabaseUnavailable, match="cannot use database"):
            _evaluate(proxy.url, Settings(_env_file=None), [], ())


def test_outage_message_killed_before_its_record_is_repeated_with_its_id(tmp_path: Path) -> None:
    def tell(now: datetime) -> list[str]:
        return report_outage(
            tmp_path,
            (Receiver(hook.url),),
            error="gone",
            now=now,
            every=timedelta(hours=1),
            timezone="America/Toronto",
            ui_url="http://127.0.0.1:3000",
        )

    def die() -> None:
        # what was written once the message was out is not there
        shutil.copy(tmp_path / STATE_FILE, tmp_path / "before")

    with webhook() as hook:
        hook.before_answer = die
        tell(datetime(2026, 3, 8, 12, tzinfo=UTC))
        shutil.move(tmp_path / "before", tmp_path / STATE_FILE)
        tell(datetime(2026, 3, 8, 12, 5, tzinfo=UTC))
        first, second = (one["headers"]["Idempotency-Key"] for one in hook.messages)
        assert first == second
        tell(datetime(2026, 3, 8, 12, 10, tzinfo=UTC))
        assert len(hook.messages) == 2


def test_condition_is_forgotten_by_its_name_and_options_exclude_each_other(
    terminal: Terminal, connection: Connection
) -> None:
    add_document(connection, ocr_attempts=3, ocr_last_error_at=ago("2 days"))
    terminal.run("alert", "--check")
    key = "check:extraction_queue:exhausted_acknowledged"
    assert key in terminal.run("alert").stdout
    assert terminal.run("alert", "--forget", key).returncode == 0
    again, both = terminal.run("alert", "--forget", key), terminal.run("alert", "--test", "--check")
    for done in (again, both):
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_message_of_a_killed_process_is_repeated_once_with_its_id(terminal: Terminal, connection: Connection) -> None:
    add_document(connection, ocr_attempts=3, ocr_last_error_at=ago("2 days"))
    with webhook() as hook:
        hook.keeps_silent_seconds = HANG_SECONDS
        with terminal.start("alert", "--check", NOTAFLOW_ALERT_URLS=hook.url) as watch:
            wait_until(lambda: len(hook.messages) == 1)
            watch.kill()
            watch.communicate()
        hook.woken.set()
        # the claim of the killed process, with an expiry that no busy machine reaches during the test
        extend = "UPDATE ocr_alert_delivery SET claimed_until = clock_timestamp() + interval '1 day'"
        assert connection.execute(f"{extend} WHERE claimed_until IS NOT NULL").rowcount == 1
        assert terminal.run("alert", "--check", NOTAFLOW_ALERT_URLS=hook.url).returncode == 1
        assert len(hook.messages) == 1, "its claim holds"
        connection.execute("UPDATE ocr_alert_delivery SET claimed_until = clock_timestamp()")
        for _ in range(2):
            terminal.run("alert", "--check", NOTAFLOW_ALERT_URLS=hook.url)
        first, again = hook.messages
        assert first["headers"]["Idempotency-Key"] == again["headers"]["Idempotency-Key"]
        assert POSSIBLE_DUPLICATE in again["message"]


def test_check_evaluates_todays_failures_where_dagster_never_ran(terminal: Terminal, connection: Connection) -> None:
    for number in range(20):
        add_document(connection, document_number=str(number), ocr_max_attempts=1)
        held = claim_one(connection)
        assert fail(connection, held, ENCRYPTED) if number % 2 else succeed(connection, held, READING)
    assert terminal.run("alert").stdout == "No condition is open. `notaflow alert --check` evaluates every check now.\n"
    done = terminal.run("alert", "--check")
    assert done.returncode == 1, done.stdout
    assert "Nothing is alarming" not in done.stdout
    assert "of 20 attempts" in done.stdout or "10 of 20" in done.stdout, done.stdout
