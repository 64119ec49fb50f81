"""Resource limits and the environment of a worker process, which opens untrusted files.

The parent enforces deadlines (`pool`). Code that takes control of a worker finds no secret in it, cannot fill memory or
disk, and leaves no core dump.
"""

import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MAX_OPEN_FILES = 256
"""Maximum number of open files. A worker uses about twenty: its pipes, the document, a page for the engine."""

MAX_CPU_SECONDS_PER_SECOND = 2
"""CPU seconds per wall-clock second that a process may use, in threads that a library starts."""

MAX_MEMORY_SHARE = 0.9
"""Share of its memory limit above which a worker ends itself with a status, before a library aborts it without a
message."""

OUT_OF_MEMORY_STATUS = 85
"""Exit status of a worker that used nearly all of its memory."""

ALLOWED_VARIABLES = frozenset(
    {"HOME", "LANG", "LANGUAGE", "PATH", "TESSDATA_PREFIX", "TMPDIR", "TZ", "VIRTUAL_ENV"}
    | {"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"}
)
ALLOWED_VARIABLE_PREFIXES = ("LC_", "PYTHON", "OMP_")

FIXED_VARIABLES = {
    "OMP_THREAD_LIMIT": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
}
"""Variables that every worker gets: one thread for each library, and memory of page images that is used again.

The threads of libraries spin while they wait for each other. With Tesseract's OpenMP threads, 12 pages took 84 s instead
of 15 s on two busy cores. With NumPy's threads, noise removal took twice the CPU seconds on two cores, and each thread
has its own memory.

The GNU C library returns the memory of each large array to the system, which clears its pages for the next one. With
these thresholds in bytes (mallopt(3)), 20 pages cause 42,000 page faults instead of 229,000, and 0.14 instead of 0.56 CPU
seconds in the kernel. Other C libraries ignore them.
"""


@dataclass(frozen=True)
class ResourceLimits:
    """Resources that one worker process, and each program that it starts, may use."""

    memory_bytes: int
    written_file_bytes: int


def apply_resource_limits(resource_limits: ResourceLimits) -> None:
    """Applies resource limits to this process and its future children; they cannot be raised again.

    Memory is counted as private and writable (`RLIMIT_DATA`), not as address space, because PDFium reserves far more
    address space than it uses. Above the limit Python raises `MemoryError`, and a library that does not check for it
    ends the process; see `is_nearly_out_of_memory`.
    """
    _lower_limit(resource.RLIMIT_DATA, resource_limits.memory_bytes)
    _lower_limit(resource.RLIMIT_FSIZE, resource_limits.written_file_bytes)
    _lower_limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    _lower_limit(resource.RLIMIT_CORE, 0)


def is_nearly_out_of_memory(resource_limits: ResourceLimits) -> bool:
    """Whether this process has used nearly all of its memory. It is always False on systems other than Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])  # private and writable, as `RLIMIT_DATA` counts
    except (OSError, IndexError):
        return False
    return pages * resource.getpagesize() > MAX_MEMORY_SHARE * resource_limits.memory_bytes


def limit_cpu_seconds(seconds: float) -> None:
    """Ends this process by SIGXCPU after so many CPU seconds, even if its parent no longer exists to end it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    bound = round(used.ru_utime + used.ru_stime + MAX_CPU_SECONDS_PER_SECOND * seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


def allowlisted_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables of an environment that a worker needs. It is an allowlist, because a list of secrets
    cannot be complete. Removing the variables in the new process would leave them in its memory and in /proc."""
    allowed = {
        name: value
        for name, value in environment.items()
        if name in ALLOWED_VARIABLES or name.startswith(ALLOWED_VARIABLE_PREFIXES)
    }
    return allowed | FIXED_VARIABLES


def _lower_limit(resource_id: int, maximum: int) -> None:
    _, hard = resource.getrlimit(resource_id)
    lowered = maximum if hard == resource.RLIM_INFINITY else min(maximum, hard)
    resource.setrlimit(resource_id, (lowered, lowered))
