"""Decides which database errors are transient: the same statement may succeed later, perhaps on another server.

Retries are limited by the lease, so a wrong "transient" costs the time of a lease, and a wrong "not transient" ends the run
and releases its claims.
"""

import psycopg
from psycopg.errors import DiskFull, InterfaceError, InternalError, OperationalError, ReadOnlySqlTransaction

from notaflow_pipeline.job_queue.database.foreign_triggers import is_refused_row

# A whole class, or one code that differs from its class. What is not listed is not transient.
_IS_TRANSIENT: dict[str, bool] = {
    # 08, connection: lost servers, and PgBouncer, which reports most of its own failures as 08P01.
    "08": True,
    # 25, transaction state: a programming error, except
    "25": False,
    "25006": True,  # read-only: the old primary after a failover, a standby, or Supabase with a full disk
    "25P03": True,  # a limit of idle time ended the session, for example while this process was frozen
    "25P04": True,  # transaction_timeout did
    # 28, login: wrong until it is corrected. While a pooler restarts, the pool keeps connecting.
    "28": False,
    # 40, rollback: deadlocks, conflicts, and commits whose outcome is unknown (every outcome names its claim)
    "40": True,
    "40002": False,  # a constraint was violated at commit: it would be again
    # 53, resources: full disk, memory, connections. Available again when other sessions end or space is freed.
    "53": True,
    # 55, object state: mostly a statement that can never run, except
    "55": False,
    "55006": True,  # in use by another session
    "55P03": True,  # lock_timeout: another session holds the row
    # 57, operator: cancelled (57014, statement_timeout too), shut down, crashed, starting, idle for too long
    "57": True,
    "57P04": False,  # the database was dropped
    # 58, system: the operating system's I/O and system errors, which a failover ends
    "58": False,
    "58000": True,  # pgcat and Odyssey report lost servers with it
    "58030": True,
    # XX, internal: a bug or corrupted data would be there again; see `is_transient` for poolers
    "XX": False,
}

_SESSION_ENDED = {"FATAL", "PANIC"}


def is_transient(error: psycopg.Error) -> bool:
    """Whether the same statement may succeed later.

    Without an SQLSTATE the connection was lost, or the driver refused the statement, for example because of a NUL in a text,
    or it got other responses than it expects, as from PgBouncer when its session with the server is ended.
    XX000 is transient if it ended the session: Supavisor and pgcat report lost servers in this way, while PostgreSQL's own
    internal errors (invalid memory alloc request size) only fail the statement.
    """
    state = error.sqlstate
    if state is None:
        return isinstance(error, (OperationalError, InterfaceError, InternalError))
    if state == "XX000":
        return (error.diag.severity_nonlocalized or error.diag.severity) in _SESSION_ENDED
    return _IS_TRANSIENT.get(state, _IS_TRANSIENT.get(state[:2], False))


def lacks_privilege_or_object(error: psycopg.Error) -> bool:
    """Whether a privilege, a schema, a table or a column is missing, so that the statement fails for every row.

    A worker checks these before it claims. If one is missing later, a person has changed it, and may change it back.
    """
    return (error.sqlstate or "").startswith(("42", "3F")) and not is_refused_row(error)


def describe_transient(error: psycopg.Error) -> str:
    """Describe the condition in a few words, without the error's message, which can contain values of a row."""
    if isinstance(error, DiskFull):
        return "the database's disk is full"
    if isinstance(error, ReadOnlySqlTransaction):
        return "the database is read-only"
    if lacks_privilege_or_object(error):
        return f"a privilege, a table or a column is missing ({type(error).__name__})"
    return f"the database is unavailable ({type(error).__name__})"
