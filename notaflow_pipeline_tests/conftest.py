"""Fixtures of tests in several folders: a real PostgreSQL, and a database of its own for each test."""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import settings
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool
from xdist.scheduler.loadfile import LoadFileScheduling  # type: ignore[import-untyped]

from notaflow_pipeline.job_queue.database.connections import connect, open_pool
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import embedded_database
from notaflow_pipeline_tests.faults import pooler
from notaflow_pipeline_tests.testing import least_privilege
from notaflow_pipeline_tests.testing.corpus import CORPUS
from notaflow_pipeline_tests.testing.databases import migrated_database, new_database, recreate, url_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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


@pytest.fixture(scope="session")
def template_database(server_url: str) -> str:
    """The name of a migrated database, which tests are given copies of."""
    name = f"{TEMPLATE}_{os.getpid()}"
    recreate(server_url, name, "template1")
    migrate(url_of(server_url, name), sources=["index"])
    if least_privilege.is_enabled():
        least_privilege.prepare(url_of(server_url, name))
    return name


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    with new_database(server_url, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def pooler_url(server_url: str) -> Iterator[str]:
    """The URL of the server's databases through a PgBouncer in transaction mode."""
    if missing := pooler.unavailable():
        pytest.fail(missing)
    # not by way of the template, which nobody may be connected to when it is copied
    with pooler.pooler_before(url_of(server_url, "postgres"), pool_size=POOLED) as url:
        yield url


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
    return url_of(request.getfixturevalue("pooler_url"), str(conninfo_to_dict(direct_url)["dbname"]))


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
    if not CORPUS.is_dir():
        pytest.skip("the corpus of real pages is not here (../shared/corpus, or NOTAFLOW_CORPUS)")
    return CORPUS


# not for the whole session: while Playwright is started, no other event loop can run in this thread, and Dagster wants one
@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """The machine's own Chromium; tests that want it skip where it is not."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium here to look at pages with (install chromium, or name one in CHROMIUM)")
    with sync_api.sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield one
        one.close()
