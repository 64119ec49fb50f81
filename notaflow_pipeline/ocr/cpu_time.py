"""Measures CPU time. Pages and documents are limited by CPU time.

With limits in wall-clock time, a busy machine would stop pages that an idle machine can read, and would produce another
text.
"""

import resource
from contextlib import suppress
from dataclasses import dataclass

import psutil

MIN_CPU_SHARE = 0.01
"""Minimum share of the wall-clock time. A process that uses less CPU time waits for something that does not happen,
or was stopped."""


def cpu_seconds() -> float:
    """Returns the CPU seconds of this process and of the programs that it started and that ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cpu_seconds_of(pid: int, *, running_programs: bool = True) -> float:
    """Returns the CPU seconds of another process and of the programs that it started; 0 if the process has ended.

    Programs that have ended are counted on Linux only. The call takes 0.1 ms without `running_programs`; with them it
    inspects all processes of the machine.
    """
    total = 0.0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *(process.children(recursive=True) if running_programs else ())):
            with suppress(psutil.Error):
                times = one.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


class CpuWatch:
    """Measures the CPU time that a process uses for one job. It is created before the job begins.

    `clock_seconds` is the wall-clock time of the job, without the periods in which it was not observed (for example,
    because the whole machine was suspended). CPU time is read only when a limit may have been reached.
    """

    def __init__(self, pid: int) -> None:
        self.clock_seconds = 0.0
        self._pid = pid
        self._at_start = cpu_seconds_of(pid, running_programs=False)
        self._last_progress = _Progress(0.0, 0.0)

    def overrun(self, passed_seconds: float, max_cpu_seconds: float, max_idle_seconds: float) -> str | None:
        """Returns a sentence about the limit that is reached after `passed_seconds` more; None if none is reached."""
        self.clock_seconds += passed_seconds
        idle_seconds = self.clock_seconds - self._last_progress.clock_seconds
        if self.clock_seconds < max_cpu_seconds and idle_seconds < max_idle_seconds:
            return None
        used_seconds = cpu_seconds_of(self._pid) - self._at_start
        if used_seconds > max_cpu_seconds:
            return out_of_cpu_time(max_cpu_seconds)
        if idle_seconds < max_idle_seconds:
            return None
        if used_seconds - self._last_progress.cpu_seconds < MIN_CPU_SHARE * idle_seconds:
            return f"It made no progress for {idle_seconds:.0f} s and was stopped. Try again when the machine is less busy."
        self._last_progress = _Progress(self.clock_seconds, used_seconds)
        return None


def out_of_cpu_time(seconds: float) -> str:
    """Returns the sentence about work that exceeded its CPU time."""
    return (
        f"It took more than {seconds:.0f} s of CPU time and was stopped. Raise the limit, or split what is to be read."
    )


@dataclass(frozen=True)
class _Progress:
    """Last time at which a process had used its minimum share of CPU time, and its CPU time at that moment."""

    clock_seconds: float
    cpu_seconds: float
