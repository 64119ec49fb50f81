"""Measures CPU time, by which pages and documents are limited.

By the clock, a busy machine would stop at pages that a quiet one reads, and end with another text.
"""

import resource
from contextlib import suppress
from dataclasses import dataclass

import psutil

MIN_CPU_SHARE = 0.01
"""Of the clock's time; a process that uses less waits for something that does not come, or was stopped."""


def cpu_seconds() -> float:
    """CPU seconds of this process and of the programs that it started and that ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cpu_seconds_of(pid: int, *, running_programs: bool = True) -> float:
    """CPU seconds of another process and of the programs that it started; 0 if it is gone.

    Programs that ended are counted on Linux only. Without `running_programs` it takes 0.1 ms, with them all processes of
    the machine are looked at.
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
    """What a process uses for one job; begins before the job does.

    `clock_seconds` is how long the job has taken, without the time in which nobody watched: where the whole machine or the
    watching process was halted, the job is not to blame. CPU time is read only when a limit can have been reached.
    """

    def __init__(self, pid: int) -> None:
        self.clock_seconds = 0.0
        self._pid = pid
        self._at_start = cpu_seconds_of(pid, running_programs=False)
        self._last_progress = _Progress(0.0, 0.0)

    def overrun(self, passed_seconds: float, pid: int, max_cpu_seconds: float, max_idle_seconds: float) -> str | None:
        """Which limit is reached after more time passed, as a sentence; None if none is."""
        self.clock_seconds += passed_seconds
        if pid != self._pid:  # the process was renewed before the job began
            self._pid, self._at_start = pid, 0.0
        idle_seconds = self.clock_seconds - self._last_progress.clock_seconds
        if self.clock_seconds < max_cpu_seconds and idle_seconds < max_idle_seconds:
            return None
        used_seconds = cpu_seconds_of(pid) - self._at_start
        if used_seconds > max_cpu_seconds:
            return out_of_cpu_time(max_cpu_seconds)
        if idle_seconds < max_idle_seconds:
            return None
        if used_seconds - self._last_progress.cpu_seconds < MIN_CPU_SHARE * idle_seconds:
            return f"It made no progress for {idle_seconds:.0f} s and was stopped. Try again when the machine is less busy."
        self._last_progress = _Progress(self.clock_seconds, used_seconds)
        return None


def out_of_cpu_time(seconds: float) -> str:
    """The sentence about work that took more CPU time than it may."""
    return (
        f"It took more than {seconds:.0f} s of CPU time and was stopped. Raise the limit, or split what is to be read."
    )


@dataclass(frozen=True)
class _Progress:
    """When a process had last used a share of the clock's time, and how much CPU time it had used by then."""

    clock_seconds: float
    cpu_seconds: float
