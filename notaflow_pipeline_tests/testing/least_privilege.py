"""Runs the tests as the least-privileged role: NOTAFLOW_TEST_ROLE=worker, as `make test` does.

The product's statements run as a role with the privileges of worker, enqueuer, housekeeper and Dagster and no others, with
row-level security on. Statements of a test itself (rows with given columns, writes of another program, checks of rows) run as
the database's owner on the same connection: the call stack shows where a statement comes from. Tests that need the owner have
the marker `owner`.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import psycopg
from psycopg import Connection, Cursor
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from notaflow_pipeline.job_queue.schema.columns import TABLE_COLUMNS
from notaflow_pipeline.job_queue.schema.roles import DAGSTER, ENQUEUER, HOUSEKEEPER, WORKER, grant_roles

ROLE = "notaflow_test"

CONFIGURED_ROLE = os.environ.get("NOTAFLOW_TEST_ROLE", "")
"""`worker`, or empty for the owner."""

BETWEEN = ("psycopg", "contextlib", __name__)
"""Modules between a statement and its caller in the call stack."""


def is_enabled() -> bool:
    """Whether this run uses the worker's role."""
    if CONFIGURED_ROLE not in {"", "owner", "worker"}:
        raise RuntimeError("NOTAFLOW_TEST_ROLE is worker, owner, or not set")
    return CONFIGURED_ROLE == "worker"


def prepare(url: str) -> None:
    """Create the roles, and enable row-level security on the product's tables."""
    grant_roles(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"""
            DO $$
            BEGIN
                IF to_regrole('{ROLE}') IS NULL THEN CREATE ROLE {ROLE}; END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END
            $$
        """)
        connection.execute(f"GRANT {WORKER}, {ENQUEUER}, {HOUSEKEEPER}, {DAGSTER} TO {ROLE}")
        for table in TABLE_COLUMNS:
            connection.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")


def as_worker(url: str) -> str:
    """Return the URL of the same database with the least-privileged role."""
    if "://" not in url:
        return make_conninfo(url, options=f"-c role={ROLE}")
    return f"{url}{'&' if '?' in url else '?'}options=-c%20role%3D{ROLE}"


@contextmanager
def tests_are_the_owner() -> Iterator[None]:
    """Run statements of tests as the owner, and all others with the connection's role, until the block ends."""
    whole = {(kind, name): getattr(kind, name) for kind in (Cursor, psycopg.ServerCursor) for name in STATEMENTS}
    for (kind, name), original in whole.items():
        setattr(kind, name, _telling_apart(original))
    try:
        yield
    finally:
        for (kind, name), original in whole.items():
            setattr(kind, name, original)


STATEMENTS = ("execute", "executemany")


def _telling_apart(original: Any) -> Any:
    def execute(cursor: Cursor[Any], *arguments: Any, **options: Any) -> Any:
        if not _is_a_test(sys._getframe(1)) or not _is_role(cursor.connection):
            return original(cursor, *arguments, **options)
        _become(cursor.connection, "NONE")
        try:
            return original(cursor, *arguments, **options)
        finally:
            _become(cursor.connection, ROLE)

    return execute


def _is_a_test(frame: FrameType | None) -> bool:
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith(BETWEEN):
            return module.startswith("notaflow_pipeline_tests")
        frame = frame.f_back
    return False


def _is_role(connection: Connection[Any]) -> bool:
    return not connection.closed and f"role={ROLE}" in str(connection.info.get_parameters().get("options", ""))


def _become(connection: Connection[Any], role: str) -> None:
    """Change the role without the driver's cursors; a failed transaction reverts the change."""
    if not connection.closed and connection.info.transaction_status in (
        TransactionStatus.IDLE,
        TransactionStatus.INTRANS,
    ):
        connection.pgconn.exec_(f"SET ROLE {role}".encode())
