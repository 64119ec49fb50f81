"""The code server as the first process of a container: told to stop, it first lets its runs give their documents back.

Dagster's code server starts each run as a process of its own, and a container ends with its first process: without this,
every stop of the container would kill its runs, whose documents would wait for their leases to run out.

usage: python deploy/code_server.py --host 0.0.0.0 --port 4000
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil

STOP_SECONDS = 20.0
"""How long runs may take to give their claims back, which takes some 10 s at most. The container's own grace is longer."""


def main() -> int:
    """Start the server; stop its runs, then itself, when told to; return its exit code."""
    server = subprocess.Popen(
        [sys.executable, "-m", "dagster", "api", "grpc", "-m", "notaflow_pipeline.definitions", *sys.argv[1:]],
        start_new_session=True,  # one group with its runs; OCR workers lead groups of their own and end with their run
    )
    told_to_stop = False

    def stop(*_: object) -> None:
        nonlocal told_to_stop
        told_to_stop = True
        raise InterruptedError

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with suppress(InterruptedError):
        server.wait()
    if told_to_stop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stop_group(server.pid)
    return 0 if told_to_stop else server.wait()


def stop_group(leader: int) -> None:
    """Interrupt the server and its runs, and kill what has not ended in time."""
    with suppress(psutil.NoSuchProcess):
        family = [psutil.Process(leader), *psutil.Process(leader).children(recursive=True)]
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGINT)
        _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()


if __name__ == "__main__":
    sys.exit(main())
