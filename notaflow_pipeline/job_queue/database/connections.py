"""How the queue's database is reached: one pool, checked connections, and one clear error when it cannot be.

What does not belong here: statements about rows.
"""

import os
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ReadOnlySqlTransaction
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from notaflow_pipeline.job_queue.database.foreign_triggers import explaining_triggers
from notaflow_pipeline.job_queue.database.search_path import path_to_queue
from notaflow_pipeline.job_queue.database.timestamps import clamp_timestamps
from notaflow_pipeline.job_queue.database.transient import describe_transient as describe_transient
from notaflow_pipeline.job_queue.database.transient import is_transient as is_transient

CONNECT_SECONDS = 10
"""How long one attempt to connect may take."""


STATEMENT_SECONDS = 30
"""How long one statement of the queue may run; they take milliseconds."""

LOCK_SECONDS = 10
"""How long one may wait for another program's lock on a row."""


RESPONSE_TIMEOUT_SECONDS = 40
"""How long an answer may stay out: what a statement may take, and some for a network and a pooler that are slow."""

SCAN_SECONDS = 600
"""How long one statement may run that reads the whole queue or its history."""

CHECK_SECONDS = 10
"""How long a pooled connection may take to show that it is alive; longer, and there is no time left to get another."""


UNREADABLE_URL = (
    "NOTAFLOW_DATABASE_URL is not a PostgreSQL URL; it looks like postgresql://user:password@host:5432/database, with "
    "special characters of the password percent-encoded (@ is %40, / is %2F)"
)


class DatabaseUnavailable(Exception):
    """The database cannot be reached, or refuses us. The message says where it was looked for, without a password."""


