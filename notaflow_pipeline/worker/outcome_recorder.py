"""Records the outcomes of a batch's documents: several texts with one commit, failures one by one.

Where another session has locked a document's row, its outcome is kept and tried again (`locked_outcomes`).
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.database.connections import OutcomeRefused
from notaflow_pipeline.job_queue.model import Failure, OcrResult, Recording
from notaflow_pipeline.worker.held_document import HeldDocument
from notaflow_pipeline.worker.locked_outcomes import LockedOutcomes
from notaflow_pipeline.worker.progress import Progress
from notaflow_pipeline.worker.queue_client import QueueClient

log = logging.getLogger(__name__)

MAX_TEXTS_PER_COMMIT = 20
"""Enough that the cost of a commit is small for each text, and few enough for a short statement."""

MAX_CHARACTERS_PER_COMMIT = 4_000_000
"""A commit with so many characters takes no further text: PostgreSQL closes the connection on a message of 1 GB."""

MAX_TEXT_CHARACTERS = 50_000_000
"""A longer text is refused: the server needs several times its size in memory to store it."""


class OutcomeRecorder:
    """Records outcomes and counts them; used by the batch's deciding thread alone."""

    def __init__(
        self,
        queue: QueueClient,
        held: Mapping[int, HeldDocument],
        progress: Progress,
        on_progress: Callable[[Progress], None],
        finish: Callable[[HeldDocument], None],
        on_recorded: Callable[[], None],
        on_refused: Callable[[HeldDocument, OutcomeRefused], None],
    ) -> None:
        """Start with nothing to record.

        Args:
            queue: where outcomes are recorded.
            held: the batch's documents that are not finished, by token.
            progress: is updated with each outcome.
            on_progress: is called after each update.
            finish: is called with each document whose claim has ended.
            on_recorded: is called after each text that was recorded.
            on_refused: is called with each document whose text the database refuses, and which is still held.
        """
        self._queue = queue
        self._held = held
        self._progress = progress
        self._on_progress = on_progress
        self._finish = finish
        self._on_recorded = on_recorded
        self._on_refused = on_refused
        self._texts: list[tuple[HeldDocument, OcrResult]] = []
        self._locked = LockedOutcomes(queue.terms.lease)

    @property
    def locked(self) -> int:
        """How many outcomes wait because another session has locked their rows."""
        return len(self._locked)

    @property
    def is_full(self) -> bool:
        """Whether `record_texts` should be called before another text is added."""
        characters = sum(len(result.text) for _, result in self._texts)
        return len(self._texts) >= MAX_TEXTS_PER_COMMIT or characters >= MAX_CHARACTERS_PER_COMMIT

    def add_text(self, document: HeldDocument, result: OcrResult) -> None:
        """Keep a document's text for the next `record_texts`; a text that is too long is a failure."""
        if len(result.text) > MAX_TEXT_CHARACTERS:
            sentence = f"Its text has more than {MAX_TEXT_CHARACTERS:,} characters. Split the document."
            self.record_failure(document, Failure(FailureKind.TOO_LARGE, sentence))
        else:
            self._texts.append((document, result))

    def record_texts(self) -> None:
        """Record the texts that were added, except of documents whose claims were lost since."""
        texts = [(document, result) for document, result in self._texts if document.claim.token in self._held]
        self._texts.clear()
        if not texts:
            return
        try:
            recordings = self._queue.record_texts([(document.claim, result) for document, result in texts])
        except OutcomeRefused:
            for document, result in texts:
                self._record_single_text(document, result)
            return
        for document, result in texts:
            self._count_text(document, result, recordings[document.claim.token])

    def record_failure(self, document: HeldDocument, failure: Failure) -> None:
        """Record why a document could not be read; if the database refuses that too, recovery names the document."""
        try:
            recording = self._queue.record_failure(
                document.claim, failure, document.fetch_seconds, document.source_bytes
            )
        except OutcomeRefused as refused:
            log.warning(
                "no outcome of claim %d is recorded, and its lease will expire: %s", document.claim.token, refused
            )
            self._finish(document)
            self.count_lost()
            return
        if self._is_recorded(document, recording, partial(self.record_failure, document, failure)):
            self._progress.failed[failure.kind] += 1
            self._on_progress(self._progress)

    def retry_locked(self) -> None:
        """Try again to record the outcomes of locked rows, if it is time; give up those that stay locked too long."""
        for token in self._locked.record(len(self._held)):
            log.warning(
                "the row of claim %d stays locked by another session, or a policy hides it; its outcome is not recorded",
                token,
            )
            self._finish(self._held[token])
            self.count_lost()

    def remove(self, token: int) -> None:
        """Discard the outcome of a claim that was lost."""
        self._locked.remove(token)

    def count_lost(self) -> None:
        """Count a document whose outcome is not recorded."""
        self._progress.lost += 1
        self._on_progress(self._progress)

    def _record_single_text(self, document: HeldDocument, result: OcrResult) -> None:
        """Record one text of a commit that the database refused, to find out which text it refuses."""
        try:
            recordings = self._queue.record_texts([(document.claim, result)])
        except OutcomeRefused as refused:
            self._on_refused(document, refused)
        else:
            self._count_text(document, result, recordings[document.claim.token])

    def _count_text(self, document: HeldDocument, result: OcrResult, recording: Recording) -> None:
        if self._is_recorded(document, recording, partial(self._record_single_text, document, result)):
            self._progress.succeeded += 1
            self._progress.pages += result.pages
            self._on_progress(self._progress)
            self._on_recorded()

    def _is_recorded(self, document: HeldDocument, recording: Recording, record: Callable[[], None]) -> bool:
        """Whether an outcome was recorded; where its row is locked, `record` is called again later."""
        token = document.claim.token
        if recording is Recording.LOCKED:
            self._locked.add(token, record)
            return False
        self._finish(document)
        if recording is Recording.RELEASED:
            log.warning(
                "claim %d was released: its row names another file or has another text since it was claimed", token
            )
        elif recording is Recording.LOST:
            log.warning("the outcome of claim %d came too late and changed nothing", token)
        if recording is not Recording.RECORDED:
            self.count_lost()
        return recording is Recording.RECORDED
