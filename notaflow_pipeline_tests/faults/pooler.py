"""PgBouncer in transaction mode, as packaged by Debian, in front of a server of the tests."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from notaflow_pipeline_tests.testing.ports import free_port
from notaflow_pipeline_tests.testing.waiting import wait_until

SETTINGS = """
[databases]
* = {server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
"""


def unavailable() -> str | None:
    """Return why no pooler can be started here; None if one can."""
    return None if _program() else "PgBouncer is not installed (apt-get install pgbouncer)"


@contextmanager
def pooler_before(database_url: str, pool_size: int) -> Iterator[str]:
    """Yield the URL of the same database through a pooler; with another name, it leads to another database of the server."""
    port = free_port()
    # not in pytest's own folder, which it locks from the user that PgBouncer runs as
    with tempfile.TemporaryDirectory(prefix="notaflow-pgbouncer-") as place:
        Path(place).chmod(0o755)
        configuration = Path(place) / "pgbouncer.ini"
        configuration.write_text(
            SETTINGS.format(server=_server_of(database_url), port=port, pool_size=pool_size), encoding="utf-8"
        )
        with (Path(place) / "log").open("w") as log:
            pooler = subprocess.Popen(
                [str(_program()), *_not_as_root(database_url), str(configuration)], stdout=log, stderr=subprocess.STDOUT
            )
        user = conninfo_to_dict(database_url).get("user") or "postgres"
        url = f"postgresql://{user}@127.0.0.1:{port}/{conninfo_to_dict(database_url)['dbname']}"
        try:

            def answers_or_has_ended() -> bool:
                assert pooler.poll() is None, (Path(place) / "log").read_text()
                return _answers(url)

            wait_until(answers_or_has_ended)
            yield url
        finally:
            pooler.kill()
            pooler.wait()


def _program() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _server_of(database_url: str) -> str:
    """Return the server's line in `[databases]`, without a database: PgBouncer uses the one that its client names."""
    parameters = conninfo_to_dict(database_url)
    given = {
        "host": parameters.get("host") or "127.0.0.1",
        "port": parameters.get("port") or 5432,
        "user": parameters.get("user") or "postgres",
        "password": parameters.get("password"),
    }
    return " ".join(f"{name}={value}" for name, value in given.items() if value is not None)


def _not_as_root(database_url: str) -> list[str]:
    """Return the user for PgBouncer, which refuses to run as root: the server's user, who can reach its socket."""
    if os.geteuid() != 0:
        return []
    host = Path(str(conninfo_to_dict(database_url).get("host", "")))
    owner = host.owner() if host.is_absolute() else "root"
    return ["-u", owner if owner != "root" else pwd.getpwnam("nobody").pw_name]


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=5):
            return True
    except psycopg.OperationalError:
        return False
