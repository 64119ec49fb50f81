"""Runs `notaflow dev`: database, migrations, samples and Dagster's processes, with a short console and a log file."""

import json
import os
import re
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psycopg
from dotenv import dotenv_values

from notaflow_pipeline.documents.location import BUCKET_OF_SOURCE, Location
from notaflow_pipeline.documents.storage import DocumentStorage
from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable, connect, describe_database
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document, is_empty
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.dagster_processes import PROJECT, Dagster
from notaflow_pipeline.local.embedded_postgres import database_url, owner_database_url, restart_if_ended
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.scratch_directory import ScratchDirectory
from notaflow_pipeline.settings import Settings, SettingsError
from notaflow_pipeline.worker.assembly import configured_storage

SAMPLES = Path(__file__).resolve().parents[1] / "samples"

DAGSTER_FOLDERS = (".notaflow/dagster/compute_logs", ".notaflow/dagster")
"""Folders as dagster.yaml names them, for Dagster's own commands, which run in the project's folder."""

SOCKETS = "/tmp"  # noqa: S108 - a private folder is made in it
"""Folder of the code server's socket, whose path may have about 100 characters."""

_COUNT_RELEASED = """
SELECT (
    SELECT count(*)
    FROM ocr_attempt
    WHERE outcome = 'released'
      AND failure_kind IS NULL
      AND finished_at >= %(since)s
), (
    SELECT count(*)
    FROM ocr_attempt
    WHERE outcome IS NULL
), clock_timestamp()
"""


def run_dev(settings: Settings, *, samples: bool, port: int) -> int:
    """Start database, migrations, samples and Dagster; return 1 when Dagster ends by itself.

    What Dagster prints goes to a file in the home. The console shows where, then the address and how to stop, and at the end
    what was released.

    Raises:
        SettingsError: not run from a checkout, or the port is taken.
        DatabaseUnavailable, MigrationFailed, StorageUnavailable: nothing was started.
    """
    if not (PROJECT / "dagster.yaml").exists():
        raise SettingsError(
            "`notaflow dev` works in a checkout of the project, which has dagster.yaml and workspace.yaml"
        )
    _require_free(port)
    with database_url(settings) as url:
        with owner_database_url(settings) as owners:
            migrate(owners, sources=settings.sources)
        _print_line(f"Database:   {describe_database(url)}, migrated")
        if samples and (added := enqueue_samples(url, configured_storage(settings))):
            _print_line(f"Samples:    {describe_added(added, settings.sources)}")
        with ExitStack() as until_end, open_log(settings.home.absolute()) as log:
            sockets = ScratchDirectory(Path(SOCKETS))
            until_end.callback(sockets.remove)
            _print_line(f"Full log:   {log.name}")
            _print_line("Starting Dagster, which takes some seconds ...")
            instance = make_instance(settings.home.absolute())
            environment = environment_of_dagster(settings, url, instance, port)
            dagster = Dagster(sockets.path / "code-server", instance, environment, log)
            with _stopped_at_end(url, dagster):
                dagster.start(port)
                dagster.wait_until_served(port)
                _print_line(f"\nDagster UI: http://127.0.0.1:{port}\nStop:       Ctrl-C")
                dagster.watch(restarter_of_database(settings))
                sys.stderr.write(f"Dagster ended by itself; the end of {log.name} says why.\n")
    return 1


def restarter_of_database(settings: Settings) -> Callable[[], None]:
    """Return a function that starts the embedded database, unless another one is configured, again if it has ended.

    It says so; while the database cannot be started, as on a full disk, it says why once.
    """
    is_down = False

    def restart() -> None:
        nonlocal is_down
        try:
            if restart_if_ended(settings.home):
                sys.stderr.write("The database had ended and was started again.\n")
            is_down = False
        except DatabaseUnavailable as unavailable:  # or a process of the old server still ends
            if not is_down:
                sys.stderr.write(f"The database ended; trying again: {unavailable}\n")
            is_down = True

    return restart if settings.database_url is None else lambda: None


