"""Shared parts of the worker processes of all systems: the start signal, the results, the report.

Standard library alone: the peers run in an environment of their own.
"""

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

POISON, FREEZE, AS_SHIPPED = "poison", "freeze", "as shipped"


@dataclass(frozen=True)
class Order:
    """What a worker process is to do, as the benchmark passes it in its only argument."""

    command: str  # install, enqueue, probe, drain, serve or recover
    database: str  # for libpq
    batch: int = 1
    count: int = 0  # documents to enqueue, or claims to time
    result_bytes: int = 4096
    lease_seconds: float = 30
    job_seconds: float = 0  # what reading a document takes
    behaviour: str = ""  # poison, freeze, as shipped, or nothing
    event_log: str = ""  # file to which the events of executions are appended


def order() -> Order:
    """Return the order of this process."""
    return Order(**json.loads(sys.argv[1]))


def text(result_bytes: int) -> str:
    """Return a result that no compression makes smaller."""
    return os.urandom(result_bytes // 2).hex()


def await_start_signal() -> None:
    """Say that imports and connections are done, and wait until all workers may begin."""
    print("ready", flush=True)
    sys.stdin.readline()


def report(**figures: object) -> None:
    """Pass the figures to the benchmark."""
    print(json.dumps(figures), flush=True)


def log_event(given: Order, event: str, document: object) -> None:
    """Append one event of an execution; the line survives a kill of its process."""
    if given.event_log:
        line = f"{event} {document} {os.getpid()} {time.time()}\n"
        descriptor = os.open(Path(given.event_log), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, line.encode())
        os.close(descriptor)


def simulate_fault(given: Order) -> None:
    """Die as a process does that runs out of memory, or freeze until the benchmark resumes it."""
    if given.behaviour == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    elif given.behaviour == FREEZE:
        os.kill(os.getpid(), signal.SIGSTOP)
