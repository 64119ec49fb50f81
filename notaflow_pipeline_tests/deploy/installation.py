"""Processes of Dagster as deploy/ runs it, without containers, and the proxy in front of them."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from notaflow_pipeline_tests.deploy import DEPLOY
from notaflow_pipeline_tests.testing import ending
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS


@dataclass(frozen=True)
class Installation:
    """What runs, and where."""

    folder: Path
    database_url: str
    environment: dict[str, str]
    code_server: "subprocess.Popen[bytes]"
    code_server_port: int
    webserver: str
    viewer: str

    @property
    def documents(self) -> Path:
        """The bucket of the source `index`."""
        return self.folder / "documents" / "index"


@dataclass(frozen=True)
class Proxy:
    """The one door, and the key of its certificate."""

    address: str
    certificate: Path

    def client(self, user: str | None = None) -> httpx.Client:
        """A browser of this user, whose password is the name."""
        trust = ssl.create_default_context(cafile=self.certificate)
        return httpx.Client(base_url=f"https://{self.address}", verify=trust, auth=(user, user) if user else None)


def environment_of(folder: Path, database_url: str) -> dict[str, str]:
    """The environment of the image, with places in `folder`."""
    ours = ("NOTAFLOW_", "OCR_", "DAGSTER_", "SUPABASE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    for name in ("documents/index", "dagster_home", "compute_logs", "temporary"):
        (folder / name).mkdir(parents=True)
    shutil.copy(DEPLOY / "dagster.yaml", folder / "dagster_home")
    return environment | {
        "DAGSTER_HOME": str(folder / "dagster_home"),
        "NOTAFLOW_DATABASE_URL": database_url,
        "NOTAFLOW_DOCUMENTS_URL": str(folder / "documents"),
        "NOTAFLOW_HOME": str(folder / "home"),
        "NOTAFLOW_COMPUTE_LOGS": str(folder / "compute_logs"),
        "NOTAFLOW_CODE_SERVER": "127.0.0.1",
        "OCR_WORKERS": "1",
        "TMPDIR": str(folder / "temporary"),
    }


def program(name: str) -> str:
    """A program of this installation."""
    return str(Path(sys.executable).with_name(name))


@contextmanager
def started(
    folder: Path, name: str, command: list[str], environment: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that ends with the tests, and whatever it started with it; what it says goes to a file."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        family = ending.children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=HANG_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        ending.kill(family)


def reachable(proxy: Proxy) -> bool:
    """Whether the proxy is there, whatever it says."""
    try:
        with proxy.client() as client:
            return client.get("/").status_code > 0
    except httpx.HTTPError:
        return False
