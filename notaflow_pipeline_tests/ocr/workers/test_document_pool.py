"""Tests of reading documents in real worker processes, and of the other documents when one fails."""

import signal
import threading
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path

import pytest

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.document import DocumentText, PageSource, PageText
from notaflow_pipeline.ocr.engines.interface import Engine
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.probe import ProbedDocument
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers import document_pool
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline_tests.ocr.failing_engines import (
    FAILING_WIDTH,
    ComputingEngine,
    CrashingEngine,
    EndlessProgramEngine,
    LargePageCrashingEngine,
    MemoryEngine,
    MissingEngine,
    RaisingEngine,
    RefusingEngine,
    WaitingEngine,
)
from notaflow_pipeline_tests.ocr.processes import mark_of_this_process, with_argument, workers
from notaflow_pipeline_tests.ocr.samples import endless_pdf, page_image, png, scanned_pdf, tiff
from notaflow_pipeline_tests.testing.ending import all_gone
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until


def pages(path: Path, count: int, failing: int | None = None) -> Path:
    """Writes a TIFF with pages of width 101, 102, …; failing engines fail at the page with the number `failing`."""
    widths = [FAILING_WIDTH if number == failing else 100 + number for number in range(1, count + 1)]
    return tiff(path, *[page_image("", size=(width, 20)) for width in widths])


def failure(future: Future[DocumentText]) -> DocumentFailure:
    error = future.exception(timeout=HANG_SECONDS)
    assert isinstance(error, DocumentFailure)
    return error


def texts(future: Future[DocumentText]) -> list[str]:
    return [page.text for page in future.result(timeout=HANG_SECONDS).pages]


def test_scan_is_read_page_by_page_in_order(tmp_path: Path) -> None:
    path = scanned_pdf(tmp_path / "a.pdf", "Vente du lot", "", "Bail du lot")
    with DocumentPool(TesseractEngine(), workers=2) as pool:
        pool.check()
        document = pool.start(path).result(timeout=HANG_SECONDS)
    assert document.text == "--- Page 1 ---\nVente du lot\n\n--- Page 2 ---\n\n--- Page 3 ---\nBail du lot"
    assert document.mean_confidence is not None
    assert document.ocr_seconds > 0


def test_documents_share_the_workers_and_keep_their_pages(tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    with DocumentPool(NullEngine(), workers=3) as pool:
        long = pool.start(pages(tmp_path / "long", 12), lambda done, total: progress.append((done, total)))
        short = [pool.start(png(tmp_path / f"{width}", "", (width, 20))) for width in (40, 41, 42)]
        assert texts(long) == [f"page of {100 + number}x20" for number in range(1, 13)]
        assert [texts(future) for future in short] == [["page of 40x20"], ["page of 41x20"], ["page of 42x20"]]
    assert sorted(progress) == [(done, 12) for done in range(1, 13)]


def test_document_is_finished_after_each_of_its_pages_was_reported(tmp_path: Path) -> None:
    """Two workers end pages at the same time, and the first is still reporting its page."""
    reported: list[int] = []
    last_is_recorded = threading.Event()

    def report(done: int, _total: int) -> None:
        if done == 1:
            assert last_is_recorded.wait(HANG_SECONDS)
        reported.append(done)

    pool = DocumentPool(NullEngine(), workers=1)
    document = document_pool._Document(tmp_path / "a.tif", report)
    pool._record(document, document_pool.PROBE_STEP, 0.0, ProbedDocument(DocumentFormat.TIFF, 2), 0.0)
    first = threading.Thread(
        target=pool._record, args=(document, 1, 0.0, PageText(1, "one", 1, 90.0, 0.1), 0.0), daemon=True
    )
    first.start()
    wait_until(lambda: document.unfinished == 1)
    pool._record(document, 2, 0.0, PageText(2, "two", 1, 90.0, 0.1), 0.0)
    assert not document.future.done()
    last_is_recorded.set()
    assert texts(document.future) == ["one", "two"]
    first.join()
    assert reported == [2, 1]


def test_pages_waiting_counts_unfinished_pages(tmp_path: Path) -> None:
    with DocumentPool(NullEngine(sleep_seconds=0.2), workers=1) as pool:
        assert pool.pages_waiting == 0
        future = pool.start(pages(tmp_path / "a", 4))
        assert pool.pages_waiting >= 1
        wait_until(lambda: pool.pages_waiting in {3, 4} or future.done())
        future.result(timeout=HANG_SECONDS)
        assert pool.pages_waiting == 0


def test_unreadable_document_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "bad.pdf").write_bytes(b"<html>")
    with DocumentPool(NullEngine(), workers=2) as pool:
        bad, good = pool.start(tmp_path / "bad.pdf"), pool.start(png(tmp_path / "good"))
        assert failure(bad).kind is FailureKind.NOT_A_DOCUMENT
        assert texts(good) == ["page of 1000x300"]


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        (CrashingEngine(), FailureKind.CRASHED),
        (RaisingEngine(), FailureKind.CRASHED),
        (RefusingEngine(), FailureKind.ENGINE),
    ],
    ids=["crash", "unforeseen error", "refusal"],
)
def test_failed_page_is_marked_and_affects_no_other(tmp_path: Path, engine: Engine, kind: FailureKind) -> None:
    with DocumentPool(engine, workers=2) as pool:
        neighbour = pool.start(pages(tmp_path / "neighbour", 6))
        bad = pool.start(pages(tmp_path / "bad", 5, failing=2)).result(timeout=HANG_SECONDS)
        assert [page.number for page in bad.pages if page.source is PageSource.FAILED] == [2]
        assert (bad.pages_failed, bad.pages[2].text) == (1, "page of 103x20")
        assert f"--- Page 2 ---\n[page could not be read: {kind.value}]\n\n--- Page 3 ---" in bad.text
        assert "Tremblay" not in bad.text
        assert len(texts(neighbour)) == 6
        assert texts(pool.start(png(tmp_path / "next"))) == ["page of 1000x300"]
        assert pool.pages_waiting == 0


