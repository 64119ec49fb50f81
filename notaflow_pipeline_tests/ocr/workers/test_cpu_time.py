"""Tests of CPU time: when a limit is reached, and when a process is idle."""

import os
import subprocess
import sys
import time

from notaflow_pipeline.ocr.cpu_time import CpuWatch, cpu_seconds, cpu_seconds_of
from notaflow_pipeline_tests.testing.waiting import wait_until

BURN = "while True: pass"


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_programs_count_as_soon_as_they_have_ended() -> None:
    before = cpu_seconds()
    subprocess.run(["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"], check=True)
    assert cpu_seconds() - before > 0.05


def test_running_program_counts_for_the_process_that_started_it() -> None:
    before = cpu_seconds_of(os.getpid())
    with subprocess.Popen([sys.executable, "-c", BURN]) as program:
        wait_until(lambda: cpu_seconds_of(program.pid) > 0.2)
        assert cpu_seconds_of(os.getpid()) - before > 0.2
        program.kill()


def test_limit_is_reached_by_cpu_time_and_not_by_the_clock() -> None:
    # not this process, which may have started programs before: as a worker, the process has none when it is watched
    with subprocess.Popen([sys.executable, "-c", f"input()\n{BURN}"], stdin=subprocess.PIPE, text=True) as program:
        watch = CpuWatch(program.pid)
        assert watch.overrun(1000, max_cpu_seconds=0.5, max_idle_seconds=10_000) is None
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()
        wait_until(lambda: cpu_seconds_of(program.pid) > 0.6)
        assert "CPU time" in (watch.overrun(1, max_cpu_seconds=0.5, max_idle_seconds=10_000) or "")
        program.kill()


def test_process_that_goes_on_slowly_is_not_idle() -> None:
    watch = CpuWatch(os.getpid())
    for _ in range(3):
        burn(0.2)
        assert watch.overrun(10, max_cpu_seconds=60, max_idle_seconds=10) is None
    assert "no progress" in (watch.overrun(60, max_cpu_seconds=60, max_idle_seconds=10) or "")


def test_ended_process_is_idle() -> None:
    with subprocess.Popen(["true"]) as program:
        watch = CpuWatch(program.pid)
    assert "no progress" in (watch.overrun(10, max_cpu_seconds=60, max_idle_seconds=10) or "")
