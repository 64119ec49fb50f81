"""How are documents read page by page, on all cores, within limits, without one harming another?

Which page comes next, and when a document is done, belongs here; doing the work is `tasks`', and the processes that do
it are `crew`'s and `workers`'.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from notaflow_pipeline.ocr.crew import Crew, Job
from notaflow_pipeline.ocr.document_text import DocumentText, PageText
from notaflow_pipeline.ocr.engine import Engine
from notaflow_pipeline.ocr.failures import DocumentFailure, EngineUnavailable
from notaflow_pipeline.ocr.opening import Limits, Opened
from notaflow_pipeline.ocr.tasks import open_task, page_task

__all__ = ["DocumentText", "PageText", "Reader"]

GRACE_SECONDS = 5.0
"""How long after a page's deadline its worker is killed; until then the engine may end by itself and say more."""

OPENING = 0
"""The step before page 1."""

log = logging.getLogger(__name__)


class Reader:
    """Reads documents in worker processes; a context manager, which leaves no process behind.

    Pages of all started documents share the workers, and the document that was started first goes first. Opening goes
    before any page, because it is quick and shows what is to come. `page_seconds` of the limits bounds each page and
    each opening. The engine is pickled, so its class must not be defined in `__main__`.
    """

    def __init__(self, engine: Engine, workers: int, limits: Limits | None = None, dpi: int = 300) -> None:
        self._engine = engine
        self._limits = limits or Limits()
        self._dpi = dpi
        self._crew = Crew(workers, scratch_bytes=workers * self._limits.page_pixels)  # a grey pixel is a byte
        self._lock = threading.Lock()
        self._documents: list[_Document] = []

    def __enter__(self) -> Self:
        self._crew.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self) -> None:
        """Raise `EngineUnavailable` if nothing could be read here; cheap, and to be asked before a row is claimed."""
        self._engine.check()

    @property
    def pages_waiting(self) -> int:
        """Pages that are not finished, and documents that are not opened yet: how much work is in hand."""
        with self._lock:
            return sum(document.unfinished for document in self._documents)

    def start(self, path: Path, on_page: Callable[[int, int], None] | None = None) -> Future[DocumentText]:
        """Begin to read a document, and return at once.

        The future gives the text, or raises `DocumentFailure` or `EngineUnavailable`. It can be cancelled until it is
        done, which ends the document's running pages too. `on_page` is called after each page, with the pages done
        and the pages that there are; it runs in another thread and should be quick.
        """
        self._crew.start()
        document = _Document(path, on_page)
        document.future.add_done_callback(partial(self._leave, document))
        with self._lock:
            self._documents.append(document)
        self._share_out()
        return document.future

    def abandon(self, future: Future[DocumentText]) -> None:
        """Read this document no further; its running pages end within a second. The same as cancelling the future."""
        future.cancel()

    def close(self) -> None:
        """End everything now: no process is left, and the futures of unfinished documents are cancelled.

        Not to be called from `on_page` or from a future's callback.
        """
        self._crew.close()
        with self._lock:
            documents = list(self._documents)
        for document in documents:
            document.future.cancel()

    def _share_out(self) -> None:
        """Give idle workers something to do, as long as there is any."""
        while True:
            with self._lock:
                document = self._next_document()
                worker = self._crew.take() if document else None
                if document is None or worker is None:
                    return
                job = self._job(document, document.steps.popleft())
            self._crew.work(worker, job)

    def _next_document(self) -> "_Document | None":
        waiting = [document for document in self._documents if document.steps]
        unopened = (document for document in waiting if document.opened is None)
        return next(unopened, waiting[0] if waiting else None)

    def _job(self, document: "_Document", step: int) -> Job:
        deadline_seconds = self._limits.page_seconds + GRACE_SECONDS
        then = partial(self._record, document, step)
        if document.opened is None:
            return Job(document, deadline_seconds, open_task, (document.path, self._limits), then)
        page = (document.path, document.opened, step, self._dpi, self._limits, self._engine)
        return Job(document, deadline_seconds, page_task, page, then)

    def _record(self, document: "_Document", step: int, outcome: object) -> None:
        """Take in what became of a step. The next ones are shared out before anybody is told, so no core waits."""
        with self._lock:
            if isinstance(outcome, Opened):
                document.opened = outcome
                document.steps.extend(range(1, outcome.pages + 1))
            elif isinstance(outcome, PageText):
                document.pages[outcome.number] = outcome
            else:
                document.steps.clear()
            done, finished = len(document.pages), document.opened and document.unfinished == 0
        self._share_out()
        with suppress(InvalidStateError):  # it may have been cancelled, or have failed at another page
            if isinstance(outcome, DocumentFailure) and document.opened and step != OPENING:
                document.future.set_exception(outcome.on_page(step, document.opened.pages))
            elif isinstance(outcome, DocumentFailure | EngineUnavailable):
                document.future.set_exception(outcome)
            elif step != OPENING and document.opened:
                document.tell(done)
                if finished:
                    document.future.set_result(document.text())

    def _leave(self, document: "_Document", future: Future[DocumentText]) -> None:
        """A document is done with, in whatever way: forget its remaining pages."""
        with self._lock:
            document.steps.clear()
            if document in self._documents:
                self._documents.remove(document)
        if future.cancelled():
            future.set_running_or_notify_cancel()  # otherwise `concurrent.futures.wait` waits for ever
            self._crew.drop(document)
        self._share_out()


class _Document:
    """A document that is being read; guarded by the reader's lock."""

    def __init__(self, path: Path, on_page: Callable[[int, int], None] | None) -> None:
        self.path = path
        self.on_page = on_page
        self.future: Future[DocumentText] = Future()
        self.opened: Opened | None = None
        self.steps = deque([OPENING])
        self.pages: dict[int, PageText] = {}

    @property
    def unfinished(self) -> int:
        """Pages that are not finished; one before it is known how many there are."""
        return self.opened.pages - len(self.pages) if self.opened else 1

    def text(self) -> DocumentText:
        """All pages in order, once they are there."""
        return DocumentText(tuple(self.pages[number] for number in sorted(self.pages)))

    def tell(self, done: int) -> None:
        """Report progress. A listener that fails is no reason to lose the document."""
        if self.on_page is None or self.opened is None or self.future.done():
            return
        try:
            self.on_page(done, self.opened.pages)
        except Exception:
            log.exception("A listener failed after page %d of %d", done, self.opened.pages)
