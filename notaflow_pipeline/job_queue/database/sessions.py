"""Configures database sessions: limits of statements and locks, prepared statements, and the search_path.

Where a pooler shares sessions, limits are set for each transaction, and the client's connection has its own time limit.
"""

import os
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from psycopg import Connection, IsolationLevel
from psycopg.errors import InternalError, ReadOnlySqlTransaction
from psycopg.pq import TransactionStatus

from notaflow_pipeline.job_queue.database.foreign_triggers import explaining_triggers
from notaflow_pipeline.job_queue.database.search_path import path_to_queue
from notaflow_pipeline.job_queue.database.timestamps import clamp_timestamps

STATEMENT_SECONDS = 30
"""How long one statement of the queue may run; statements take milliseconds."""

LOCK_SECONDS = 10
"""How long a statement may wait for another program's lock on a row."""

RESPONSE_TIMEOUT_SECONDS = 40
"""How long a response may take: the limit of a statement, and time for a slow network and a pooler."""

SCAN_SECONDS = 600
"""How long one statement may run that reads the whole queue or its history."""

PREPARE_AFTER = 3
"""After so many executions in a session a statement is parsed once, and planned once for `KEEP_PLANS_SECONDS`."""

Answer = TypeVar("Answer")


class TimeLimitedConnection(Connection):
    """A connection that closes when a response takes too long or is not the expected one, or when the server is read-only.

    TCP keepalives detect lost peers, but not a pooler or proxy that stops responding, and statement limits are kept by the
    server. After a failover a read-only server is the wrong one: the pool then makes a new connection, which name
    resolution, a pooler or `target_session_attrs` may lead to the right one.
    """

    response_timeout_seconds: float | None = None
    """Replaces `RESPONSE_TIMEOUT_SECONDS`."""

    limited = False
    """Whether the server keeps the limits for the whole session."""

    keep_plans_until = 0.0
    """When the pool discards the session's cached plans."""

    search_path: str | None = None
    """The path that finds this project's objects, for a session that is shared with other clients."""

    def wait(self, gen: Generator[Any, Any, Answer], *arguments: Any, **options: Any) -> Answer:
        """Consume a generator of the driver, which is resumed ten times a second even if nothing arrives."""
        limit = RESPONSE_TIMEOUT_SECONDS if self.response_timeout_seconds is None else self.response_timeout_seconds
        try:
            return super().wait(self._with_deadline(gen, time.monotonic() + limit), *arguments, **options)
        except (ReadOnlySqlTransaction, InternalError) as error:
            # without SQLSTATE the driver got other responses than it expects, and would take the next one for another's
            if isinstance(error, ReadOnlySqlTransaction) or error.sqlstate is None:
                self.close()
            raise

    def _with_deadline(self, gen: Generator[Any, Any, Answer], deadline: float) -> Generator[Any, Any, Answer]:
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    # libpq sees a closed connection and reports it as usual
                    with socket.socket(fileno=os.dup(self.fileno())) as end:
                        end.shutdown(socket.SHUT_RDWR)
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


def _limits(search_path: str | None, *, transaction_only: bool) -> dict[str, str | bool | None]:
    return {
        "search_path": search_path,
        "statement": f"{STATEMENT_SECONDS}s",
        "lock": f"{LOCK_SECONDS}s",
        "transaction_only": transaction_only,
    }


_LIMIT = """
SELECT set_config('statement_timeout', %(statement)s, %(transaction_only)s),
       set_config('lock_timeout', %(lock)s, %(transaction_only)s),
       set_config('idle_in_transaction_session_timeout', %(statement)s, %(transaction_only)s),
       set_config('search_path', COALESCE(%(search_path)s, current_setting('search_path')), %(transaction_only)s)
"""

# Limits of a role or a database that would end our session between two statements, or a long scan: an upload, the reading of
# a page or a report may take minutes. Only those that the server has: transaction_timeout exists since PostgreSQL 17.
_LIFT_OTHER_LIMITS = """
SELECT set_config(name, '0', FALSE)
FROM pg_settings
WHERE name IN ('idle_session_timeout', 'transaction_timeout')
  AND setting <> '0'
"""

