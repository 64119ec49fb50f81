"""Dagster's code server, which tells its runs to stop when it is told to: they give their documents back, and it ends.

Dagster's own starts each run as a process of its own and, told to stop, waits until all of them have come to their end,
which takes as long as their batches do. A container would be killed before that, and its runs with it, whose documents would
then wait for their leases to run out.

Nor does a run import everything anew here: it is forked from a process that has, which saves two seconds of a core before
its first claim, for 150 MB of memory that the runs share.

usage: python deploy/code_server.py --host 0.0.0.0 --port 4000
"""

import multiprocessing
import runpy
import signal
import sys
from multiprocessing import forkserver
from typing import NoReturn


def main() -> None:
    """Serve until told to stop."""
    # Dagster gives SIGTERM the handler that SIGINT has
    signal.signal(signal.SIGINT, stop)
    fork_runs()
    sys.argv[1:] = ["api", "grpc", "-m", "notaflow_pipeline.definitions", *sys.argv[1:]]
    runpy.run_module("dagster", run_name="__main__")


def fork_runs() -> None:
    """Start the process to fork from, and give Dagster another context of multiprocessing than the one that it asks for.

    Where that process cannot listen (the path of a socket in TMPDIR may be too long), runs are started as Dagster does.
    """
    contexts = multiprocessing.get_context
    forking = contexts("forkserver")
    forking.set_forkserver_preload(["dagster._grpc.server", "notaflow_pipeline.definitions"])
    try:
        forkserver.ensure_running()
    except OSError as refused:
        sys.stderr.write(f"Runs start two seconds later, because none can be forked: {refused} (TMPDIR)\n")
        return
    multiprocessing.get_context = lambda method=None: forking if method == "spawn" else contexts(method)  # type: ignore[assignment]


def stop(*_: object) -> NoReturn:
    """Pass it on to the runs, once, and let the server end, which it does after the last of them."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for run in multiprocessing.active_children():
        run.terminate()
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
