"""`notaflow dev`: everything on one machine with one command, and nothing of it left when it stops."""

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
"""How long processes may take to give their claims back before they are killed."""

STOPPING = "\nStopping. Documents in hand are given back; Dagster prints where it was when its runs were interrupted.\n"

LOOK_SECONDS = 2.0
"""How often Dagster's processes are looked at."""

LOCATION = "notaflow_pipeline"
"""The name of the code in workspace.yaml and [tool.dg], so that sensors keep their state whichever is used."""

KEPT_BY_DAGSTER = (".notaflow/dagster/compute_logs", ".notaflow/dagster")
"""What dagster.yaml calls its folders, for Dagster's own commands, which are run in the project's folder."""

SOCKETS = "/tmp"  # noqa: S108 - a private folder is made in it
"""Where the code server's socket lies: its path may have some 100 characters, and other folders' are longer."""


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
        with tempfile.TemporaryDirectory(prefix="notaflow-", dir=SOCKETS) as folder:
            socket_path = Path(folder) / "code-server"
            instance = make_instance(settings.home.absolute())
            dagster = Dagster(socket_path, instance, environment_of_dagster(settings, url, instance))
            try:
                dagster.start(port)
                dagster.watch()
            finally:
                sys.stderr.write(STOPPING)
                dagster.stop()
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


def make_instance(home: Path) -> Path:
    """Write the project's dagster.yaml, with what it keeps in `home`, into a folder there, and return that folder.

    Dagster's processes run in it: where they find a `.env`, as beside the project's own dagster.yaml, Dagster puts it
    before the environment, and what it reads could then be another database than the one that was migrated.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    instance = (PROJECT / "dagster.yaml").read_text(encoding="utf-8")
    for kept in KEPT_BY_DAGSTER:
        place = json.dumps(str(home / Path(kept).relative_to(".notaflow")))
        instance = instance.replace(f"base_dir: {kept}\n", f"base_dir: {place}\n")
    (folder / "dagster.yaml").write_text(instance, encoding="utf-8")
    return folder


def environment_of_dagster(settings: Settings, url: str, instance: Path) -> dict[str, str]:
    """What Dagster's processes need to find the same database, home and documents, wherever they run.

    `.env` in the current folder is part of it, behind the environment as everywhere; the owner's login is not, because
    theirs is the worker's part.
    """
    # a folder is relative to where this command runs, and Dagster runs elsewhere
    documents = settings.documents
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", documents) is None:
        documents = str(Path(documents).expanduser().absolute())
    said = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    environment = {
        **said,
        **os.environ,
        "NOTAFLOW_DATABASE_URL": url,
        "NOTAFLOW_HOME": str(settings.home.absolute()),
        "NOTAFLOW_DOCUMENTS_URL": documents,
        "DAGSTER_HOME": str(instance),
    }
    environment.pop("NOTAFLOW_OWNER_DATABASE_URL", None)
    return environment


class Dagster:
    """Its three processes, side by side.

    Not `dagster dev`, whose daemon and webserver stop working and stay when anybody but their parent tells them to end:
    nothing would tick any more, and nobody would notice.
    """

    def __init__(self, socket_path: Path, folder: Path, environment: dict[str, str]) -> None:
        self._socket = socket_path
        self._folder = folder
        self._environment = environment
        self._code_server: subprocess.Popen[bytes] | None = None
        self._others: list[subprocess.Popen[bytes]] = []
        self._left_alone: set[psutil.Process] = set()  # runs whose code server was killed

    def start(self, port: int) -> None:
        """Start everything; the daemon and the webserver when there is code to serve."""
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
        """Return when the daemon or the webserver has ended. Start the code server again when that has: it has no state.

        Without it no sensor ticks, so nothing is read and nobody is told; the UI alone would show it.
        """
        while all(one.poll() is None for one in self._others):
            if self._code_server is not None and self._code_server.poll() is not None:
                sys.stderr.write("\nThe code server is gone; starting it again.\n")
                self._left_alone.update(_members({self._code_server.pid}))
                self._code_server = self._start_code_server()
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """Interrupt each, and the code server its runs, so that they give their claims back; kill what is left after that.

        OCR workers lead sessions of their own and are not interrupted: they end with their run.
        """
        started = [one for one in (self._code_server, *self._others) if one is not None]
        sessions = {one.pid for one in started}
        if self._code_server is not None and self._code_server.poll() is not None:
            self._left_alone.update(_members({self._code_server.pid}))
        everything = _family(sessions) | self._left_alone
        for one in started:
            one.send_signal(signal.SIGINT)
        for run in self._left_alone:
            with suppress(psutil.NoSuchProcess):
                run.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(everything, timeout=STOP_SECONDS)
        for process in {*alive, *_family(sessions)}:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _serves(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self._socket)) == 0

    def _start_code_server(self) -> "subprocess.Popen[bytes]":
        program = PROJECT / "deploy" / "code_server.py"
        # code that cannot be loaded is for the UI to show
        options = ["--socket", str(self._socket), "--location-name", LOCATION, "--lazy-load-user-code"]
        return self._start(str(program), *options)

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        # Ctrl-C reaches `notaflow dev` alone, which then stops the others in order
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=self._folder, env=self._environment, start_new_session=True
        )


def _family(sessions: set[int]) -> set[psutil.Process]:
    """Everything that Dagster started, and what that started."""
    found = set(_members(sessions))
    for member in list(found):
        with suppress(psutil.NoSuchProcess):
            found.update(member.children(recursive=True))
    return found


def _members(sessions: set[int]) -> list[psutil.Process]:
    """The processes of sessions: unlike a parent's children, they can be found when what started them is dead."""
    found = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getsid(pid) in sessions:
                found.append(psutil.Process(pid))
    return found
