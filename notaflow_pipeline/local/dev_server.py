"""Runs `notaflow dev`: starts the database, the samples and Dagster on one machine, and stops them together."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
from dotenv import dotenv_values

from notaflow_pipeline.documents.location import BUCKET_OF_SOURCE, Location
from notaflow_pipeline.documents.storage import DocumentStorage
from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document, is_empty
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline.local.embedded_postgres import database_url, owner_database_url
from notaflow_pipeline.settings import Settings, SettingsError
from notaflow_pipeline.worker.assembly import configured_storage

PROJECT = Path(__file__).resolve().parents[2]
SAMPLES = Path(__file__).resolve().parents[1] / "samples"

STOP_SECONDS = 12
"""How long processes may take to release their claims before they are killed."""

STOPPING = "\nStopping. Unfinished documents are released; Dagster prints where its runs were interrupted.\n"

LOOK_SECONDS = 2.0
"""How often Dagster's processes are checked."""

LOCATION = "notaflow_pipeline"
"""Name of the code location, as in workspace.yaml and [tool.dg]: sensors keep their state under it."""

KEPT_BY_DAGSTER = (".notaflow/dagster/compute_logs", ".notaflow/dagster")
"""The folders in dagster.yaml, relative to the project's folder, in which Dagster's own commands run."""

SOCKETS = "/tmp"  # noqa: S108 - a private folder is created in it
"""Folder of the code server's socket, whose path may have about 100 characters: TMPDIR may be too long."""


def run_dev(settings: Settings, *, samples: bool, port: int) -> int:
    """Start database, migrations, samples and Dagster, and supervise it; return 1 when Dagster ends by itself.

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
        if samples:
            enqueue_samples(url, configured_storage(settings))
        sys.stdout.write(f"\nDagster UI: http://127.0.0.1:{port}   (Ctrl-C stops everything)\n\n")
        sys.stdout.flush()
        with tempfile.TemporaryDirectory(prefix="notaflow-", dir=SOCKETS) as folder:
            socket_path = Path(folder) / "code-server"
            instance = make_instance(settings.home.absolute())
            dagster = Dagster(socket_path, instance, environment_of_dagster(settings, url, instance, port))
            try:
                dagster.start(port)
                dagster.watch()
            finally:
                sys.stderr.write(STOPPING)
                dagster.stop()
    sys.stderr.write("Dagster ended by itself; the output above says why. Unfinished documents were released.\n")
    return 1


def enqueue_samples(url: str, storage: DocumentStorage) -> int:
    """Add the sample documents to an empty queue; return how many. A queue with rows is not changed."""
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
                f"port {port} on 127.0.0.1 is in use: stop the program that uses it, or choose another --port"
            ) from None


def make_instance(home: Path) -> Path:
    """Write dagster.yaml with paths in `home` into a folder there, and return that folder.

    Dagster's processes run in it. In the project's folder Dagster would read `.env` and let it override the environment, so
    that runs could use another database than the one that was migrated.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    instance = (PROJECT / "dagster.yaml").read_text(encoding="utf-8")
    for kept in KEPT_BY_DAGSTER:
        place = json.dumps(str(home / Path(kept).relative_to(".notaflow")))
        instance = instance.replace(f"base_dir: {kept}\n", f"base_dir: {place}\n")
    (folder / "dagster.yaml").write_text(instance, encoding="utf-8")
    return folder


def environment_of_dagster(settings: Settings, url: str, instance: Path, port: int) -> dict[str, str]:
    """Return the environment of Dagster's processes: the same database, home and documents, with absolute paths.

    It includes `.env` of the current folder, overridden by the environment. The owner's login is left out: runs need the
    worker's privileges only.
    """
    # relative to the current folder, which is not that of Dagster's processes
    documents = settings.documents
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", documents) is None:
        documents = str(Path(documents).expanduser().absolute())
    from_file = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    environment = {
        **from_file,
        **os.environ,
        "NOTAFLOW_DATABASE_URL": url,
        "NOTAFLOW_HOME": str(settings.home.absolute()),
        "NOTAFLOW_DOCUMENTS_URL": documents,
        "DAGSTER_HOME": str(instance),
    }
    environment.setdefault("NOTAFLOW_UI_URL", f"http://127.0.0.1:{port}")  # links of alerts
    environment.pop("NOTAFLOW_OWNER_DATABASE_URL", None)
    return environment


