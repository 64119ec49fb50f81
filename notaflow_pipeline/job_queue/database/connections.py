"""Connects to the queue's database: a pool of checked connections, single connections, and one error for failures.

`sessions` configures each connection.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from notaflow_pipeline.job_queue.database.sessions import TimeLimitedConnection, configure_session
from notaflow_pipeline.job_queue.database.timestamps import clamp_timestamps

CONNECT_SECONDS = 10
"""How long one attempt to connect may take."""

CHECK_SECONDS = 10
"""How long the check of a pooled connection may take; longer would leave no time to get another connection."""

KEEP_PLANS_SECONDS = 10.0
"""How long a pooled connection keeps its plans. Planning is half of what a claim and an outcome cost the server, but plans
for a nearly empty table are bad when it has filled."""


UNREADABLE_URL = (
    "NOTAFLOW_DATABASE_URL is not a PostgreSQL URL; it looks like postgresql://user:password@host:5432/database, with "
    "special characters of the password percent-encoded (@ is %40, / is %2F)"
)


class DatabaseUnavailable(Exception):
    """The database cannot be reached, or refuses the login. The message names the database, without a password."""


class OutcomeRefused(Exception):
    """The database refuses permanently to store an outcome. Unlike the driver's error, the message contains no text of it."""


class ClaimsRefused(Exception):
    """The database refuses to claim any of the ready documents. The message contains no values of a row."""

    def __init__(self, message: str, documents: Collection[UUID], reason: str) -> None:
        super().__init__(message)
        self.documents = documents
        self.reason = reason


def connection_parameters(url: str) -> dict[str, str | int]:
    """Return libpq parameters for `url`, with default timeouts.

    Raises:
        DatabaseUnavailable: `url` is not a PostgreSQL URL.
    """
    given = _parsed(url)
    if given is None:
        raise DatabaseUnavailable(UNREADABLE_URL)
    limits: dict[str, str | int] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "notaflow_pipeline",
        # a lost peer is detected within a minute
        "keepalives_idle": 20,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }
    # psycopg encodes texts for the server in this encoding; the default of a role may lack some characters
    return {**limits, **given, "client_encoding": "utf8"}


def describe_database(url: str) -> str:
    """Name the database of `url` for a message, without its password."""
    parameters = _parsed(url)
    if parameters is None:
        return "the database of NOTAFLOW_DATABASE_URL"
    host = str(parameters.get("host") or "localhost")
    ports = str(parameters.get("port") or 5432).split(",")
    hosts = host.split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    address = ",".join(one if one.startswith("/") else f"{one}:{port}" for one, port in zip(hosts, ports, strict=False))
    return f"database {parameters.get('dbname') or 'postgres'} at {address}"


def _parsed(url: str) -> dict[str, str | int] | None:
    """Return the parameters of `url`, or None if a part of a password would end up in another parameter."""
    try:
        parameters = {key: value for key, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:
        return None
    misplaced = any("@" in str(parameters.get(part, "")) for part in ("host", "port", "dbname"))
    return None if misplaced or url.partition("?")[0].count("@") > 1 else parameters


def database_unavailable(url: str, cause: BaseException) -> DatabaseUnavailable:
    """Return the error for a database that cannot be used, with the first line of the reason."""
    reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    return DatabaseUnavailable(
        f"cannot use {describe_database(url)}: {reason}. Is it running, and is NOTAFLOW_DATABASE_URL right?"
    )


def _check(connection: Connection) -> None:
    assert isinstance(connection, TimeLimitedConnection)  # noqa: S101 - the pool makes no others
    connection.response_timeout_seconds = CHECK_SECONDS
    try:
        if connection.limited and time.monotonic() > connection.keep_plans_until:
            connection.execute("DISCARD PLANS")
            connection.keep_plans_until = time.monotonic() + KEEP_PLANS_SECONDS
        else:
            ConnectionPool.check_connection(connection)
    finally:
        connection.response_timeout_seconds = None


class _ConstantDelayAttempt(AttemptWithBackoff):
    """An attempt to connect that is repeated every second, instead of with growing pauses."""

    DELAY_BACKOFF = 1.0


class ReconnectingPool(ConnectionPool[Connection]):
    """A pool that reconnects within about a second after the database is available again, however long the outage was.

    psycopg's pool doubles the wait between two attempts to connect. After an outage of a minute it takes up to 29 s, and
    leases expire that could have been renewed.
    """

    def _add_connection(self, attempt: AttemptWithBackoff | None, growing: bool = False) -> None:
        super()._add_connection(attempt or _ConstantDelayAttempt(timeout=self.reconnect_timeout), growing)


@contextmanager
def open_pool(url: str, max_size: int = 4) -> Iterator[ConnectionPool[Connection]]:
    """Open a pool whose connections are checked before use and replaced when broken; close it at the end.

    Raises:
        DatabaseUnavailable: no connection could be made.
    """
    check_connection(url)
    pool = ReconnectingPool(
        connection_class=TimeLimitedConnection,
        kwargs={
            **connection_parameters(url),
            "autocommit": True,  # a single statement is a transaction; longer ones are explicit
            "prepare_threshold": None,  # until `configure_session` finds that there is no pooler
        },
        configure=configure_session,
        min_size=1,
        max_size=max_size,
        timeout=30,
        check=_check,
        open=False,
    )
    with pool:
        try:
            pool.wait(timeout=CONNECT_SECONDS * 2)
        except PoolTimeout as timeout:
            raise database_unavailable(url, timeout) from timeout
        yield pool


def check_connection(url: str) -> None:
    """Connect once, to report a failure at once: a pool would retry in the background until its timeout.

    Raises:
        DatabaseUnavailable: the reason is in the message.
    """
    with connect(url):
        pass


_DATABASE_IDENTITY = "SELECT pg_postmaster_start_time(), current_database()"


def is_same_database(url: str, other: str) -> bool:
    """Whether two URLs lead to the same database, also under different host names or through a pooler.

    Raises:
        DatabaseUnavailable: one of them cannot be reached.
    """
    with connect(url) as one, connect(other) as another:
        return one.execute(_DATABASE_IDENTITY).fetchone() == another.execute(_DATABASE_IDENTITY).fetchone()


@contextmanager
def connect(url: str, *, limited: bool = True) -> Iterator[Connection]:
    """Open a single connection.

    Args:
        url: of the database.
        limited: whether statements and responses have the limits of the pool; False for building indexes.

    Raises:
        DatabaseUnavailable: the reason is in the message.
    """
    kind = TimeLimitedConnection if limited else Connection
    try:
        connection = kind.connect(**connection_parameters(url), autocommit=True, prepare_threshold=None)  # type: ignore[arg-type]
        clamp_timestamps(connection)
        if limited:
            configure_session(connection)
    except psycopg.Error as refused:
        raise database_unavailable(url, refused) from refused
    with connection:
        yield connection
