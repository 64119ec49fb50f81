"""Runs Dagster's code server so that it stops its runs when it is stopped: they release their documents, and it ends.

Dagster's own code server waits for its runs to end, which takes as long as their batches. A container would be killed before
that, and the documents of its runs would wait for the end of their leases.

A run is forked from a process that has imported everything, which saves two seconds of a core before its first claim, for
150 MB of memory that the runs share.

With --reload, "Reload" in the UI loads the code again. `dagster api grpc` cannot do that; `dagster code-server start` serves
the code through a process that it replaces, and sends Terminate to the process that started the run. Runs in progress
continue with the code that they began with.

usage: python deploy/code_server.py [--reload] --host 0.0.0.0 --port 4000
"""

import importlib
import multiprocessing
import runpy
import signal
import sys
import tempfile
from contextlib import suppress
from multiprocessing import forkserver
from typing import NoReturn

import psutil

DEFINITIONS = "notaflow_pipeline.definitions"
SERVE = ["api", "grpc"]

MAX_SOCKET_FOLDER = 70
"""Characters: multiprocessing adds 32, and the path of a socket may have 103 (macOS) or 107 (Linux)."""


def main() -> None:
    """Serve until a signal."""
    # Dagster gives SIGTERM the handler that SIGINT has
    arguments = sys.argv[1:]
    if arguments[:1] == ["--reload"]:
        signal.signal(signal.SIGINT, stop_servers)
        serve_through_this_program()
        arguments = ["code-server", "start", "-m", DEFINITIONS, *arguments[1:]]
    else:
        signal.signal(signal.SIGINT, stop)
        fork_runs()
        if arguments[:2] != SERVE:
            arguments = [*SERVE, "-m", DEFINITIONS, *arguments]
    sys.argv[1:] = arguments
    runpy.run_module("dagster", run_name="__main__")


def serve_through_this_program() -> None:
    """Let `dagster code-server start` start its servers with this program in place of `python -m dagster`."""
    grpc_server = importlib.import_module("dagster._grpc.server")
    grpc_server.get_python_environment_entry_point = lambda _executable: [sys.executable, __file__]  # type: ignore[attr-defined]


def stop_servers(*_: object) -> NoReturn:
    """Interrupt the servers, which stop their runs, and end after the last of them."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for server in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            server.send_signal(signal.SIGINT)
    raise KeyboardInterrupt


def fork_runs() -> None:
    """Start the process to fork from, and give Dagster another context of multiprocessing than the one that it asks for.

    Its socket lies in TMPDIR, or in /tmp where that path is too long. If it cannot listen, runs are started as Dagster does.
    """
    contexts = multiprocessing.get_context
    forking = contexts("forkserver")
    forking.set_forkserver_preload(["dagster._grpc.server", "notaflow_pipeline.definitions"])
    if len(tempfile.gettempdir()) > MAX_SOCKET_FOLDER:
        tempfile.tempdir = "/tmp"  # noqa: S108 - multiprocessing makes a private folder in it
    try:
        forkserver.ensure_running()
    except OSError as refused:
        sys.stderr.write(f"Runs start two seconds later, because none can be forked: {refused} (TMPDIR)\n")
        return
    finally:
        tempfile.tempdir = None  # TMPDIR again
    multiprocessing.get_context = lambda method=None: forking if method == "spawn" else contexts(method)  # type: ignore[assignment]


def stop(*_: object) -> NoReturn:
    """Terminate the runs, once; the server ends after the last of them."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for run in multiprocessing.active_children():
        run.terminate()
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