def connection_parameters(url: str) -> dict[str, str | int]:
    """Return libpq parameters for `url`: what it says, and limits so that nothing waits for ever.

    Raises:
        DatabaseUnavailable: `url` is not a PostgreSQL URL.
    """
    given = _parsed(url)
    if given is None:
        raise DatabaseUnavailable(UNREADABLE_URL)
    limits: dict[str, str | int] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "notaflow_pipeline",
        # a peer that is gone without a word is noticed within a minute
        "keepalives_idle": 20,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }
    return {**limits, **given}


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
    """Return the parameters of `url`, or None where a part of a password would end up in another parameter."""
    try:
        parameters = {key: value for key, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:
        return None
    misplaced = any("@" in str(parameters.get(part, "")) for part in ("host", "port", "dbname"))
    return None if misplaced or url.partition("?")[0].count("@") > 1 else parameters


def database_unavailable(url: str, cause: BaseException) -> DatabaseUnavailable:
    """Return the one error for a database that cannot be used, with the first line of the reason."""
    reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    return DatabaseUnavailable(
        f"cannot use {describe_database(url)}: {reason}. Is it running, and is NOTAFLOW_DATABASE_URL right?"
    )


class OutcomeRefused(Exception):
    """The database refuses to store what was read, and would again. Its message can repeat the text; this one does not."""


Answer = TypeVar("Answer")


class TimeLimitedConnection(Connection):
    """A connection that hangs up when an answer stays out, and when the server turns out to be read-only.

    The kernel notices peers that are gone, but not a pooler or a proxy that is there and says nothing; and every limit of
    a statement is kept by the server. A server that refuses to write is the wrong one since a failover: the pool then makes
    a new connection, which name resolution, a pooler or `target_session_attrs` may lead to the right one.
    """

    response_timeout_seconds: float | None = None
    """Another limit than `RESPONSE_TIMEOUT_SECONDS`."""

    limited = False
    """Whether the server keeps the limits for the whole session."""

    keep_plans_until = 0.0
    """When the pool has the server make its plans anew."""

    search_path: str | None = None
    """The path that finds this project's objects, for a session that belongs to others too."""

    def wait(self, gen: Generator[Any, Any, Answer], *arguments: Any, **options: Any) -> Answer:
        """Consume a generator of the driver's, which is driven ten times a second even when nothing comes."""
        limit = RESPONSE_TIMEOUT_SECONDS if self.response_timeout_seconds is None else self.response_timeout_seconds
        try:
            return super().wait(self._or_hang_up(gen, time.monotonic() + limit), *arguments, **options)
        except ReadOnlySqlTransaction:
            self.close()
            raise

    def _or_hang_up(self, gen: Generator[Any, Any, Answer], at: float) -> Generator[Any, Any, Answer]:
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > at:
                    # libpq sees a connection that was closed, and everything takes its usual way
                    with socket.socket(fileno=os.dup(self.fileno())) as end:
                        end.shutdown(socket.SHUT_RDWR)
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


PREPARE_AFTER = 3
"""A statement that a session runs so often is parsed once for all, and planned once for `KEEP_PLANS_SECONDS`."""

KEEP_PLANS_SECONDS = 10.0
"""How long a pooled connection keeps its plans: planning is half of what a claim and a finish cost the server, but a table
that was nearly empty when they were made may be full by now."""


_LIMIT = """
SELECT set_config('statement_timeout', %(statement)s, %(transaction_only)s),
       set_config('lock_timeout', %(lock)s, %(transaction_only)s),
       set_config('idle_in_transaction_session_timeout', %(statement)s, %(transaction_only)s),
       set_config('search_path', COALESCE(%(search_path)s, current_setting('search_path')), %(transaction_only)s)
"""

# the server's side of what `connection_parameters` has ours do
_NOTICE_LOST_CLIENT = """
SELECT set_config('tcp_keepalives_idle', '20', FALSE),
       set_config('tcp_keepalives_interval', '10', FALSE),
       set_config('tcp_keepalives_count', '3', FALSE)
"""


def _limits(search_path: str | None, *, transaction_only: bool) -> dict[str, str | bool | None]:
    return {
        "search_path": search_path,
        "statement": f"{STATEMENT_SECONDS}s",
        "lock": f"{LOCK_SECONDS}s",
        "transaction_only": transaction_only,
    }


def configure_session(connection: Connection) -> None:
    """Limit every statement, and let the driver prepare them, where the session is ours alone.

    A pooler in transaction mode hands each transaction to another session, which knows no prepared statement and belongs
    to others too: there only `short_transaction` has the server keep limits, and `TimeLimitedConnection` keeps its own. It
    shows itself by the process id: what it told the driver at the start is not the one of the server's process.

    The search_path is handled alike. Behind a pooler a transaction sets what was found out here, because PgBouncer 1.18
    refuses a connection that asks for a path; what runs there outside a transaction has the login's own path, on which
    `find_schema_differences` lets nothing stand before the queue's schema that has one of our names.
    """
    path = path_to_queue(connection)
    clamp_timestamps(connection)
    served_by = connection.execute("SELECT pg_backend_pid()").fetchone()
    if served_by != (connection.info.backend_pid,):
        connection.prepare_threshold = None
        if isinstance(connection, TimeLimitedConnection):
            connection.search_path = path
        return
    connection.prepare_threshold = PREPARE_AFTER
    connection.execute(_LIMIT, _limits(path, transaction_only=False))
    connection.execute(_NOTICE_LOST_CLIENT)
    if isinstance(connection, TimeLimitedConnection):
        connection.limited = True


def _is_limited(connection: Connection) -> bool:
    return isinstance(connection, TimeLimitedConnection) and connection.limited


@contextmanager
def short_transaction(connection: Connection) -> Iterator[None]:
    """Run a transaction whose statements neither run nor wait for long; afterwards the session is as it was.

    Where the session belongs to others too, the limits hold for the transaction alone. Nothing is sent ahead of an answer:
    after psycopg's pipeline the server no longer limits how long a transaction stands idle, so that a client without
    power keeps its locks, and PgBouncer keeps a connection for a client that has none to give back (both measured with
    psycopg 3.3, PostgreSQL 18 and PgBouncer 1.18; the cause is the Flush that it sends after its Sync).
    """
    with explaining_triggers(), connection.transaction():
        if not _is_limited(connection):
            path = connection.search_path if isinstance(connection, TimeLimitedConnection) else None
            connection.execute(_LIMIT, _limits(path, transaction_only=True))
        yield


@contextmanager
def short_statement(connection: Connection) -> Iterator[None]:
    """Run one statement as a transaction of its own, with the limits of `short_transaction`.

    It is one journey to the server where the session is ours, and a worker that vanishes on the way leaves no open
    transaction.
    """
    if _is_limited(connection):
        with explaining_triggers():
            yield
        return
    with short_transaction(connection):
        yield


_LET_SCAN = """
SELECT set_config('statement_timeout', %(limit)s, TRUE),
       set_config('idle_in_transaction_session_timeout', %(limit)s, TRUE)
"""


@contextmanager
def long_scan(connection: Connection) -> Iterator[None]:
    """Let the transaction that is open, its statements and the pauses between them, take as long as a scan of everything."""
    connection.execute(_LET_SCAN, {"limit": f"{SCAN_SECONDS}s"})
    if not isinstance(connection, TimeLimitedConnection):
        yield
        return
    connection.response_timeout_seconds, before = (
        SCAN_SECONDS + RESPONSE_TIMEOUT_SECONDS - STATEMENT_SECONDS,
        connection.response_timeout_seconds,
    )
    try:
        yield
    finally:
        connection.response_timeout_seconds = before


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
    """An attempt to connect that is repeated every second, not after twice as long each time."""

    DELAY_BACKOFF = 1.0


class ReconnectingPool(ConnectionPool[Connection]):
    """A pool that is back within about a second of the database, however long that was away.

    psycopg's own doubles the wait between two attempts to connect: after a minute's outage it takes up to 29 s, and
    leases run out that could have been renewed.
    """

    def _add_connection(self, attempt: AttemptWithBackoff | None, growing: bool = False) -> None:
        super()._add_connection(attempt or _ConstantDelayAttempt(timeout=self.reconnect_timeout), growing)


@contextmanager
def open_pool(url: str, max_size: int = 4) -> Iterator[ConnectionPool[Connection]]:
    """Open a pool whose connections are checked before use and replaced when broken; close it at the end.

    Raises:
        DatabaseUnavailable: no connection could be made.
    """
    probe(url)
    pool = ReconnectingPool(
        connection_class=TimeLimitedConnection,
        kwargs={
            **connection_parameters(url),
            "autocommit": True,  # a statement alone is a transaction; longer ones say so
            "prepare_threshold": None,  # until `configure` finds that there is no pooler in between
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


def probe(url: str) -> None:
    """Connect once and say at once why not: a pool would try again in the background until its time is up.

    Raises:
        DatabaseUnavailable: the reason is in the message.
    """
    with connect(url):
        pass


_WHICH_DATABASE = "SELECT pg_postmaster_start_time(), current_database()"


def is_same_database(url: str, other: str) -> bool:
    """Whether two URLs lead to one database, whatever they call its host, and whether or not a pooler is in between.

    Raises:
        DatabaseUnavailable: one of them cannot be reached.
    """
    with connect(url) as one, connect(other) as another:
        return one.execute(_WHICH_DATABASE).fetchone() == another.execute(_WHICH_DATABASE).fetchone()


@contextmanager
def connect(url: str, *, limited: bool = True) -> Iterator[Connection]:
    """Open one connection for a short errand.

    Args:
        url: of the database.
        limited: whether statements and answers are limited as those of the pool are; not for building indexes.

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
