"""Fixtures of tests in several folders: a real PostgreSQL, and a database of its own for each test."""

import itertools
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool
from xdist.scheduler.loadfile import LoadFileScheduling  # type: ignore[import-untyped]

from notaflow_pipeline.job_queue.database.connections import connect, open_pool
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import embedded_database
from notaflow_pipeline_tests.faults import pooler
from notaflow_pipeline_tests.testing import least_privilege

# as OCR workers have it: with a thread for each core, OpenBLAS took five times the CPU time. What tests start is not changed
with pytest.MonkeyPatch.context() as environment:
    environment.setenv("OPENBLAS_NUM_THREADS", "1")
    import numpy as np  # noqa: F401

settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("random", deadline=None, print_blob=True)
# HYPOTHESIS_PROFILE=random draws other examples in every run
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

TEMPLATE = "notaflow_template"

POOLED = 40
"""Server connections of the pooler for each database: more than any test holds at once."""

_numbers = itertools.count(1)

LONGEST_FIRST = ("browser", "processes", "deploy", "faults", "ocr")
"""Packages whose files take longest; all but the last mostly wait for other processes. All files of browser run in a row."""

ONE_DAGSTER = ("browser", "deploy")
"""Packages whose files share a running Dagster, so that one process runs all their tests."""


class PackageScheduling(LoadFileScheduling):  # type: ignore[misc]
    """Gives each process one file after the other, as `--dist loadfile` does, or all files of a package together."""

    def _split_scope(self, nodeid: str) -> str:
        package = next((one for one in ONE_DAGSTER if f"/{one}/" in nodeid), None)
        return package or str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One test process more than there are cores (`-n auto`): the tests of processes mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> PackageScheduling:
    """Schedule the tests when several processes run them."""
    return PackageScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first, so that none of them begins last; the order within a package stays."""
    root = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        package = item.path.relative_to(root).parts[0]
        return LONGEST_FIRST.index(package) if package in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Let jitter and whatever else draws without a generator of its own draw the same in every run."""
    random.seed(0)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A PostgreSQL server for this test process: the embedded one, or that of NOTAFLOW_TEST_DATABASE_URL."""
    configured = os.environ.get("NOTAFLOW_TEST_DATABASE_URL")
    if configured:
        yield configured
        return
    # not in pytest's own folder: as root, PostgreSQL runs as another user, from whom pytest locks that folder
    with tempfile.TemporaryDirectory(prefix="notaflow-tests-") as home, embedded_database(Path(home)) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            # tests do not need data to survive a power failure
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url


def _url_of(server_url: str, database: str) -> str:
    """The same server, another database, as a URL that every tool understands."""
    parts = conninfo_to_dict(server_url)
    if str(parts.get("host", "")).startswith("/"):
        return f"postgresql://{parts['user']}@/{database}?host={parts['host']}"
    return make_conninfo(server_url, dbname=database)


def _recreate(server_url: str, database: str, template: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        name = sql.Identifier(database)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        # copying files took half as long as writing every page to the write-ahead log
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        connection.execute(query.format(name, sql.Identifier(template)))


@pytest.fixture(scope="session")
def template_database(server_url: str) -> str:
    """The name of a migrated database, which tests are given copies of."""
    name = f"{TEMPLATE}_{os.getpid()}"
    _recreate(server_url, name, "template1")
    migrate(_url_of(server_url, name), sources=["index"])
    if least_privilege.is_enabled():
        least_privilege.prepare(_url_of(server_url, name))
    return name


@contextmanager
def _database(server_url: str, template: str) -> Iterator[str]:
    """The URL of a new database, which is dropped afterwards: hundreds of them take a minute to delete at the end."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _recreate(server_url, name, template)
    yield _url_of(server_url, name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    with _database(server_url, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def pooler_url(server_url: str) -> Iterator[str]:
    """The URL of the server's databases through a PgBouncer in transaction mode."""
    if missing := pooler.unavailable():
        pytest.fail(missing)
    # not by way of the template, which nobody may be connected to when it is copied
    with pooler.pooler_before(_url_of(server_url, "postgres"), pool_size=POOLED) as url:
        yield url


@contextmanager
def migrated_database(server_url: str, template: str, test: pytest.Item | pytest.Collector) -> Iterator[str]:
    """The URL of a new migrated database; its role is that of `least_privilege`, or the owner."""
    with _database(server_url, template) as url:
        if not least_privilege.is_enabled() or test.get_closest_marker("owner"):
            yield url
            return
        with least_privilege.tests_are_the_owner():
            yield least_privilege.as_worker(url)


@pytest.fixture
def direct_url(server_url: str, template_database: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated database of this test's own."""
    with migrated_database(server_url, template_database, request.node) as url:
        yield url


@pytest.fixture
def database_url(direct_url: str, request: pytest.FixtureRequest) -> str:
    """The same; through a pooler if NOTAFLOW_TEST_POOLER is set and the test does not carry the marker `direct`."""
    if not os.environ.get("NOTAFLOW_TEST_POOLER") or request.node.get_closest_marker("direct"):
        return direct_url
    return _url_of(request.getfixturevalue("pooler_url"), str(conninfo_to_dict(direct_url)["dbname"]))


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection to `database_url` that prepares nothing, so that it works behind a pooler; outside any transaction."""
    with connect(database_url, limited=False) as one:
        yield one


@pytest.fixture
def pool(database_url: str) -> Iterator[ConnectionPool[Connection]]:
    """A pool on `database_url`."""
    with open_pool(database_url) as one:
        yield one


@pytest.fixture
def locker(direct_url: str) -> Iterator[Connection]:
    """Another session with an open transaction, in which rows stay locked."""
    with psycopg.connect(direct_url) as other:
        yield other
        other.rollback()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The documents' folder, with a bucket for the source `index`."""
    place = tmp_path / "documents"
    (place / "index").mkdir(parents=True)
    return place


@pytest.fixture
def corpus() -> Path:
    """The real scanned pages beside the project; tests that want them skip where they are not."""
    place = Path(os.environ.get("NOTAFLOW_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
    if not place.is_dir():
        pytest.skip("the corpus of real pages is not here (../shared/corpus, or NOTAFLOW_CORPUS)")
    return place