def test_page_that_killed_its_worker_is_retried_with_fewer_pixels(tmp_path: Path) -> None:
    path = png(tmp_path / "a", "", (3508, 2480))
    with DocumentPool(LargePageCrashingEngine(), workers=1) as pool:
        assert texts(pool.start(path)) == ["page of 1754x1240"]


def test_document_of_which_no_page_can_be_read_fails(tmp_path: Path) -> None:
    with DocumentPool(CrashingEngine(), workers=2) as pool:
        bad = failure(pool.start(pages(tmp_path / "bad", 1, failing=1)))
    assert bad.kind is FailureKind.CRASHED
    assert bad.sentence.startswith("Page 1 of 1: ")
    assert bad.kind.retryable


@pytest.mark.parametrize("step_bytes", [1 << 40, 1 << 16], ids=["at once", "bit by bit"])
def test_page_that_needs_too_much_memory_fails_alone(tmp_path: Path, step_bytes: int) -> None:
    with DocumentPool(MemoryEngine(step_bytes=step_bytes), workers=1, limits=Limits(worker_bytes=600_000_000)) as pool:
        document = pool.start(pages(tmp_path / "bad", 2, failing=1)).result(timeout=HANG_SECONDS)
    assert document.text.startswith(
        "--- Page 1 ---\n[page could not be read: out_of_memory]\n\n--- Page 2 ---\npage of"
    )


def test_page_with_endless_drawing_is_ended_and_affects_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_pool, "GRACE_SECONDS", 0.1)
    with DocumentPool(NullEngine(), workers=2, limits=Limits(page_seconds=1.0)) as pool:
        endless = pool.start(endless_pdf(tmp_path / "endless.pdf"))
        neighbour = pool.start(pages(tmp_path / "neighbour", 6))
        assert failure(endless).kind is FailureKind.TIMEOUT
        assert len(texts(neighbour)) == 6


def test_document_that_takes_too_long_is_read_no_further(tmp_path: Path) -> None:
    limits = Limits(document_seconds=0.3)
    with DocumentPool(ComputingEngine(cpu_seconds=0.2), workers=1, limits=limits) as pool:
        late = failure(pool.start(pages(tmp_path / "long", 40)))
        assert late.kind is FailureKind.TIMEOUT
        assert "0 s of CPU time" in late.sentence
        assert pool.pages_waiting == 0


def test_waiting_counts_neither_for_a_page_nor_for_its_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_pool, "GRACE_SECONDS", 0.1)
    limits = Limits(page_seconds=2.0, document_seconds=3.0)
    with DocumentPool(NullEngine(sleep_seconds=4.0), workers=1, limits=limits) as pool:
        assert texts(pool.start(pages(tmp_path / "a", 2))) == ["page of 101x20", "page of 102x20"]


def test_page_is_ended_by_the_cpu_time_of_its_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_pool, "GRACE_SECONDS", 0.5)
    engine = EndlessProgramEngine(mark=mark_of_this_process(86303))
    with DocumentPool(engine, workers=1, limits=Limits(page_seconds=1.0)) as pool:
        late = failure(pool.start(pages(tmp_path / "bad", 1, failing=1)))
        assert late.kind is FailureKind.TIMEOUT
        assert "2 s of CPU time" in late.sentence
        wait_until(lambda: not with_argument(engine.mark))


def test_stopped_worker_is_replaced(tmp_path: Path) -> None:
    engine = WaitingEngine(mark=mark_of_this_process(86304))
    with DocumentPool(engine, workers=1, limits=Limits(idle_seconds=2.0)) as pool:
        stopped = pool.start(pages(tmp_path / "bad", 1, failing=1))
        wait_until(lambda: bool(with_argument(engine.mark)))
        (worker,) = workers()
        worker.send_signal(signal.SIGSTOP)
        late = failure(stopped)
        assert late.kind is FailureKind.TIMEOUT
        assert "no progress" in late.sentence
        wait_until(lambda: all_gone([worker]))


def test_document_whose_opening_took_all_its_time_ends_too(tmp_path: Path) -> None:
    with DocumentPool(NullEngine(), workers=1, limits=Limits(document_seconds=0.0001)) as pool:
        assert failure(pool.start(pages(tmp_path / "a", 3))).kind is FailureKind.TIMEOUT


