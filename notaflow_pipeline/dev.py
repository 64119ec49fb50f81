"""`notaflow dev`: everything on one machine with one command, and nothing of it left when it stops."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from notaflow_pipeline.documents.location import BUCKET_OF_SOURCE, Location
from notaflow_pipeline.documents.storage import DocumentStorage
from notaflow_pipeline.embedded import database_url, owner_database_url
from notaflow_pipeline.queue.database import connect
from notaflow_pipeline.queue.enqueue import NewDocument, enqueue_document, is_empty
from notaflow_pipeline.queue.migrating import migrate
from notaflow_pipeline.settings import Settings, SettingsError
from notaflow_pipeline.worker import configured_storage

PROJECT = Path(__file__).resolve().parents[1]
SAMPLES = Path(__file__).resolve().parent / "samples"

STOP_SECONDS = 12
"""How long processes may take to give their claims back before they are killed."""

LOOK_SECONDS = 2.0
"""How often Dagster's processes are looked at."""

RELOAD_SECONDS = 120.0
"""How long a code server may take to start; a busy machine needs half a minute."""

RELOAD = """
mutation { reloadRepositoryLocation(repositoryLocationName: "notaflow_pipeline") { __typename } }
"""
"""What the UI's button "Reload" asks for."""


def run_dev(settings: Settings, *, samples: bool, port: int) -> int:
    """Start database, migrations, samples and Dagster, and watch over it; return 1 when Dagster ends by itself.

    Raises:
        SettingsError: not run from a checkout, or the port is taken.
        DatabaseUnavailable, MigrationFailed, StorageUnavailable: nothing was started.
    """
    if not (PROJECT / "dagster.yaml").exists():
        raise SettingsError(
            "`notaflow dev` works in a checkout of the project, where dagster.yaml and workspace.yaml lie"
        )
    _require_free(port)
    with database_url(settings) as url:
        with owner_database_url(settings) as owners:
            migrate(owners, sources=settings.sources)
        if samples:
            enqueue_samples(url, configured_storage(settings))
        sys.stdout.write(f"\nDagster UI: http://127.0.0.1:{port}   (Ctrl-C stops everything)\n\n")
        sys.stdout.flush()
        dagster = subprocess.Popen(
            [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)],
            cwd=PROJECT,
            env=_environment(settings, url),
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the others in order
        )
        try:
            _watch(dagster, port)
        finally:
            _stop(dagster)
    sys.stderr.write("Dagster ended by itself; what it printed above says why. Documents in hand were given back.\n")
    return 1


def enqueue_samples(url: str, storage: DocumentStorage) -> int:
    """Add the sample documents to an empty queue; return how many. A queue with rows in it is left alone."""
    described = json.loads((SAMPLES / "MANIFEST.json").read_text(encoding="utf-8"))
    with connect(url) as connection:
        if not is_empty(connection):
            return 0
        for sample in described:
            storage.store(_location(sample), SAMPLES / sample["file"])
        with connection.transaction():
            for sample in described:
                location = _location(sample)
                document = NewDocument(
                    document_source=sample["document_source"],
                    document_number=sample["document_number"],
                    supabase_path=f"{location.bucket}/{location.name}",
                    circonscription_fonciere=sample["circonscription_fonciere"],
                    cadastre=sample["cadastre"],
                    acte_type=sample["acte_type"],
                )
                enqueue_document(connection, document)
    return len(described)


def _location(sample: dict[str, str]) -> Location:
    return Location(BUCKET_OF_SOURCE[sample["document_source"]], sample["file"])


def _require_free(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            raise SettingsError(
                f"port {port} on 127.0.0.1 is taken: stop what uses it, or give another --port"
            ) from None


def _environment(settings: Settings, url: str) -> dict[str, str]:
    """What Dagster's processes need to find the same database, home and documents, wherever they run."""
    home = settings.home.absolute()
    # a folder is relative to where this command runs, and Dagster runs in the project's folder
    documents = settings.documents
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", documents) is None:
        documents = str(Path(documents).expanduser().absolute())
    return {
        **os.environ,
        "NOTAFLOW_DATABASE_URL": url,
        "NOTAFLOW_OWNER_DATABASE_URL": "",  # theirs is the worker's part; empty, it hides what .env says
        "NOTAFLOW_HOME": str(home),
        "NOTAFLOW_DOCUMENTS_URL": documents,
        "DAGSTER_HOME": str(PROJECT),
    }


def _watch(dagster: "subprocess.Popen[bytes]", port: int) -> None:
    """Return when Dagster has ended. Start its code server again when that is gone, which Dagster itself does not.

    Without it no sensor ticks, so nothing is read and nobody is told; the UI alone would show it.
    """
    seen: set[str] = set()
    while dagster.poll() is None:
        running = _parts(dagster.pid)
        if "code-server" in seen - running:
            return  # the parent of code servers: nothing but a new start brings it back
        if "grpc" in seen - running:
            sys.stderr.write("\nThe code server is gone; starting it again.\n")
            with suppress(httpx.HTTPError):  # the next look sees whether it worked
                httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": RELOAD}, timeout=RELOAD_SECONDS)
        seen |= running
        time.sleep(LOOK_SECONDS)


def _parts(session: int) -> set[str]:
    """Which of the two parts that Dagster does not watch over itself are running."""
    words = {word for process in _members(session) for word in _command(process)[:6]}
    return words & {"code-server", "grpc"}


def _command(process: psutil.Process) -> list[str]:
    try:
        return [] if process.status() == psutil.STATUS_ZOMBIE else process.cmdline()
    except psutil.Error:
        return []


def _stop(dagster: "subprocess.Popen[bytes]") -> None:
    """Interrupt Dagster as Ctrl-C would, so that runs give their claims back; kill what is left after that.

    OCR workers lead sessions of their own and are not interrupted: they end with their run.
    """
    everything = _family(dagster.pid)
    with suppress(ProcessLookupError):
        os.killpg(dagster.pid, signal.SIGINT)
    _, alive = psutil.wait_procs(everything, timeout=STOP_SECONDS)
    for process in {*alive, *_family(dagster.pid)}:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _family(session: int) -> set[psutil.Process]:
    """Everything that Dagster started, and what that started."""
    found = set(_members(session))
    for member in list(found):
        with suppress(psutil.NoSuchProcess):
            found.update(member.children(recursive=True))
    return found


def _members(session: int) -> list[psutil.Process]:
    """The processes of a session: unlike a parent's children, they can be found when what started them is dead."""
    found = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getsid(pid) == session:
                found.append(psutil.Process(pid))
    return found
