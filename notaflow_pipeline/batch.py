"""How do the documents of one batch move on, from their claims to their outcomes?

A document is claimed, fetched from storage, read page by page, and its outcome is recorded when it is known. While
documents are read, the next are claimed and fetched, a bounded number ahead. One thread decides and records; others
fetch, renew leases and read. What does not belong here: how the database is asked (`pipeline`), and how any of the steps
is done.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import psycopg
from psycopg_pool import PoolTimeout

from notaflow_pipeline.documents.failures import DocumentUnavailable, ReceivingImpossible, StorageUnavailable
from notaflow_pipeline.documents.location import locate
from notaflow_pipeline.documents.storage import fetched
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.reading import DocumentText
from notaflow_pipeline.private_folder import PrivateFolder
from notaflow_pipeline.queue.database import OutcomeRefused
from notaflow_pipeline.queue.leases import LeaseKeeper
from notaflow_pipeline.queue.model import Claim, Failure, Reading
from notaflow_pipeline.queue.outcomes import Recording

if TYPE_CHECKING:
    from notaflow_pipeline.pipeline import Pipeline

log = logging.getLogger(__name__)

FETCHES_AT_ONCE = 4
"""Fetching waits for the network and costs no core; four hide a slow storage behind OCR."""

STOP_FETCHING_SECONDS = 2.0
"""How long a stopped worker waits for fetches that are under way."""

RECORDED_TOGETHER = 20
"""Texts in one commit at most: enough that no commit is felt, and few enough for one short statement."""

UNFETCHED_IN_A_ROW = 5
"""So many documents one after the other that cannot be fetched are the storage's fault, whatever it says of itself."""

UNFETCHED_ALONE = 2
"""So many that cannot be fetched at their first attempt are, where a batch fetches nothing else, the storage's fault too."""

LOOK_AGAIN_SECONDS = 1.0
"""How long after finding nothing to claim the queue is asked again, while documents are still in hand."""


@dataclass
class Progress:
    """How far the work has come, in documents unless it says pages."""

    claimed: int = 0
    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    pages: int = 0
    """Of documents that were read."""

    pages_in_hand: int = 0
    """Pages that are read already of documents that are not."""

    @property
    def finished(self) -> int:
        """Documents that ended, with an outcome that was accepted or one that came too late."""
        return self.succeeded + self.failed.total() + self.lost

    def __add__(self, other: "Progress") -> "Progress":
        """Return both together."""
        return Progress(
            claimed=self.claimed + other.claimed,
            succeeded=self.succeeded + other.succeeded,
            failed=self.failed + other.failed,
            lost=self.lost + other.lost,
            pages=self.pages + other.pages,
            pages_in_hand=self.pages_in_hand + other.pages_in_hand,
        )


@dataclass
class _InHand:
    """A claimed document on its way through."""

    claim: Claim
    files: ExitStack = field(default_factory=ExitStack)
    fetch_seconds: float = 0.0
    source_bytes: int = 0
    pages_read: int = 0
    reading: Future[DocumentText] | None = None


Event = Callable[[], None]