def test_many_crashes_in_a_row_leave_the_pool_usable(tmp_path: Path) -> None:
    path = pages(tmp_path / "bad", 1, failing=1)
    with DocumentPool(CrashingEngine(), workers=2) as pool:
        assert {failure(future).kind for future in [pool.start(path) for _ in range(8)]} == {FailureKind.CRASHED}
        assert texts(pool.start(png(tmp_path / "next"))) == ["page of 1000x300"]


def test_missing_engine_is_no_failure_of_the_document(tmp_path: Path) -> None:
    with DocumentPool(MissingEngine(), workers=1) as pool:
        with pytest.raises(EngineUnavailable):
            pool.check()
        error = pool.start(pages(tmp_path / "a", 2, failing=1)).exception(timeout=HANG_SECONDS)
    assert isinstance(error, EngineUnavailable)


def test_hanging_page_is_killed_with_what_it_started(tmp_path: Path) -> None:
    engine = WaitingEngine(mark=mark_of_this_process(86301))
    with DocumentPool(engine, workers=2, limits=Limits(idle_seconds=3.0)) as pool:
        hanging = pool.start(pages(tmp_path / "bad", 2, failing=2))
        wait_until(lambda: bool(with_argument(engine.mark)))
        neighbour = pool.start(pages(tmp_path / "neighbour", 3))
        assert hanging.result(timeout=HANG_SECONDS).text.endswith("[page could not be read: timeout]")
        wait_until(lambda: not with_argument(engine.mark))
        assert len(texts(neighbour)) == 3
        assert texts(pool.start(png(tmp_path / "next"))) == ["page of 1000x300"]


def test_cancelled_document_ends_its_running_pages_and_no_others(tmp_path: Path) -> None:
    engine = WaitingEngine(mark=mark_of_this_process(86302), sleep_seconds=0.3)
    with DocumentPool(engine, workers=2) as pool:
        neighbour = pool.start(pages(tmp_path / "neighbour", 4))
        hanging = pool.start(pages(tmp_path / "bad", 30, failing=1))
        wait_until(lambda: bool(with_argument(engine.mark)))
        assert hanging.cancel()
        wait_until(lambda: not with_argument(engine.mark))
        assert hanging in wait([hanging], timeout=HANG_SECONDS).done
        with pytest.raises(CancelledError):
            hanging.result()
        assert len(texts(neighbour)) == 4
        assert pool.pages_waiting == 0


def test_close_leaves_no_process_and_cancels_what_is_unfinished(tmp_path: Path) -> None:
    engine = WaitingEngine(mark=mark_of_this_process(86303))
    pool = DocumentPool(engine, workers=2)
    with pool:
        futures = [pool.start(pages(tmp_path / str(number), 1, failing=1)) for number in range(3)]
        wait_until(lambda: len(with_argument(engine.mark)) == 2)
        processes = workers()
        assert len(processes) == 2
    assert all_gone(processes)
    wait_until(lambda: not with_argument(engine.mark))
    assert all(future.cancelled() for future in futures)
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.start(tmp_path / "0")


def test_exception_in_the_with_block_ends_the_workers(tmp_path: Path) -> None:
    def interrupted() -> None:
        with DocumentPool(NullEngine(sleep_seconds=60), workers=2) as pool:
            pool.start(pages(tmp_path / "a", 2))
            wait_until(lambda: len(workers()) == 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert workers() == []


def test_failing_listener_does_not_affect_the_document(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def listener(done: int, total: int) -> None:
        raise ValueError(done, total)

    with DocumentPool(NullEngine(), workers=1) as pool:
        assert len(texts(pool.start(pages(tmp_path / "a", 2), listener))) == 2
    assert "listener failed" in caplog.text


def test_documents_can_be_started_from_callbacks_and_other_threads(tmp_path: Path) -> None:
    path, done = png(tmp_path / "a"), threading.Event()
    with DocumentPool(NullEngine(), workers=2) as pool:

        def again(_: Future[DocumentText]) -> None:
            pool.start(path).add_done_callback(lambda _: done.set())

        threading.Thread(target=lambda: pool.start(path).add_done_callback(again)).start()
        assert done.wait(HANG_SECONDS)


def peak_bytes(path: Path) -> int:
    """Returns the largest resident set of the one worker that reads a document."""
    with DocumentPool(NullEngine(), workers=1) as pool:
        pool.start(path).result(timeout=HANG_SECONDS)
        (worker,) = workers()
        return int(Path(f"/proc/{worker.pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


def test_memory_of_a_worker_does_not_grow_with_the_documents_length(tmp_path: Path) -> None:
    scan = page_image("", size=(2000, 2500))
    for count in (2, 60):
        scan.save(tmp_path / f"{count}.pdf", format="PDF", save_all=True, append_images=[scan] * (count - 1))
    a_page = 2000 * 2500
    assert peak_bytes(tmp_path / "60.pdf") < peak_bytes(tmp_path / "2.pdf") + 3 * a_page
