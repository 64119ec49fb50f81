"""Takes the documents of one batch from their claims to their outcomes.

A document is claimed, fetched from storage, read page by page, and its outcome is recorded when it is known. While
documents are read, the next ones are claimed and fetched, up to a limit. One thread decides and records; other threads
fetch, renew leases and wait for the OCR processes. The database is used through `queue_client`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

import psycopg

from notaflow_pipeline.documents.failures import (
    DocumentUnavailable,
    OtherHost,
    StorageUnavailable,
    TemporaryFolderUnavailable,
)
from notaflow_pipeline.documents.location import buckets_of
from notaflow_pipeline.documents.storage import DocumentStorage
from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused, OutcomeRefused
from notaflow_pipeline.job_queue.database.transient import describe_transient
from notaflow_pipeline.job_queue.model import Claim, Failure
from notaflow_pipeline.ocr.failures import DocumentFailure, NoRoomForPage
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline.worker.fault_attribution import (
    MAX_RELEASES,
    UnattributedFailures,
    count_infrastructure_releases,
    was_missing,
)
from notaflow_pipeline.worker.fetching import FetchedFile, Fetchers
from notaflow_pipeline.worker.held_document import HeldDocument, ocr_result_of
from notaflow_pipeline.worker.outcome_recorder import OutcomeRecorder
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline.worker.queue_client import QueueClient

log = logging.getLogger(__name__)

EMPTY_QUEUE_PAUSE_SECONDS = 1.0
"""Pause after a claim that found nothing, while documents of the batch are unfinished."""


Event = Callable[[], None]


class Batch:
    """The documents of one call of `Pipeline.work`."""

    def __init__(
        self,
        queue: QueueClient,
        storage: DocumentStorage,
        document_pool: DocumentPool,
        *,
        engine_name: str,
        max_file_bytes: int,
        pages_ahead: int,
        limit: int,
        on_progress: Callable[[Progress], None],
        wait_for_more_seconds: float,
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._document_pool = document_pool
        self._engine_name = engine_name
        self._pages_ahead = pages_ahead
        self._limit = limit
        self._on_progress = on_progress
        self._progress = Progress()
        self._held: dict[int, HeldDocument] = {}
        """The documents that are claimed and not finished, by token."""
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._fetch_failures = UnattributedFailures("fetched, although the storage answers")
        self._reading_failures = UnattributedFailures("read, although the engine works")
        self._recording_failures = UnattributedFailures("recorded, although they were read")
        self._steps = (self._fetch_failures, self._reading_failures, self._recording_failures)
        self._recorder = OutcomeRecorder(
            queue,
            self._held,
            self._progress,
            on_progress,
            self._finish,
            on_recorded=partial(self._count_success, self._recording_failures),
            on_refused=self._on_refused,
        )
        self._waiting_for_space: list[HeldDocument] = []
        """Documents that did not fit into the temporary folder beside others; each is fetched again alone."""
        self._fetching_alone: set[int] = set()
        self._lease_renewal = queue.lease_renewal(lambda token: self._events.put(partial(self._on_lost, token)))
        self._no_claim_before = 0.0
        self._wait_for_more_seconds = wait_for_more_seconds
        self._claim_until = 0.0
        self._fetchers = Fetchers(
            storage,
            max_file_bytes,
            lambda claim, fetched: self._events.put(partial(self._on_fetched, claim, fetched)),
            lambda claim, error: self._events.put(partial(self._on_fetch_failed, claim, error)),
        )

    def work(self, claimed: Sequence[Claim]) -> Progress:
        """Read and record the claimed documents, and claim more while there are any; see `Pipeline.work`."""
        self._fetchers.start()
        try:
            with self._lease_renewal:
                for claim in claimed:
                    self._start(claim)
                self._claim_more()
                while self._held or self._waits_for_more():
                    self._handle_events()
                    self._recorder.retry_locked()
                    self._fetch_next_alone()
                    self._claim_more()
                    self._attribute_failures()
        except BaseException:
            self._release([token for step in self._steps for token in step.infrastructure_tokens])
            raise
        finally:
            self._fetchers.stop()
        return self._progress

    def _waits_for_more(self) -> bool:
        """Whether to claim more although no document is held; a batch that never had one ends at once."""
        return self._progress.claimed < self._limit and time.monotonic() < self._claim_until

    def _claim_more(self) -> None:
        """Claim documents while a core might soon have nothing to do."""
        if self._waiting_for_space or self._fetching_alone:
            return
        unread = sum(one.recognition is None for one in self._held.values()) - len(self._fetch_failures)
        waiting = self._document_pool.pages_waiting + unread
        wanted = min(self._pages_ahead - waiting, self._limit - self._progress.claimed)
        if wanted <= 0 or time.monotonic() < self._no_claim_before:
            return
        try:
            claimed = self._queue.claim(wanted)
        except ClaimsRefused as refused:
            if self._progress.claimed == 0:
                raise
            log.warning("no further documents are claimed: %s", refused)
            claimed = []
        except psycopg.ProgrammingError as missing:
            if self._progress.claimed == 0:
                raise
            log.warning("this batch claims no further documents: %s", describe_transient(missing))
            self._limit = self._progress.claimed
            return
        if len(claimed) < wanted:
            self._no_claim_before = time.monotonic() + EMPTY_QUEUE_PAUSE_SECONDS
        for claim in claimed:
            self._start(claim)

    def _start(self, claim: Claim) -> None:
        self._progress.claimed += 1
        self._held[claim.token] = HeldDocument(claim)
        self._lease_renewal.hold(claim.token)
        self._fetchers.fetch(claim)

    def _handle_events(self) -> None:
        """Wait for an event; the texts of all that have come by then are recorded with one commit."""
        with suppress(Empty):
            self._events.get(timeout=EMPTY_QUEUE_PAUSE_SECONDS)()
            while not self._recorder.is_full:
                self._events.get_nowait()()
        self._recorder.record_texts()

    def _on_fetched(self, claim: Claim, fetched: FetchedFile) -> None:
        self._fetching_alone.discard(claim.token)
        document = self._held.get(claim.token)
        if document is None:
            fetched.close()
            return
        document.fetched = fetched
        self._count_success(self._fetch_failures)
        document.recognition = self._document_pool.start(
            fetched.path, lambda done, _: self._events.put(partial(self._on_page, document, done))
        )
        document.recognition.add_done_callback(lambda _: self._events.put(partial(self._on_read, document)))

    def _on_fetch_failed(self, claim: Claim, error: BaseException) -> None:
        alone = claim.token in self._fetching_alone
        self._fetching_alone.discard(claim.token)
        document = self._held.get(claim.token)
        if document is None:
            return
        match error:
            case DocumentUnavailable():
                self._on_unavailable(document, error)
            case TemporaryFolderUnavailable():
                self._on_no_space(document, error, alone=alone)
            case StorageUnavailable():
                # raises if it is the storage, and every document is released
                self._storage.check(buckets_of(self._queue.terms.sources))
                self._add_failure(self._fetch_failures, document, Failure(FailureKind.STORAGE, str(error)), error)
            case _:
                raise error

    def _on_unavailable(self, document: HeldDocument, error: DocumentUnavailable) -> None:
        """Record the failure, unless the storage may be the wrong one: no file was fetched, and this one is not there."""
        failure = Failure(error.kind, error.sentence)
        may_be_storage = error.kind is FailureKind.NOT_FOUND or isinstance(error, OtherHost)
        if (
            not may_be_storage
            or self._fetch_failures.has_succeeded
            or was_missing(self._queue.attempts(document.claim))
        ):
            self._record_failure(document, failure)
            return
        advice = f"{error.sentence} If this is so for all documents, check NOTAFLOW_DOCUMENTS_URL; none was fetched."
        self._add_failure(self._fetch_failures, document, failure, StorageUnavailable(advice))

    def _on_no_space(self, document: HeldDocument, error: TemporaryFolderUnavailable, *, alone: bool) -> None:
        """Have a document that did not fit into the temporary folder fetched again when no other file is in it.

        Also the last document of the batch: when its fetch failed, files of others may have been there.
        """
        if not alone:
            self._waiting_for_space.append(document)
            return
        self._fetchers.require_space()
        self._add_failure(self._fetch_failures, document, Failure(FailureKind.NO_SPACE, str(error)), error)

    def _active(self) -> int:
        """Return how many documents are being fetched or read."""
        return len(self._held) - len(self._waiting_for_space) - self._undecided()

    def _undecided(self) -> int:
        """Return how many documents failed at a step or wait for the lock of their row."""
        return sum(len(step) for step in self._steps) + self._recorder.locked

    def _fetch_next_alone(self) -> None:
        if self._waiting_for_space and self._active() == 0:
            document = self._waiting_for_space.pop(0)
            self._fetching_alone.add(document.claim.token)
            self._fetchers.fetch(document.claim)

    def _add_failure(
        self, step: UnattributedFailures, document: HeldDocument, failure: Failure, error: Exception
    ) -> None:
        if count_infrastructure_releases(self._queue.attempts(document.claim)) >= MAX_RELEASES:
            self._record_failure(document, failure)
        else:
            step.add(document.claim, failure, error)

    def _count_success(self, step: UnattributedFailures) -> None:
        """Note that a step succeeded for a document, and record the failures of other documents at this step as their own."""
        step.has_succeeded = True
        for token, failure in step.failures():
            self._record_failure(self._held[token], failure)

    def _attribute_failures(self) -> None:
        """Attribute the failures when no other document is left whose success could decide."""
        if self._undecided() < len(self._held):
            return
        for token, failure in [failure for step in self._steps for failure in step.attribute()]:
            self._record_failure(self._held[token], failure)

    def _record_failure(self, document: HeldDocument, failure: Failure) -> None:
        for step in self._steps:
            step.remove(document.claim.token)
        self._recorder.record_failure(document, failure)

    def _on_page(self, document: HeldDocument, done: int) -> None:
        if document.claim.token in self._held:
            self._progress.pages_in_progress += done - document.pages_read
            document.pages_read = done
            self._on_progress(self._progress)

    def _on_read(self, document: HeldDocument) -> None:
        if document.claim.token not in self._held or document.recognition is None:
            return
        try:
            text = document.recognition.result()
        except DocumentFailure as failure:
            self._record_failure(document, Failure(failure.kind, failure.sentence))
        except NoRoomForPage as error:
            self._document_pool.check()
            if document.fetched is not None:
                document.fetched.close()  # its own file may be what fills the disk for others
            self._add_failure(self._reading_failures, document, Failure(FailureKind.NO_SPACE, str(error)), error)
        except CancelledError:
            self._finish(document)
            self._queue.release([document.claim.token], reason="reading it was cancelled")
        else:
            self._count_success(self._reading_failures)
            self._recorder.add_text(document, ocr_result_of(document, text, self._engine_name))

    def _on_refused(self, document: HeldDocument, refused: OutcomeRefused) -> None:
        """Record that the database refuses the text, unless it refuses those of other documents too."""
        failure = Failure(FailureKind.REFUSED_BY_DATABASE, str(refused))
        self._add_failure(self._recording_failures, document, failure, refused)

    def _on_lost(self, token: int) -> None:
        """Stop reading a document whose claim was lost: its outcome would be rejected."""
        document = self._held.get(token)
        if document is not None:
            log.warning("claim %d was lost; its document is read no further here", token)
            self._finish(document)
            self._recorder.count_lost()

    def _finish(self, document: HeldDocument) -> None:
        """Stop renewing the lease and reading, and remove the file."""
        token = document.claim.token
        self._claim_until = time.monotonic() + self._wait_for_more_seconds
        if self._held.pop(token, None) is not None:
            self._progress.pages_in_progress -= document.pages_read
        self._recorder.remove(token)
        for step in self._steps:
            step.remove(token)
        self._fetching_alone.discard(token)
        if document in self._waiting_for_space:
            self._waiting_for_space.remove(document)
        self._lease_renewal.drop(token)
        if document.recognition is not None:
            document.recognition.cancel()
        if document.fetched is not None:
            document.fetched.close()

    def _release(self, failed: Sequence[int]) -> None:
        """Release what is still held; `failed` are the tokens of documents whose failures ended the batch."""
        tokens = list(self._held)
        for document in list(self._held.values()):
            self._finish(document)
        self._queue.release_when_stopping(tokens, failed)