class Batch:
    """The documents of one call of `work`: one thread decides and records, others fetch, renew and read."""

    def __init__(self, pipeline: "Pipeline", limit: int, on_progress: Callable[[Progress], None]) -> None:
        self._pipeline = pipeline
        self._limit = limit
        self._on_progress = on_progress
        self._progress = Progress()
        self._in_hand: dict[int, _InHand] = {}
        self._to_fetch: SimpleQueue[_InHand | None] = SimpleQueue()
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._read: list[tuple[_InHand, Reading]] = []
        self._unfetched: dict[int, StorageUnavailable] = {}
        self._storage_gives_out = False
        self._keeper = LeaseKeeper(
            pipeline.pool, pipeline.terms.lease, lambda token: self._events.put(partial(self._on_lost, token))
        )
        self._nothing_ready_until = 0.0
        self._locked: dict[int, Event] = {}
        """What records the outcomes of documents whose rows other sessions have locked, by token."""
        self._record_locked_at = 0.0
        self._give_up_locked_at = time.monotonic() + pipeline.terms.lease.total_seconds()
        self._folder = PrivateFolder()

    def work(self, claimed: Sequence[Claim]) -> Progress:
        """Read and record the claimed documents, and claim more while there are any; see `Pipeline.work`."""
        # daemons: a fetch that hangs must not keep a stopped worker from ending
        fetchers = [
            threading.Thread(target=self._fetch_documents, name=f"ocr-fetch-{number}", daemon=True)
            for number in range(FETCHES_AT_ONCE)
        ]
        for fetcher in fetchers:
            fetcher.start()
        try:
            with self._keeper:
                for claim in claimed:
                    self._take(claim)
                self._top_up()
                while self._in_hand:
                    self._handle_events()
                    self._record_locked()
                    self._top_up()
                    if len(self._unfetched) + len(self._locked) == len(self._in_hand):
                        self._judge_unfetched()
        except BaseException:
            self._give_back()
            raise
        finally:
            self._stop_fetching(fetchers)
        return self._progress

    def _top_up(self) -> None:
        """Claim more while a core might soon have nothing to do."""
        unread = sum(one.reading is None for one in self._in_hand.values()) - len(self._unfetched)
        waiting = self._pipeline.reader.pages_waiting + unread
        wanted = min(self._pipeline.pages_ahead - waiting, self._limit - self._progress.claimed)
        if wanted <= 0 or time.monotonic() < self._nothing_ready_until:
            return
        claimed = self._pipeline.patiently(lambda: self._pipeline.claim(wanted))
        if len(claimed) < wanted:
            self._nothing_ready_until = time.monotonic() + LOOK_AGAIN_SECONDS
        for claim in claimed:
            self._take(claim)

    def _take(self, claim: Claim) -> None:
        document = _InHand(claim)
        self._progress.claimed += 1
        self._in_hand[claim.token] = document
        self._keeper.hold(claim.token)
        self._to_fetch.put(document)

    def _handle_events(self) -> None:
        """Wait for something to happen; texts that have come in the meantime are recorded with one commit."""
        with suppress(Empty):
            self._events.get(timeout=LOOK_AGAIN_SECONDS)()
            while len(self._read) < RECORDED_TOGETHER:
                self._events.get_nowait()()
        self._record_read()

    def _fetch_documents(self) -> None:
        """Fetch one document after the other, in a thread of its own; outcomes come back as events."""
        while (document := self._to_fetch.get()) is not None:
            try:
                path = self._fetch(document)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the deciding thread must hear of it
                self._events.put(partial(self._on_fetch_failed, document, error))
            else:
                self._events.put(partial(self._on_fetched, document, path))

    def _fetch(self, document: _InHand) -> Path:
        began = time.monotonic()
        claim, storage = document.claim, self._pipeline.storage
        location = locate(claim.supabase_path, claim.document_source, storage.host)
        path = document.files.enter_context(
            fetched(storage, location, self._pipeline.max_file_bytes, self._folder.path)
        )
        document.source_bytes = path.stat().st_size
        document.fetch_seconds = time.monotonic() - began
        return path

    def _on_fetched(self, document: _InHand, path: Path) -> None:
        if document.claim.token not in self._in_hand:
            document.files.close()
            return
        self._storage_gives_out = True
        self._blame_documents()
        document.reading = self._pipeline.reader.start(
            path, lambda done, _: self._events.put(partial(self._on_page, document, done))
        )
        document.reading.add_done_callback(lambda _: self._events.put(partial(self._on_read, document)))

    def _on_fetch_failed(self, document: _InHand, error: BaseException) -> None:
        if document.claim.token not in self._in_hand:
            document.files.close()
            return
        match error:
            case DocumentUnavailable():
                self._record_failure(document, Failure(error.kind, error.sentence, error.retryable))
            case ReceivingImpossible():
                raise error  # this machine's fault, and the next document would fare no better
            case StorageUnavailable():
                self._pipeline.storage.check()  # raises if it is the storage, and every document is given back
                self._unfetched[document.claim.token] = error
                if len(self._unfetched) >= UNFETCHED_IN_A_ROW:
                    raise self._gives_out_nothing()
            case _:
                raise error

    def _judge_unfetched(self) -> None:
        """Decide whose fault it is that documents could not be fetched, when no other is left that could show it.

        Only first attempts speak against the storage: a document that came this far before failed where others did not,
        and a few such files would otherwise go round for ever.
        """
        if not self._storage_gives_out:
            first = sum(self._in_hand[token].claim.attempt_number == 1 for token in self._unfetched)
            if first >= UNFETCHED_ALONE:
                raise self._gives_out_nothing()
        self._blame_documents()

    def _gives_out_nothing(self) -> StorageUnavailable:
        *_, last = self._unfetched.values()
        return StorageUnavailable(
            f"{len(self._unfetched)} documents in a row could not be fetched, although the storage answers; the last: {last}"
        )

    def _blame_documents(self) -> None:
        """Record the failure of those that could not be fetched: the storage gives out others, or it is their own."""
        for token, error in list(self._unfetched.items()):
            self._record_failure(self._in_hand[token], Failure("storage", str(error), retryable=True))

    def _on_page(self, document: _InHand, done: int) -> None:
        if document.claim.token in self._in_hand:
            self._progress.pages_in_hand += done - document.pages_read
            document.pages_read = done
            self._on_progress(self._progress)

    def _on_read(self, document: _InHand) -> None:
        if document.claim.token not in self._in_hand or document.reading is None:
            return
        try:
            text = document.reading.result()
        except DocumentFailure as failure:
            self._record_failure(document, Failure(failure.kind, failure.sentence, failure.retryable))
        except CancelledError:
            self._let_go(document)
            tokens = [document.claim.token]
            self._pipeline.patiently(lambda: self._pipeline.release(tokens, reason="reading it was broken off"))
        else:
            self._read.append((document, self._reading(document, text)))

    def _on_lost(self, token: int) -> None:
        """Stop reading a document whose claim was taken away: what it would record is not wanted any more."""
        document = self._in_hand.get(token)
        if document is not None:
            log.warning("claim %d was lost; its document is read no further here", token)
            self._let_go(document)
            self._count_lost()

    def _reading(self, document: _InHand, text: DocumentText) -> Reading:
        return Reading(
            text=text.text,
            pages=len(text.pages),
            mean_confidence=text.mean_confidence,
            fetch_seconds=document.fetch_seconds,
            ocr_seconds=text.ocr_seconds,
            source_bytes=document.source_bytes,
            engine=self._pipeline.engine_name,
            pages_blank=text.pages_blank,
            pages_text_layer=text.pages_text_layer,
            pages_damaged=text.pages_damaged,
            pages_failed=text.pages_failed,
            low_confidence_share=text.low_confidence_share,
            passes=text.passes,
        )

    def _record_read(self) -> None:
        """Record the texts that have come, except of documents that were lost since."""
        read = [(document, reading) for document, reading in self._read if document.claim.token in self._in_hand]
        self._read.clear()
        if not read:
            return
        texts = [(document.claim, reading) for document, reading in read]
        try:
            recordings = self._pipeline.patiently(lambda: self._pipeline.record_texts(texts))
        except OutcomeRefused:
            for document, reading in read:
                self._record_alone(document, reading)
            return
        for document, reading in read:
            self._count_read(document, reading, recordings[document.claim.token])

    def _record_alone(self, document: _InHand, reading: Reading) -> None:
        """Find out whether it is this text that the database refuses."""
        texts = [(document.claim, reading)]
        try:
            recordings = self._pipeline.patiently(lambda: self._pipeline.record_texts(texts))
        except OutcomeRefused as refused:
            self._record_failure(document, Failure("refused_by_database", str(refused), retryable=True))
        else:
            self._count_read(document, reading, recordings[document.claim.token])

    def _count_read(self, document: _InHand, reading: Reading, recording: Recording) -> None:
        if self._is_recorded(document, recording, partial(self._record_alone, document, reading)):
            self._progress.succeeded += 1
            self._progress.pages += reading.pages
            self._on_progress(self._progress)

    def _record_failure(self, document: _InHand, failure: Failure) -> None:
        recording = self._pipeline.patiently(
            lambda: self._pipeline.record_failure(
                document.claim, failure, document.fetch_seconds, document.source_bytes
            )
        )
        if self._is_recorded(document, recording, partial(self._record_failure, document, failure)):
            self._progress.failed[failure.kind] += 1
            self._on_progress(self._progress)

    def _is_recorded(self, document: _InHand, recording: Recording, record: Event) -> bool:
        """Whether an outcome was recorded; where its row is locked, `record` is called again later."""
        token = document.claim.token
        if recording is Recording.LOCKED:
            self._locked[token] = record
            return False
        self._let_go(document)
        if recording is Recording.RELEASED:
            log.warning("claim %d was released: its row names another file since it was claimed", token)
        elif recording is Recording.LOST:
            log.warning("the outcome of claim %d came too late and changed nothing", token)
        if recording is not Recording.RECORDED:
            self._count_lost()
        return recording is Recording.RECORDED

    def _record_locked(self) -> None:
        """Try once a second to record the outcomes whose rows other sessions had locked.

        Once nothing else is in hand they are waited for as long as one lease; then their documents are left to recovery.
        """
        now = time.monotonic()
        if now < self._record_locked_at:
            return
        self._record_locked_at = now + LOOK_AGAIN_SECONDS
        for token, record in list(self._locked.items()):
            del self._locked[token]
            if token in self._in_hand:
                record()
        if len(self._locked) < len(self._in_hand):
            self._give_up_locked_at = now + self._pipeline.terms.lease.total_seconds()
        elif now > self._give_up_locked_at:
            for token in list(self._locked):
                log.warning("the row of claim %d stays locked by another session; its outcome is not recorded", token)
                self._let_go(self._in_hand[token])
                self._count_lost()

    def _count_lost(self) -> None:
        self._progress.lost += 1
        self._on_progress(self._progress)

    def _let_go(self, document: _InHand) -> None:
        """Be done with a document: no renewal, no reading, no file."""
        if self._in_hand.pop(document.claim.token, None) is not None:
            self._progress.pages_in_hand -= document.pages_read
        self._unfetched.pop(document.claim.token, None)
        self._locked.pop(document.claim.token, None)
        self._keeper.let_go(document.claim.token)
        if document.reading is not None:
            self._pipeline.reader.abandon(document.reading)
        document.files.close()

    def _give_back(self) -> None:
        """Release what is still in hand, and a claim that was committed when the interruption came.

        Twice, because the connection can be cut at this very moment and a new one is made at once; if the database is
        away, the leases run out by themselves.
        """
        held = list(self._in_hand)
        for document in list(self._in_hand.values()):
            self._let_go(document)
        reason = "the worker stopped or its surroundings failed"
        for last in (False, True):
            try:
                self._pipeline.release(held, reason=reason)
                self._pipeline.release_everything(reason=reason)
            except (psycopg.Error, PoolTimeout) as unreachable:
                if last or isinstance(unreachable, PoolTimeout):
                    log.warning(
                        "%d claims could not be given back (%s); their leases will run out", len(held), unreachable
                    )
                    return
            else:
                return

    def _stop_fetching(self, fetchers: Sequence[threading.Thread]) -> None:
        """Let no fetched document stay behind, not even one that arrives only now."""
        for _ in fetchers:
            self._to_fetch.put(None)
        give_up_at = time.monotonic() + STOP_FETCHING_SECONDS
        for fetcher in fetchers:
            fetcher.join(max(0.0, give_up_at - time.monotonic()))
        self._folder.remove()