class Dagster:
    """Dagster's code server, daemon and webserver, started side by side.

    `dagster dev` is not used: its daemon and webserver stop working but do not exit when another process than their parent
    signals them, so that sensors stop without a message.
    """

    def __init__(self, socket_path: Path, folder: Path, environment: dict[str, str]) -> None:
        self._socket = socket_path
        self._folder = folder
        self._environment = environment
        self._code_server: subprocess.Popen[bytes] | None = None
        self._others: list[subprocess.Popen[bytes]] = []
        self._orphaned_runs: set[psutil.Process] = set()  # runs of a killed code server

    def start(self, port: int) -> None:
        """Start the code server, and when it serves, the daemon and the webserver."""
        self._code_server = self._start_code_server()
        while not self._serves() and self._code_server.poll() is None:
            time.sleep(LOOK_SECONDS / 10)
        workspace = self._socket.with_name("workspace.yaml")
        server = {"socket": str(self._socket), "location_name": LOCATION}
        workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
        address = ["--host", "127.0.0.1", "--port", str(port)]
        self._others = [
            self._start("-m", "dagster._daemon", "run", "--workspace", str(workspace)),
            self._start("-m", "dagster_webserver", *address, "--workspace", str(workspace)),
        ]

    def watch(self) -> None:
        """Return when the daemon or the webserver has ended; restart the code server whenever it has ended.

        The code server has no state. Without it no sensor ticks, and only the UI would show that.
        """
        while all(one.poll() is None for one in self._others):
            if self._code_server is not None and self._code_server.poll() is not None:
                sys.stderr.write("\nThe code server has ended; starting it again.\n")
                self._orphaned_runs.update(_members({self._code_server.pid}))
                self._code_server = self._start_code_server()
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """Interrupt all processes, so that runs release their claims; kill what is left after `STOP_SECONDS`.

        OCR processes lead sessions of their own and are not interrupted: they end with their run.
        """
        started = [one for one in (self._code_server, *self._others) if one is not None]
        sessions = {one.pid for one in started}
        if self._code_server is not None and self._code_server.poll() is not None:
            self._orphaned_runs.update(_members({self._code_server.pid}))
        processes = _family(sessions) | self._orphaned_runs
        for one in started:
            one.send_signal(signal.SIGINT)
        for run in self._orphaned_runs:
            with suppress(psutil.NoSuchProcess):
                run.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(processes, timeout=STOP_SECONDS)
        for process in {*alive, *_family(sessions)}:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _serves(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self._socket)) == 0

    def _start_code_server(self) -> "subprocess.Popen[bytes]":
        program = PROJECT / "deploy" / "code_server.py"
        # the UI shows code that cannot be loaded
        options = ["--socket", str(self._socket), "--location-name", LOCATION, "--lazy-load-user-code"]
        return self._start(str(program), *options)

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        # in a new session, so that Ctrl-C reaches `notaflow dev` alone, which stops the others in order
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=self._folder, env=self._environment, start_new_session=True
        )


def _family(sessions: set[int]) -> set[psutil.Process]:
    """Return the processes of these sessions with all their descendants."""
    found = set(_members(sessions))
    for member in list(found):
        with suppress(psutil.NoSuchProcess):
            found.update(member.children(recursive=True))
    return found


def _members(sessions: set[int]) -> list[psutil.Process]:
    """Return the processes of these sessions; they are found even when the process that started them is dead."""
    found = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getsid(pid) in sessions:
                found.append(psutil.Process(pid))
    return found
