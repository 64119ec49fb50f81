"""Where did a worker's last claim end, so that its next one need not begin at the head of the queue?

Rows that were claimed leave their entries in the claim's index until vacuum may take them away, which a snapshot that
somebody holds open forbids: a claim that begins at the head then walks over everything that was claimed since. What does
not belong here: the claim itself (`claims`).
"""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

from notaflow_pipeline.job_queue.model import Claim

POSITION_VALID_SECONDS = 1.0
"""How long claims begin where the last one ended before one begins at the head again.

So much later, at most, comes the turn of a document that arrived or came back before that place: of a higher priority,
sent back, or older than what was claimed since.
"""


class ClaimPosition:
    """The place behind which a worker expects the next documents."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_claimed: UUID | None = None
        self._believed_until = clock()

    @property
    def behind(self) -> UUID | None:
        """The document behind which the next claim may begin; None is the head of the queue."""
        return self._last_claimed if self._clock() < self._believed_until else None

    def note_claims(self, claimed: Sequence[Claim], *, limit: int, from_head: bool) -> None:
        """Remember where a claim of up to `limit` documents ended; one that was not filled leaves nothing behind it."""
        self._last_claimed = claimed[-1].document_id if len(claimed) == limit else None
        if from_head:
            self._believed_until = self._clock() + POSITION_VALID_SECONDS
