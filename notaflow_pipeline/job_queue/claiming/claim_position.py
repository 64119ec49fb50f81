"""Remembers where a worker's last claim ended, and which documents the database refused to claim.

The next claim need not start at the head of the queue, and leaves those documents out for a while.

Claimed rows keep their entries in the claim index until vacuum removes them, and an open snapshot of any session prevents
that. A claim from the head of the queue then reads the entries of all documents that were claimed since.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from notaflow_pipeline.job_queue.model import Claim

POSITION_VALID_SECONDS = 1.0
"""How long claims continue from the last position before one starts at the head again.

A document that is added or requeued before that position waits at most this much longer.
"""


LEFT_OUT_SECONDS = 60.0
"""How long a document is left out that the database refused to claim. Each try costs the server an error in its log."""


class ClaimPosition:
    """The last document that a worker claimed, and those that it leaves out; both are valid for a limited time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_claimed: UUID | None = None
        self._valid_until = clock()
        self._left_out: dict[UUID, float] = {}
        """Until when each document is left out."""

    @property
    def after(self) -> UUID | None:
        """The document after which the next claim may start; None means the head of the queue."""
        return self._last_claimed if self._clock() < self._valid_until else None

    @property
    def left_out(self) -> list[UUID]:
        """The documents that the database refused to claim, or to prepare for a claim, a short time ago."""
        now = self._clock()
        self._left_out = {document: until for document, until in self._left_out.items() if now < until}
        return list(self._left_out)

    def leave_out(self, documents: Iterable[UUID]) -> None:
        """Leave these documents out for a while."""
        self._left_out.update(dict.fromkeys(documents, self._clock() + LEFT_OUT_SECONDS))

    def note_claims(self, claimed: Sequence[Claim], *, limit: int, from_head: bool) -> None:
        """Remember where a claim of up to `limit` documents ended; after an incomplete claim nothing follows."""
        self._last_claimed = claimed[-1].document_id if len(claimed) == limit else None
        if from_head:
            self._valid_until = self._clock() + POSITION_VALID_SECONDS
