"""Starts and stops the processes of Dagster for `notaflow dev`: code server, daemon, webserver."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

PROJECT = Path(__file__).resolve().parents[2]

STOP_SECONDS = 12
"""How long processes may take to release their claims before they are killed."""

POLL_SECONDS, END_POLL_SECONDS = 2.0, 0.05
"""How often Dagster's processes are checked, and how often while they are being stopped."""

LOCATION = "notaflow_pipeline"
"""The name of the code in workspace.yaml and [tool.dg], so that sensors keep their state whichever is used."""


class Dagster:
    """Dagster's code server, daemon and webserver.

    They are not started by `dagster dev`: its daemon and webserver stop working but keep running when another process than
    their parent terminates them, so that no sensor would tick and nothing would show it.
    """

    def __init__(self, socket_path: Path, folder: Path, environment: dict[str, str], log: IO[bytes]) -> None:
        self._log = log
        self._socket = socket_path
        self._folder = folder
        self._environment = environment
        self._code_server: subprocess.Popen[bytes] | None = None
        self._others: list[subprocess.Popen[bytes]] = []
        self._orphans: set[psutil.Process] = set()  # runs whose code server was killed

    def start(self, port: int) -> None:
        """Start the code server, and the daemon and the webserver once it serves."""
        self._code_server = self._start_code_server()
        while not self._serves() and self._code_server.poll() is None:
            time.sleep(POLL_SECONDS / 10)
        workspace = self._socket.with_name("workspace.yaml")
        server = {"socket": str(self._socket), "location_name": LOCATION}
        workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
        address = ["--host", "127.0.0.1", "--port", str(port)]
        self._others = [
            self._start("-m", "dagster._daemon", "run", "--workspace", str(workspace)),
            self._start("-m", "dagster_webserver", *address, "--workspace", str(workspace)),
        ]

    def wait_until_served(self, port: int) -> None:
        """Return when the webserver accepts connections, or a process has ended."""
        while all(one.poll() is None for one in self._others):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(POLL_SECONDS / 10)

    def watch(self, restart_database: Callable[[], None]) -> None:
        """Return when the daemon or the webserver has ended. Start the code server and the database again when they have.

        Without them no sensor ticks and nothing is read, which only the UI would show. The code server has no state.
        """
        while all(one.poll() is None for one in self._others):
            restart_database()
            if self._code_server is not None and self._has_ended(self._code_server):
                sys.stderr.write("The code server ended; starting it again.\n")
                self._orphans.update(_session_processes({self._code_server.pid}))
                self._code_server.kill()
                self._code_server.wait()
                self._code_server = self._start_code_server()
            time.sleep(POLL_SECONDS)

    def _has_ended(self, code_server: "subprocess.Popen[bytes]") -> bool:
        """Whether the code server, or the process that serves the code on its behalf, has ended."""
        if code_server.poll() is not None:
            return True
        if not self._serves():  # it is loading the code
            return False
        try:
            children = psutil.Process(code_server.pid).children()
        except psutil.NoSuchProcess:
            return True
        return not any(map(_is_alive, children))

    def stop(self) -> None:
        """Interrupt each process, and the code server its runs, so that they release their claims; then kill what is left.

        OCR workers lead sessions of their own and are not interrupted: they end with their run.
        """
        started = [one for one in (self._code_server, *self._others) if one is not None]
        sessions = {one.pid for one in started}
        if self._code_server is not None and self._code_server.poll() is not None:
            self._orphans.update(_session_processes({self._code_server.pid}))
        everything = _processes_of(sessions) | self._orphans
        for one in started:
            one.send_signal(signal.SIGINT)
        for run in self._orphans:
            with suppress(psutil.NoSuchProcess):
                run.send_signal(signal.SIGINT)
        for process in {*alive_after(everything, STOP_SECONDS), *_processes_of(sessions)}:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _serves(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self._socket)) == 0

    def _start_code_server(self) -> "subprocess.Popen[bytes]":
        program = PROJECT / "deploy" / "code_server.py"
        return self._start(str(program), "--reload", "--socket", str(self._socket), "--location-name", LOCATION)

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        # Ctrl-C reaches `notaflow dev` alone, which then stops the others in order
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )


def alive_after(processes: Iterable[psutil.Process], seconds: float) -> set[psutil.Process]:
    """Wait until processes have ended, for so many seconds at most; return those that are alive.

    `psutil.wait_procs` raises FileNotFoundError if a thread has got the PID of a process that ended earlier.
    """
    deadline = time.monotonic() + seconds
    alive = set(filter(_is_alive, processes))
    while alive and time.monotonic() < deadline:
        time.sleep(END_POLL_SECONDS)
        alive = set(filter(_is_alive, alive))
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _processes_of(sessions: set[int]) -> set[psutil.Process]:
    """Return the processes of these sessions and their descendants."""
    found = set(_session_processes(sessions))
    for member in list(found):
        with suppress(psutil.NoSuchProcess):
            found.update(member.children(recursive=True))
    return found


def _session_processes(sessions: set[int]) -> list[psutil.Process]:
    """Return the processes of these sessions; unlike children they are found when their parent has ended."""
    found = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getsid(pid) in sessions:
                found.append(psutil.Process(pid))
    return found
