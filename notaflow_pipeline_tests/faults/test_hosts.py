"""Several hosts with one database and one object store: one is cut off, and one loses power."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import Connection

from notaflow_pipeline.documents.s3 import S3Storage
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline_tests.faults.hosts import Host, hosts, unavailable
from notaflow_pipeline_tests.faults.object_store import object_store
from notaflow_pipeline_tests.faults.proxy import Proxy, proxy_before
from notaflow_pipeline_tests.testing.invariants import violated_invariants
from notaflow_pipeline_tests.testing.noise import noise_image
from notaflow_pipeline_tests.testing.waiting import wait_until

DOCUMENTS, LATER, LEASE_SECONDS = 120, 40, 10

pytestmark = [
    pytest.mark.skipif(unavailable() is not None, reason=str(unavailable())),
]


@pytest.fixture(scope="module")
def network() -> Iterator[tuple[str, list[Host]]]:
    with hosts(3) as made:
        yield made


@pytest.fixture
def way_in(database_url: str, network: tuple[str, list[Host]]) -> Iterator[Proxy]:
    """The database as the hosts see it."""
    with proxy_before(database_url, network[0]) as proxy:
        yield proxy


@pytest.fixture
def store(network: tuple[str, list[Host]]) -> Iterator[str]:
    """The URL of an object store as the hosts see it."""
    with object_store(network[0]) as url:
        yield url


def test_no_document_is_lost_or_read_twice_when_hosts_fail(
    connection: Connection, way_in: Proxy, store: str, network: tuple[str, list[Host]], tmp_path: Path
) -> None:
    cut_off, powerless, _ = network[1]
    enqueue(connection, store, tmp_path, DOCUMENTS)
    for host in network[1]:
        work_on(host, way_in.url, store, tmp_path)
    wait_until(lambda: all(successes(connection, host) >= 5 for host in network[1]))
    cut_off.cut_off()
    assert powerless.kill() > 0
    wait_until(lambda: unfinished(connection) == 0)

    stuck = "SELECT DISTINCT worker_id FROM ocr_attempt WHERE outcome = 'stuck'"
    assert {name for (name,) in connection.execute(stuck)} == {cut_off.name, powerless.name}, "both had some in hand"

    cut_off.plug_in()
    enqueue(connection, store, tmp_path, LATER)
    wait_until(lambda: unfinished(connection) == 0)
    succeeded = "SELECT count(*), count(DISTINCT queue_id) FROM ocr_attempt WHERE outcome = 'succeeded'"
    assert connection.execute(succeeded).fetchone() == (DOCUMENTS + LATER, DOCUMENTS + LATER)
    assert violated_invariants(connection) == {}
    assert way_in.clients >= {host.address for host in network[1]}
    assert [bool(host.processes()) for host in network[1]] == [True, False, True], "the one that was cut off lives on"


def work_on(host: Host, database_url: str, store: str, folder: Path) -> None:
    """Start a worker on a host, as a supervisor does: after an outage it comes back."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("NOTAFLOW_", "OCR_", "DAGSTER_"))},
        "NOTAFLOW_DATABASE_URL": database_url,
        "NOTAFLOW_DOCUMENTS_URL": f"s3://?endpoint_url={store}",
        "NOTAFLOW_HOME": str(folder / "home"),
        "OCR_WORKER_ID": host.name,
        "OCR_WORKERS": "1",
        "OCR_LEASE_SECONDS": str(LEASE_SECONDS),
    }
    command = [sys.executable, "-m", "notaflow_pipeline_tests.chaos.worker"]
    host.start(command, environment, folder / f"{host.name}.log")


def enqueue(connection: Connection, store: str, folder: Path, count: int) -> None:
    """One page in the store, and as many documents that lie there."""
    page = folder / "page.png"
    noise_image((40, 60), 80).save(page)
    storage = S3Storage(endpoint_url=store)
    storage._client.upload_file(str(page), "index", "page.png")
    with connection.transaction():
        for number in range(count):
            enqueue_document(connection, NewDocument("index", f"1 {number:03d}", "index/page.png"))


def successes(connection: Connection, host: Host) -> int:
    query = "SELECT count(*) FROM ocr_attempt WHERE outcome = 'succeeded' AND worker_id = %s"
    return int((connection.execute(query, [host.name]).fetchone() or (0,))[0])


def unfinished(connection: Connection) -> int:
    return int((connection.execute("SELECT count(*) FROM extraction_queue WHERE status_id <> 5").fetchone() or (0,))[0])
