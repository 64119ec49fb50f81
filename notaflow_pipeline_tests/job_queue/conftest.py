"""Fixtures and functions of the queue's tests: rows with given columns, and the state of rows and attempts."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.schema.roles import WORKER
from notaflow_pipeline_tests.testing import least_privilege
from notaflow_pipeline_tests.testing.logins import logged_in


@pytest.fixture
def other(database_url: str) -> Iterator[Connection]:
    """A second connection to the same database: another program, or another worker."""
    # behind a pooler no statement can be prepared
    with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as one:
        # waiting for a lock is a failure here, not a hanging test
        one.execute("SET lock_timeout = '5s'")
        yield one


@pytest.fixture
def roles(database_url: str) -> None:
    """The roles on this test's database, whose tables all have row-level security on."""
    least_privilege.prepare(database_url)


@pytest.fixture
def worker(roles: None, connection: Connection, database_url: str) -> Iterator[Connection]:
    """A login that is a worker and nothing else."""
    with logged_in(connection, database_url, WORKER) as one:
        yield one
