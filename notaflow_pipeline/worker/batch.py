"""Takes the documents of one batch from their claims to their outcomes.

A document is claimed, fetched from storage, read page by page, and its outcome is recorded when it is known. While
documents are read, the next are claimed and fetched, a bounded number ahead. One thread decides and records; others
fetch, renew leases and read. The database is asked through `queue_client`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageUnavailable, TemporaryFolderUnavailable
from notaflow_pipeline.documents.location import buckets_of
from notaflow_pipeline.documents.storage import DocumentStorage
from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.database.connections import OutcomeRefused
from notaflow_pipeline.job_queue.model import Claim, Failure, OcrResult, Recording
from notaflow_pipeline.ocr.failures import DocumentFailure, NoRoomForPage
from notaflow_pipeline.ocr.reading import Reader
from notaflow_pipeline.worker.fault_attribution import (
    MAX_RELEASES,
    UnattributedFailures,
    count_infrastructure_releases,
    was_missing,
)
from notaflow_pipeline.worker.fetching import Fetched, Fetchers
from notaflow_pipeline.worker.held_document import HeldDocument, ocr_result_of
from notaflow_pipeline.worker.locked_outcomes import LockedOutcomes
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline.worker.queue_client import QueueClient

log = logging.getLogger(__name__)

MAX_TEXTS_PER_COMMIT = 20
"""Texts in one commit at most: enough that no commit is felt, and few enough for one short statement."""

MAX_CHARACTERS_PER_COMMIT = 4_000_000
"""No further text joins a commit that has so many characters: PostgreSQL hangs up on a message of 1 GB."""

MAX_TEXT_CHARACTERS = 50_000_000
"""A longer text is refused: the server needs several times its size in memory to store it."""

EMPTY_QUEUE_PAUSE_SECONDS = 1.0
"""How long after finding nothing to claim the queue is asked again, while documents are still in hand."""


Event = Callable[[], None]


class Batch:
    """The documents of one call of `work`: one thread decides and records, others fetch, renew and read."""

    def __init__(
        self,
        queue: QueueClient,
        storage: DocumentStorage,
        reader: Reader,
        *,
        engine_name: str,
        max_file_bytes: int,
        pages_ahead: int,
        limit: int,
        on_progress: Callable[[Progress], None],
        linger_seconds: float,
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._reader = reader
        self._engine_name = engine_name
        self._pages_ahead = pages_ahead
        self._limit = limit
        self._on_progress = on_progress
        self._progress = Progress()
        self._in_hand: dict[int, HeldDocument] = {}
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._read: list[tuple[HeldDocument, OcrResult]] = []
        self._unfetched = UnattributedFailures("fetched, although the storage answers")
        self._unread = UnattributedFailures("read, although the engine works")
        self._no_room: list[HeldDocument] = []
        """Documents that did not fit into the temporary folder beside others; each is fetched again alone."""
        self._fetching_alone: set[int] = set()
        self._lease_renewal = queue.lease_renewal(lambda token: self._events.put(partial(self._on_lost, token)))
        self._nothing_ready_until = 0.0
        self._locked = LockedOutcomes(queue.terms.lease)
        self._linger_seconds = linger_seconds
        self._linger_until = 0.0
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
                    self._take(claim)
                self._top_up()
                while self._in_hand or self._lingers():
                    self._handle_events()
                    self._record_locked()
                    self._fetch_alone()
                    self._top_up()
                    self._decide()
        except BaseException:
            failed = [*self._unfetched.infrastructure_tokens, *self._unread.infrastructure_tokens]
            self._release(failed)
            raise
        finally:
            self._fetchers.stop()
        return self._progress

    def _lingers(self) -> bool:
        """Whether to go on asking for documents although none is in hand; a batch that never had one ends at once."""
        return self._progress.claimed < self._limit and time.monotonic() < self._linger_until

    def _top_up(self) -> None:
        """Claim more while a core might soon have nothing to do."""
        if self._no_room or self._fetching_alone:
            return
        unread = sum(one.reading is None for one in self._in_hand.values()) - len(self._unfetched)
        waiting = self._reader.pages_waiting + unread
        wanted = min(self._pages_ahead - waiting, self._limit - self._progress.claimed)
        if wanted <= 0 or time.monotonic() < self._nothing_ready_until:
            return
        claimed = self._queue.claim(wanted)
        if len(claimed) < wanted:
            self._nothing_ready_until = time.monotonic() + EMPTY_QUEUE_PAUSE_SECONDS
        for claim in claimed:
            self._take(claim)

    def _take(self, claim: Claim) -> None:
        document = HeldDocument(claim)
        self._progress.claimed += 1
        self._in_hand[claim.token] = document
        self._lease_renewal.hold(claim.token)
        self._fetchers.fetch(claim)

    def _handle_events(self) -> None:
        """Wait for something to happen; texts that have come in the meantime are recorded with one commit."""
        with suppress(Empty):
            self._events.get(timeout=EMPTY_QUEUE_PAUSE_SECONDS)()
            while len(self._read) < MAX_TEXTS_PER_COMMIT and self._characters_read() < MAX_CHARACTERS_PER_COMMIT:
                self._events.get_nowait()()
        self._record_read()

    def _characters_read(self) -> int:
        return sum(len(reading.text) for _, reading in self._read)

    def _on_fetched(self, claim: Claim, fetched: Fetched) -> None:
        self._fetching_alone.discard(claim.token)
        document = self._in_hand.get(claim.token)
        if document is None:
            fetched.close()
            return
        document.fetched = fetched
        self._count_success(self._unfetched)
        document.reading = self._reader.start(
            fetched.path, lambda done, _: self._events.put(partial(self._on_page, document, done))
        )
        document.reading.add_done_callback(lambda _: self._events.put(partial(self._on_read, document)))

    def _on_fetch_failed(self, claim: Claim, error: BaseException) -> None:
        alone = claim.token in self._fetching_alone
        self._fetching_alone.discard(claim.token)
        document = self._in_hand.get(claim.token)
        if document is None:
            return
        match error:
            case DocumentUnavailable():
                self._on_unavailable(document, error)
            case TemporaryFolderUnavailable():
                self._on_no_room(document, error, alone=alone)
            case StorageUnavailable():
                # raises if it is the storage, and every document is released
                self._storage.check(buckets_of(self._queue.terms.sources))
                self._on_undecided(self._unfetched, document, Failure(FailureKind.STORAGE, str(error)), error)
            case _:
                raise error

    def _on_unavailable(self, document: HeldDocument, error: DocumentUnavailable) -> None:
        """Record the failure; of a document that is missing only if the storage does not seem to lack all of them."""
        failure = Failure(error.kind, error.sentence)
        again = error.kind is FailureKind.NOT_FOUND and was_missing(self._queue.attempts(document.claim))
        if error.kind is not FailureKind.NOT_FOUND or self._unfetched.has_succeeded or again:
            self._record_failure(document, failure)
            return
        advice = f"{error.sentence} If all are missing, check NOTAFLOW_DOCUMENTS_URL; none was found in this run."
        self._on_undecided(self._unfetched, document, failure, StorageUnavailable(advice))

    def _on_no_room(self, document: HeldDocument, error: TemporaryFolderUnavailable, *, alone: bool) -> None:
        """Fetch a document that did not fit into the temporary folder again when no other file is in it.

        Also the last one in hand: the files of others may have been there when it failed.
        """
        if not alone:
            self._no_room.append(document)
            return
        self._fetchers.require_room()
        self._on_undecided(self._unfetched, document, Failure(FailureKind.NO_SPACE, str(error)), error)

    def _at_work(self) -> int:
        """How many documents are being fetched or read."""
        return len(self._in_hand) - len(self._no_room) - len(self._unfetched) - len(self._unread) - len(self._locked)

    def _fetch_alone(self) -> None:
        if self._no_room and self._at_work() == 0:
            document = self._no_room.pop(0)
            self._fetching_alone.add(document.claim.token)
            self._fetchers.fetch(document.claim)

    def _on_undecided(
        self, step: UnattributedFailures, document: HeldDocument, failure: Failure, error: Exception
    ) -> None:
        if count_infrastructure_releases(self._queue.attempts(document.claim)) >= MAX_RELEASES:
            self._record_failure(document, failure)
        else:
            step.add(document.claim, failure, error)

    def _count_success(self, step: UnattributedFailures) -> None:
        """A step has succeeded for a document, so those that failed at it are at fault themselves."""
        step.has_succeeded = True
        for token, failure in step.recorded():
            self._record_failure(self._in_hand[token], failure)

    def _decide(self) -> None:
        """Decide whose fault the failures are when no other document is left that could show it."""
        if len(self._unfetched) + len(self._unread) + len(self._locked) < len(self._in_hand):
            return
        for token, failure in [*self._unfetched.decide(), *self._unread.decide()]:
            self._record_failure(self._in_hand[token], failure)

    def _on_page(self, document: HeldDocument, done: int) -> None:
        if document.claim.token in self._in_hand:
            self._progress.pages_in_progress += done - document.pages_read
            document.pages_read = done
            self._on_progress(self._progress)

    def _on_read(self, document: HeldDocument) -> None:
        if document.claim.token not in self._in_hand or document.reading is None:
            return
        try:
            text = document.reading.result()
        except DocumentFailure as failure:
            self._record_failure(document, Failure(failure.kind, failure.sentence))
        except NoRoomForPage as error:
            self._reader.check()
            if document.fetched is not None:
                document.fetched.close()  # its own file may be what fills the disk for others
            self._on_undecided(self._unread, document, Failure(FailureKind.NO_SPACE, str(error)), error)
        except CancelledError:
            self._finish(document)
            self._queue.release([document.claim.token], reason="reading it was broken off")
        else:
            self._count_success(self._unread)
            self._on_text(document, ocr_result_of(document, text, self._engine_name))

    def _on_text(self, document: HeldDocument, reading: OcrResult) -> None:
        if len(reading.text) > MAX_TEXT_CHARACTERS:
            too_large = f"Its text has more than {MAX_TEXT_CHARACTERS:,} characters. Split the document."
            self._record_failure(document, Failure(FailureKind.TOO_LARGE, too_large))
        else:
            self._read.append((document, reading))

    def _on_lost(self, token: int) -> None:
        """Stop reading a document whose claim was taken away: what it would record is not wanted any more."""
        document = self._in_hand.get(token)
        if document is not None:
            log.warning("claim %d was lost; its document is read no further here", token)
            self._finish(document)
            self._count_lost()

    def _record_read(self) -> None:
        """Record the texts that have come, except of documents that were lost since."""
        read = [(document, reading) for document, reading in self._read if document.claim.token in self._in_hand]
        self._read.clear()
        if not read:
            return
        texts = [(document.claim, reading) for document, reading in read]
        try:
            recordings = self._queue.record_texts(texts)
        except OutcomeRefused:
            for document, reading in read:
                self._record_alone(document, reading)
            return
        for document, reading in read:
            self._count_read(document, reading, recordings[document.claim.token])

    def _record_alone(self, document: HeldDocument, reading: OcrResult) -> None:
        """Find out whether it is this text that the database refuses."""
        texts = [(document.claim, reading)]
        try:
            recordings = self._queue.record_texts(texts)
        except OutcomeRefused as refused:
            self._record_failure(document, Failure(FailureKind.REFUSED_BY_DATABASE, str(refused)))
        else:
            self._count_read(document, reading, recordings[document.claim.token])

    def _count_read(self, document: HeldDocument, reading: OcrResult, recording: Recording) -> None:
        if self._is_recorded(document, recording, partial(self._record_alone, document, reading)):
            self._progress.succeeded += 1
            self._progress.pages += reading.pages
            self._on_progress(self._progress)

    def _record_failure(self, document: HeldDocument, failure: Failure) -> None:
        recording = self._queue.record_failure(document.claim, failure, document.fetch_seconds, document.source_bytes)
        if self._is_recorded(document, recording, partial(self._record_failure, document, failure)):
            self._progress.failed[failure.kind] += 1
            self._on_progress(self._progress)

    def _is_recorded(self, document: HeldDocument, recording: Recording, record: Event) -> bool:
        """Whether an outcome was recorded; where its row is locked, `record` is called again later."""
        token = document.claim.token
        if recording is Recording.LOCKED:
            self._unfetched.remove(token)
            self._unread.remove(token)
            self._locked.add(token, record)
            return False
        self._finish(document)
        if recording is Recording.RELEASED:
            log.warning("claim %d was released: its row names another file since it was claimed", token)
        elif recording is Recording.LOST:
            log.warning("the outcome of claim %d came too late and changed nothing", token)
        if recording is not Recording.RECORDED:
            self._count_lost()
        return recording is Recording.RECORDED

    def _record_locked(self) -> None:
        for token in self._locked.record(len(self._in_hand)):
            log.warning("the row of claim %d stays locked by another session; its outcome is not recorded", token)
            self._finish(self._in_hand[token])
            self._count_lost()

    def _count_lost(self) -> None:
        self._progress.lost += 1
        self._on_progress(self._progress)

    def _finish(self, document: HeldDocument) -> None:
        """Be done with a document: no renewal, no reading, no file."""
        self._linger_until = time.monotonic() + self._linger_seconds
        if self._in_hand.pop(document.claim.token, None) is not None:
            self._progress.pages_in_progress -= document.pages_read
        self._locked.remove(document.claim.token)
        self._unfetched.remove(document.claim.token)
        self._unread.remove(document.claim.token)
        self._fetching_alone.discard(document.claim.token)
        if document in self._no_room:
            self._no_room.remove(document)
        self._lease_renewal.drop(document.claim.token)
        if document.reading is not None:
            self._reader.abandon(document.reading)
        if document.fetched is not None:
            document.fetched.close()

    def _release(self, failed: Sequence[int]) -> None:
        """Release what is still in hand; `failed` names those whose failures ended the batch."""
        held = list(self._in_hand)
        for document in list(self._in_hand.values()):
            self._finish(document)
        self._queue.release_when_stopping(held, failed)
