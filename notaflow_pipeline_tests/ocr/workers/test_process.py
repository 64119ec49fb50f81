"""Tests of worker processes: the end of a worker, its parent or its children leaves nothing behind and harms no
other."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline.ocr.workers.process import Worker, WorkerEnded, create_scratch, remove_abandoned_files
from notaflow_pipeline.ocr.workers.resource_limits import ResourceLimits
from notaflow_pipeline.scratch_directory import ScratchDirectory
from notaflow_pipeline_tests.ocr.failing_engines import FAILING_WIDTH, WaitingEngine
from notaflow_pipeline_tests.ocr.processes import mark_of_this_process, with_argument, workers
from notaflow_pipeline_tests.ocr.samples import page_image, png
from notaflow_pipeline_tests.testing.ending import all_gone, children_of
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

REPOSITORY = Path(__file__).parents[3]


def failing_page(path: Path) -> Path:
    page_image("", size=(FAILING_WIDTH, 20)).save(path, format="PNG")
    return path


def start_parent(tmp_path: Path, mark: str) -> subprocess.Popen[bytes]:
    """Starts a Python program that reads two pages that never end. It has no `if __name__` guard on purpose."""
    failing_page(tmp_path / "page.png")
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import signal
            from pathlib import Path
            from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
            from notaflow_pipeline_tests.ocr.failing_engines import WaitingEngine

            # a program inherits ignored or blocked signals, also from the & of a shell
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])
            Path({str(tmp_path / "runs")!r}).open("a").write("run\\n")
            with DocumentPool(WaitingEngine(mark={mark!r}), workers=2) as pool:
                futures = [pool.start(Path({str(tmp_path / "page.png")!r})) for _ in range(2)]
                futures[0].result()
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen([sys.executable, str(program)], env=environment, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_end_of_the_parent_ends_workers_and_their_children(tmp_path: Path, ending: signal.Signals) -> None:
    mark = mark_of_this_process(86400 + ending.value)
    with start_parent(tmp_path, mark) as parent:
        wait_until(lambda: len(with_argument(mark)) == 2)
        family = children_of(parent.pid)
        assert len(family) >= 4
        parent.send_signal(ending)
        parent.wait(HANG_SECONDS)
        wait_until(lambda: all_gone(family))
    assert with_argument(mark) == []
    assert (tmp_path / "runs").read_text() == "run\n"  # no worker ran the program again


def test_workers_get_no_signals_from_the_terminal(tmp_path: Path) -> None:
    with DocumentPool(NullEngine(), workers=1) as pool:
        pool.start(png(tmp_path / "a")).result(timeout=HANG_SECONDS)
        (worker,) = workers()
        assert os.getsid(worker.pid) == worker.pid != os.getsid(0)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
def test_worker_that_ends_fails_its_page_and_leaves_no_child(tmp_path: Path, ending: signal.Signals) -> None:
    engine = WaitingEngine(mark=mark_of_this_process(86450 + ending.value))
    with DocumentPool(engine, workers=1) as pool:
        future = pool.start(failing_page(tmp_path / "a"))
        for _ in range(2):  # the page is retried once
            wait_until(lambda: bool(with_argument(engine.mark)) and len(workers()) == 1)
            (worker,) = workers()
            family = [worker, *with_argument(engine.mark)]
            worker.send_signal(ending)
            wait_until(lambda: all_gone(family))  # noqa: B023 - called at once
        error = future.exception(timeout=HANG_SECONDS)
        assert isinstance(error, DocumentFailure)
        assert error.kind is FailureKind.CRASHED
        wait_until(lambda: not with_argument(engine.mark))
        next_document = pool.start(png(tmp_path / "next"))
        assert next_document.result(timeout=HANG_SECONDS).pages[0].text == "page of 1000x300"


def test_idle_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    path = png(tmp_path / "a")
    with DocumentPool(NullEngine(), workers=1) as pool:
        for _ in range(3):
            pool.start(path).result(timeout=HANG_SECONDS)
            killed = workers()
            for worker in killed:
                worker.kill()
            wait_until(lambda: all_gone(killed))  # noqa: B023 - called before the loop goes on
        assert pool.start(path).result(timeout=HANG_SECONDS).pages


def test_worker_that_exits_as_if_all_were_well_fails_its_job(tmp_path: Path) -> None:
    worker = Worker(tmp_path, ResourceLimits(memory_bytes=1 << 30, written_file_bytes=1 << 20))
    assert worker.run(60, abs, -3).result == 3
    with pytest.raises(WorkerEnded) as ended:
        worker.run(60, os._exit, 0)
    assert (ended.value.status, ended.value.job_began) == (0, True)
    with pytest.raises(WorkerEnded) as ended:
        worker.run(60, abs, -3)
    assert not ended.value.job_began


def test_document_fails_if_no_worker_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    with DocumentPool(NullEngine(), workers=1) as pool:
        error = pool.start(png(tmp_path / "a")).exception(timeout=HANG_SECONDS)
    assert isinstance(error, EngineUnavailable)
    assert "Worker processes end before they begin a job" in str(error)


def test_worker_that_is_ended_while_it_starts_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        with DocumentPool(NullEngine(), workers=2):
            wait_until(lambda: len(workers()) == 2)
    assert capfd.readouterr().err == ""
    assert workers() == []


def test_temporary_files_are_removed_after_killed_pages_and_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = ScratchDirectory(tmp_path)
    scratch = held.path
    monkeypatch.setattr("notaflow_pipeline.ocr.workers.pool.create_scratch", lambda _: held)
    engine = WaitingEngine(mark=mark_of_this_process(86499))
    with DocumentPool(engine, workers=1) as pool:
        future = pool.start(failing_page(tmp_path / "a"))
        wait_until(lambda: bool(with_argument(engine.mark)))
        (worker,) = workers()
        (scratch / str(worker.pid) / "left.pgm").write_bytes(b"page")
        future.cancel()
        wait_until(lambda: not (scratch / str(worker.pid)).exists())
        pool.start(png(tmp_path / "next")).result(timeout=HANG_SECONDS)
    assert not scratch.exists()


def test_files_of_a_worker_whose_pid_another_user_has_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(pid: int, _number: int) -> None:
        if pid == 1:
            raise PermissionError

    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    monkeypatch.setattr(os, "kill", kill)
    remove_abandoned_files(tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == ["2"]


def test_scratch_is_in_memory_only_if_there_is_room() -> None:
    memory = Path("/dev/shm")  # noqa: S108 - the folder is only inspected
    for min_bytes, expected in ((0, memory), (1 << 60, Path(tempfile.gettempdir()))):
        scratch = create_scratch(min_bytes)
        scratch.remove()
        assert scratch.path.parent == expected
