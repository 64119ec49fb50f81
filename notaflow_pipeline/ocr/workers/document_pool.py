"""Reads documents page by page on all cores, within limits, so that one document cannot harm another.

This module decides which page is next and when a document is finished. `jobs` does the work; `pool` and
`process` run it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Container
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.document import DocumentText, PageSource, PageText
from notaflow_pipeline.ocr.engines.interface import Engine
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable
from notaflow_pipeline.ocr.input.probe import ProbedDocument
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.pool import Job, WorkerPool
from notaflow_pipeline.ocr.workers.resource_limits import ResourceLimits

GRACE_SECONDS = 5.0
"""CPU seconds between the limit of a page and the end of its worker. In this time the engine may stop by itself with
a more precise failure."""

SPARE_FILE_BYTES = 64 * 1024**2
"""Bytes that a worker may write into one file in addition to twice the largest page."""

PROBE_STEP = 0
"""Number of the probing step, which comes before page 1."""

RETRIED_KINDS = frozenset({FailureKind.TIMEOUT, FailureKind.CRASHED, FailureKind.ENGINE, FailureKind.OUT_OF_MEMORY})
"""A page that failed with one of these kinds is retried once, with fewer pixels."""

log = logging.getLogger(__name__)


class DocumentPool:
    """Reads documents in worker processes. It is a context manager that ends all its processes.

    The pages of all started documents share the workers; the document that was started first has priority. Probing has
    priority over all pages, because it is quick and shows how many pages there are. The limit `page_seconds` applies to
    each page and each probe, `document_seconds` to all of them together. A failed page is marked in the text and does
    not affect other pages; `DocumentText.failure` says when the whole document fails. The engine is pickled, so its
    class must not be defined in `__main__`.
    """

    def __init__(self, engine: Engine, workers: int, limits: Limits | None = None, dpi: int = 300) -> None:
        self._engine = engine
        self._limits = limits or Limits()
        self._dpi = dpi
        self._workers = WorkerPool(
            workers,
            scratch_bytes=workers * self._limits.page_pixels,  # a grey pixel is a byte
            resource_limits=ResourceLimits(self._limits.worker_bytes, 2 * self._limits.page_pixels + SPARE_FILE_BYTES),
        )
        self._lock = threading.Lock()
        self._documents: list[_Document] = []

    def __enter__(self) -> Self:
        self._workers.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> None:
        """Raises `EngineUnavailable` if no document can be read on this machine. The check is cheap; call it before
        a row is claimed."""
        self._engine.check()

    @property
    def pages_waiting(self) -> int:
        """Number of unfinished pages; a document that is not yet probed counts as one."""
        with self._lock:
            return sum(document.unfinished for document in self._documents)

    def start(
        self,
        path: Path,
        on_page: Callable[[int, int], None] | None = None,
        *,
        views_of: Container[int] | None = None,
    ) -> Future[DocumentText]:
        """Starts to read a document and returns at once.

        The future returns the text, or raises `DocumentFailure` or `EngineUnavailable`. It can be cancelled until it is
        done, which also ends the running pages of the document. `on_page` is called after each page with the number of
        finished pages and the total number of pages. It runs in another thread and should be quick. With `views_of` only
        the pages with these numbers are read, each with its `view`.
        """
        self._workers.start()
        document = _Document(path, on_page, views_of)
        document.future.add_done_callback(partial(self._remove, document))
        with self._lock:
            self._documents.append(document)
        self._assign_steps()
        return document.future

    def close(self) -> None:
        """Ends all processes and cancels the futures of unfinished documents.

        It must not be called from `on_page` or from a callback of a future.
        """
        self._workers.close()
        with self._lock:
            documents = list(self._documents)
        for document in documents:
            document.future.cancel()

    def _assign_steps(self) -> None:
        """Assigns waiting steps to idle workers until there are no more of either."""
        while True:
            with self._lock:
                document = self._next_document()
                worker = self._workers.reserve() if document else None
                if document is None or worker is None:
                    return
                job = self._job(document, document.steps.popleft())
            self._workers.assign(worker, job)

    def _next_document(self) -> "_Document | None":
        waiting = [document for document in self._documents if document.steps]
        unprobed = (document for document in waiting if document.probed is None)
        return next(unprobed, waiting[0] if waiting else None)

    def _job(self, document: "_Document", step: int) -> Job:
        # imported here because it loads NumPy and all image modules, which would slow the start of every command and run
        from notaflow_pipeline.ocr.workers.jobs import PageRequest, page_job, probe_job

        seconds = (self._limits.page_seconds + GRACE_SECONDS, self._limits.idle_seconds)
        then = partial(self._record, document, step, time.monotonic())
        if document.probed is None:
            return Job(document, *seconds, probe_job, (document.path, self._limits), then)
        coarse = step in document.retried_steps
        view = document.views_of is not None
        request = PageRequest(document.path, document.probed, step, self._dpi, self._limits, coarse, view)
        return Job(document, *seconds, page_job, (request, self._engine), then)

    def _record(self, document: "_Document", step: int, started_at: float, outcome: object, cpu_seconds: float) -> None:
        """Records the outcome of a step. The next steps are assigned before listeners are called, so no core stays
        idle."""
        with self._lock:
            document.used_seconds += cpu_seconds
            document.record(step, outcome, time.monotonic() - started_at)
            if document.used_seconds > self._limits.document_seconds:
                document.fail_remaining(self._limits)
            document.unreported += 1
            done = len(document.pages)
        self._assign_steps()
        with suppress(InvalidStateError):  # the future may have been cancelled
            if isinstance(outcome, EngineUnavailable):
                document.future.set_exception(outcome)
            elif document.refusal is not None:
                document.future.set_exception(document.refusal)
            else:
                if step in document.pages:
                    document.report_progress(done)
                if self._is_last_report(document):
                    document.finish()

    def _is_last_report(self, document: "_Document") -> bool:
        """Counts a report; returns whether all pages are finished, and those of other threads reported too."""
        with self._lock:
            document.unreported -= 1
            return document.probed is not None and document.unfinished == document.unreported == 0

    def _remove(self, document: "_Document", future: Future[DocumentText]) -> None:
        """Removes a finished, failed or cancelled document with its remaining pages."""
        with self._lock:
            document.steps.clear()
            if document in self._documents:
                self._documents.remove(document)
        if future.cancelled():
            future.set_running_or_notify_cancel()  # otherwise `concurrent.futures.wait` never returns
            self._workers.end_jobs_of(document)
        self._assign_steps()


class _Document:
    """State of a document that is being read; protected by the lock of `DocumentPool`."""

    def __init__(
        self, path: Path, on_page: Callable[[int, int], None] | None, views_of: Container[int] | None = None
    ) -> None:
        self.path = path
        self.on_page = on_page
        self.views_of = views_of
        self.wanted: list[int] = []  # pages, known when it is probed
        self.future: Future[DocumentText] = Future()
        self.probed: ProbedDocument | None = None
        self.refusal: DocumentFailure | None = None
        self.steps = deque([PROBE_STEP])
        self.retried_steps: set[int] = set()
        self.pages: dict[int, PageText] = {}
        self.used_seconds = 0.0
        self.unreported = 0  # steps whose outcome is recorded and not yet reported

    @property
    def unfinished(self) -> int:
        """Number of unfinished pages; 1 until the number of pages is known."""
        return len(self.wanted) - len(self.pages) if self.probed else 1

    def record(self, step: int, outcome: object, seconds: float) -> None:
        """Records the outcome of a step, and adds the steps that follow from it."""
        match outcome:
            case ProbedDocument():
                self.probed = outcome
                every = range(1, outcome.pages + 1)
                self.wanted = [number for number in every if self.views_of is None or number in self.views_of]
                self.steps.extend(self.wanted)
            case PageText():
                self.pages.setdefault(step, outcome)
            case DocumentFailure() if outcome.kind in RETRIED_KINDS and step not in self.retried_steps:
                self.retried_steps.add(step)
                self.steps.append(step)
            case DocumentFailure() if step == PROBE_STEP:
                self.refusal = outcome
            case DocumentFailure():
                self.pages.setdefault(step, _failed_page(step, outcome, seconds))
            case _:
                self.steps.clear()

    def fail_remaining(self, limits: Limits) -> None:
        """Marks all pages that have not started as failed, because the document exceeded its CPU time."""
        failure = DocumentFailure(
            FailureKind.TIMEOUT,
            f"The document had taken {limits.document_seconds:.0f} s of CPU time before this page was started. "
            "Split it, or raise the limit.",
        )
        while self.steps:
            step = self.steps.popleft()
            if step == PROBE_STEP:
                self.refusal = failure
            else:
                self.pages.setdefault(step, _failed_page(step, failure, 0.0))

    def finish(self) -> None:
        """Sets the result of the future, after all pages are finished."""
        pages = tuple(self.pages[number] for number in sorted(self.pages))
        incomplete, unread = (self.probed.incomplete, self.probed.unread) if self.probed else (False, ())
        in_file = self.probed.pages if self.probed else None
        text = DocumentText(pages, incomplete=incomplete, unread=unread, pages_in_file=in_file)
        failure = text.failure
        if failure is None:
            self.future.set_result(text)
        else:
            self.future.set_exception(failure)

    def report_progress(self, done: int) -> None:
        """Reports progress. An exception in the listener does not fail the document."""
        if self.on_page is None or self.probed is None or self.future.done():
            return
        try:
            self.on_page(done, len(self.wanted))
        except Exception:
            log.exception("A listener failed after page %d of %d", done, len(self.wanted))


def _failed_page(number: int, failure: DocumentFailure, seconds: float) -> PageText:
    return PageText(number, "", 0, None, seconds, passes=0, source=PageSource.FAILED, failure=failure)