@contextmanager
def _stopped_at_end(url: str, dagster: Dagster) -> Iterator[None]:
    """Stop Dagster at the end, and print in one line which documents were released."""
    try:
        yield
    finally:
        sys.stdout.write("\nStopping ... ")
        sys.stdout.flush()
        since = _count_released(url, datetime.now(UTC))
        dagster.stop()
        _print_line(f"stopped. {_describe_released(_count_released(url, since[2]) if since else None)}")


def _count_released(url: str, since: datetime) -> tuple[int, int, datetime] | None:
    """Return the number of claims released since a time of the database, of open claims, and the database's time."""
    try:
        with connect(url) as connection:
            counts: tuple[int, int, datetime] | None = connection.execute(_COUNT_RELEASED, {"since": since}).fetchone()
            return counts
    except (DatabaseUnavailable, psycopg.Error):
        return None


def _describe_released(counts: tuple[int, int, datetime] | None) -> str:
    if counts is None:
        return "The database did not answer, so claimed documents wait for the end of their leases."
    released, held, _ = counts
    if not released and not held:
        return "No document was being read."
    words = f"{count_of(released, 'document')} released, whose attempts do not count."
    return words + (f" {held} still claimed, until the end of the lease." if held else "")


def _print_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def open_log(home: Path) -> IO[bytes]:
    """Open the log of this start in the home; that of the start before is kept beside it."""
    folder = home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dev.log"
    if path.exists():
        path.replace(folder / "dev.previous.log")
    return path.open("wb")


def enqueue_samples(url: str, storage: DocumentStorage) -> Counter[str]:
    """Add the sample documents to an empty queue; return how many of each source. A queue that has rows is not changed."""
    described = json.loads((SAMPLES / "MANIFEST.json").read_text(encoding="utf-8"))
    with connect(url) as connection:
        if not is_empty(connection):
            return Counter()
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
    return Counter(sample["document_source"] for sample in described)


def describe_added(added: Counter[str], sources: Sequence[str]) -> str:
    """Return how many documents were added, and how many of them nothing will read."""
    unread = sum(count for source, count in added.items() if source not in sources)
    others = f", {unread} of sources that OCR_SOURCES does not name" if unread else ""
    return f"{count_of(added.total(), 'document')} added{others}"


def _location(sample: dict[str, str]) -> Location:
    return Location(BUCKET_OF_SOURCE[sample["document_source"]], sample["file"])


def _require_free(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            raise SettingsError(
                f"port {port} on 127.0.0.1 is in use: stop the program that uses it, or choose another --port"
            ) from None


def make_instance(home: Path) -> Path:
    """Write dagster.yaml with paths in `home` into a folder there, and return that folder.

    Dagster's processes run in that folder, because Dagster reads a `.env` of its current folder before the environment: the
    one beside the project's dagster.yaml could name another database than the one that was migrated.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    instance = (PROJECT / "dagster.yaml").read_text(encoding="utf-8")
    for kept in DAGSTER_FOLDERS:
        place = json.dumps(str(home / Path(kept).relative_to(".notaflow")))
        instance = instance.replace(f"base_dir: {kept}\n", f"base_dir: {place}\n")
    (folder / "dagster.yaml").write_text(instance, encoding="utf-8")
    return folder


def environment_of_dagster(settings: Settings, url: str, instance: Path, port: int) -> dict[str, str]:
    """Return the environment with which Dagster's processes find the same database, home and documents in any folder.

    It contains `.env` of the current folder, after the environment as everywhere, and the address of the UI for links in
    messages. It does not contain the owner's login, because Dagster's processes work with the worker's.
    """
    # relative to the current folder, which is not that of Dagster's processes
    documents = settings.documents
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", documents) is None:
        documents = str(Path(documents).expanduser().absolute())
    written = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    environment = {
        **written,
        **os.environ,
        "NOTAFLOW_DATABASE_URL": url,
        "NOTAFLOW_HOME": str(settings.home.absolute()),
        "NOTAFLOW_DOCUMENTS_URL": documents,
        "DAGSTER_HOME": str(instance),
    }
    environment.setdefault("NOTAFLOW_UI_URL", f"http://127.0.0.1:{port}")  # links of alerts
    environment.pop("NOTAFLOW_OWNER_DATABASE_URL", None)
    return environment
