"""Resource limits and the environment of a worker process, which opens untrusted files.

Deadlines are kept by the parent (`pool`). Code that takes over a worker finds no secret in it, cannot fill memory or disk,
and leaves no core dump.
"""

import os
import resource
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPEN_FILES = 256
"""A worker has some twenty open: its pipes, the document, a page for the engine."""

CPU_SECONDS_A_SECOND = 2
"""How much faster than the clock CPU time may pass, in threads that a library starts."""

NEARLY_ALL = 0.9
"""Of its memory; a process that grows beyond says so and ends, before a library ends it without a word."""

OUT_OF_MEMORY_STATUS = 85
"""With what a worker exits that used nearly all of its memory."""

PASSED_ON = frozenset(
    {"HOME", "LANG", "LANGUAGE", "PATH", "TESSDATA_PREFIX", "TMPDIR", "TZ", "VIRTUAL_ENV"}
    | {"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"}
)
PASSED_ON_PREFIXES = ("LC_", "PYTHON", "OMP_")

FOR_ALL = {"OMP_THREAD_LIMIT": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Tesseract's OpenMP threads spin while they wait for each other: 12 pages took 84 s instead of 15 s on two busy cores.

NumPy's threads spin too (taking noise off a page took twice the CPU seconds on two cores), and each has memory of its own.
"""


@dataclass(frozen=True)
class ResourceLimits:
    """What one worker process, and each program that it starts, may use."""

    memory_bytes: int
    written_file_bytes: int


def apply_resource_limits(allowance: ResourceLimits) -> None:
    """Take from this process and its future children what they do not need, for good.

    Memory is counted as private and writable (`RLIMIT_DATA`), not as address space, of which PDFium reserves far more
    than it uses. Over it Python raises `MemoryError`, and a library that does not check ends the process; see
    `is_nearly_out_of_memory`.
    """
    _lower(resource.RLIMIT_DATA, allowance.memory_bytes)
    _lower(resource.RLIMIT_FSIZE, allowance.written_file_bytes)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_CORE, 0)


def is_nearly_out_of_memory(allowance: ResourceLimits) -> bool:
    """Whether this process has used most of its memory; False where the system does not tell (anywhere but Linux)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])  # private and writable, as `RLIMIT_DATA` counts
    except (OSError, IndexError):
        return False
    return pages * resource.getpagesize() > NEARLY_ALL * allowance.memory_bytes


def limit_cpu_seconds(seconds: float) -> None:
    """End this process by SIGXCPU if it computes on for so long, even where nobody is left to end it at its deadline."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    bound = round(used.ru_utime + used.ru_stime + CPU_SECONDS_A_SECOND * seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


def allowlisted_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment a worker needs. A list of what is allowed, since nobody can list what is secret."""
    passed_on = {
        name: value for name, value in environment.items() if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
    return passed_on | FOR_ALL


def start_without_secrets(path: bytes, args: Sequence[Any], passfds: Sequence[int]) -> int:
    """Start a program with the allowlisted part of this environment and no open file but `passfds`; return its process id.

    It does what `multiprocessing.util.spawnv_passfds` does, which can only pass on the whole environment. Clearing it
    afterwards would leave it in the new process's memory and in /proc.
    """
    process = subprocess.Popen(
        list(args),
        executable=path,
        env=allowlisted_environment(os.environ),
        pass_fds=[int(descriptor) for descriptor in passfds],
    )
    process.returncode = 0  # multiprocessing waits for it by its id; this object shall not
    return process.pid


def _lower(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    lowered = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (lowered, lowered))