# the server's side of the keepalives in `connection_parameters`
_DETECT_LOST_CLIENT = """
SELECT set_config('tcp_keepalives_idle', '20', FALSE),
       set_config('tcp_keepalives_interval', '10', FALSE),
       set_config('tcp_keepalives_count', '3', FALSE)
"""


def configure_session(connection: Connection) -> None:
    """Limit every statement, and let the driver prepare statements, if the session is not shared.

    A pooler in transaction mode gives each transaction another session, which has no prepared statements and is shared with
    other clients. There the server keeps limits only within `short_transaction`, and `TimeLimitedConnection` keeps its own.
    A pooler is detected by the process id: the one reported at connect is not that of the server's process.

    The search_path is handled alike. Behind a pooler a transaction sets the path that was found here, because PgBouncer 1.18
    refuses a connection that asks for a path. Statements outside a transaction use the login's own path there;
    `find_schema_differences` reports objects with our names in a schema before that of the queue.
    """
    clamp_timestamps(connection)
    # a claim in another isolation level, the role's default perhaps, would fail whenever a row was changed meanwhile
    connection.isolation_level = IsolationLevel.READ_COMMITTED
    path = path_to_queue(connection)
    served_by = connection.execute("SELECT pg_backend_pid()").fetchone()
    if served_by != (connection.info.backend_pid,):
        connection.prepare_threshold = None
        if isinstance(connection, TimeLimitedConnection):
            connection.search_path = path
        return
    connection.prepare_threshold = PREPARE_AFTER
    connection.execute(_LIMIT, _limits(path, transaction_only=False))
    connection.execute(_LIFT_OTHER_LIMITS)
    connection.execute("SET default_transaction_isolation = 'read committed'")  # of single statements
    connection.execute("SET row_security = on")  # off refuses every statement on a table with policies
    connection.execute(_DETECT_LOST_CLIENT)
    if isinstance(connection, TimeLimitedConnection):
        connection.limited = True


def _is_limited(connection: Connection) -> bool:
    return isinstance(connection, TimeLimitedConnection) and connection.limited


@contextmanager
def short_transaction(connection: Connection) -> Iterator[None]:
    """Run a transaction with limits on its statements and lock waits; the session's settings are restored at the end.

    In a shared session the limits hold for the transaction only. psycopg's pipeline mode is not used: after it the server no
    longer limits how long a transaction is idle, so that a client without power keeps its locks, and PgBouncer keeps a
    server connection for a client that has ended (both measured with psycopg 3.3, PostgreSQL 18 and PgBouncer 1.18; the
    cause is the Flush that psycopg sends after its Sync).
    """
    with explaining_triggers(), connection.transaction():
        if not _is_limited(connection):
            path = connection.search_path if isinstance(connection, TimeLimitedConnection) else None
            connection.execute(_LIMIT, _limits(path, transaction_only=True))
        yield


@contextmanager
def short_statement(connection: Connection) -> Iterator[None]:
    """Run one statement as its own transaction, with the limits of `short_transaction`.

    In a session that is not shared it takes one round trip, and a worker that is lost meanwhile leaves no open transaction.
    Within a transaction it is a savepoint, so that the transaction can go on after an error.
    """
    if _is_limited(connection) and connection.info.transaction_status is TransactionStatus.IDLE:
        with explaining_triggers():
            yield
        return
    with short_transaction(connection):
        yield


_ALLOW_LONG_SCAN = """
SELECT set_config('statement_timeout', %(limit)s, TRUE),
       set_config('idle_in_transaction_session_timeout', %(limit)s, TRUE)
"""


@contextmanager
def long_scan(connection: Connection) -> Iterator[None]:
    """Allow the open transaction's statements, and the pauses between them, `SCAN_SECONDS` each."""
    connection.execute(_ALLOW_LONG_SCAN, {"limit": f"{SCAN_SECONDS}s"})
    if not isinstance(connection, TimeLimitedConnection):
        yield
        return
    before = connection.response_timeout_seconds
    connection.response_timeout_seconds = SCAN_SECONDS + RESPONSE_TIMEOUT_SECONDS - STATEMENT_SECONDS
    try:
        yield
    finally:
        connection.response_timeout_seconds = before
