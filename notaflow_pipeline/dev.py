"""`notaflow dev`: everything on one machine with one command, and nothing of it left when it stops."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from notaflow_pipeline.documents.location import BUCKET_OF_SOURCE, Location
from notaflow_pipeline.documents.storage import DocumentStorage
from notaflow_pipeline.embedded import database_url
from notaflow_pipeline.queue.database import connect
from notaflow_pipeline.queue.enqueue import NewDocument, enqueue_document, is_empty
from notaflow_pipeline.queue.migrating import migrate
from notaflow_pipeline.settings import Settings, SettingsError
from notaflow_pipeline.worker import configured_storage

PROJECT = Path(__file__).resolve().parents[1]
SAMPLES = Path(__file__).resolve().parent / "samples"

STOP_SECONDS = 12
"""How long processes may take to give their claims back before they are killed."""


def run_dev(settings: Settings, *, samples: bool, port: int) -> int:
    """Start database, migrations, samples and Dagster; return Dagster's exit code when it ends.

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
        migrate(url, sources=settings.sources)
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
            return dagster.wait()
        finally:
            _stop(dagster)


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
        "NOTAFLOW_HOME": str(home),
        "NOTAFLOW_DOCUMENTS_URL": documents,
        "DAGSTER_HOME": str(PROJECT),
    }


def _stop(dagster: "subprocess.Popen[bytes]") -> None:
    """Interrupt Dagster as Ctrl-C would, so that runs give their claims back; kill what is left after that.

    OCR workers lead groups of their own and are not interrupted: they end with their run.
    """
    everything = _family(dagster.pid)
    with suppress(ProcessLookupError):
        os.killpg(dagster.pid, signal.SIGINT)
    _, alive = psutil.wait_procs(everything, timeout=STOP_SECONDS)
    for process in {*alive, *_family(dagster.pid)}:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
