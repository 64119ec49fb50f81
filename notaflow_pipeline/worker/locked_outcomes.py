"""Keeps the outcomes of documents whose rows other sessions have locked, until they can be recorded."""

import time
from collections.abc import Callable
from datetime import timedelta

RETRY_SECONDS = 1.0
"""How long after an outcome was not recorded it is tried again."""


class LockedOutcomes:
    """Outcomes that are tried again once a second, and for one lease once nothing else is in hand."""

    def __init__(self, lease: timedelta) -> None:
        self._lease_seconds = lease.total_seconds()
        self._records: dict[int, Callable[[], None]] = {}
        self._retry_at = 0.0
        self._give_up_at = time.monotonic() + self._lease_seconds

    def __len__(self) -> int:
        """How many there are."""
        return len(self._records)

    def add(self, token: int, record: Callable[[], None]) -> None:
        """Keep what records this claim's outcome."""
        self._records[token] = record

    def remove(self, token: int) -> None:
        """Forget a claim."""
        self._records.pop(token, None)

    def record(self, in_hand: int) -> list[int]:
        """Try all of them again if it is time; return the tokens of those that are given up.

        A row that stays locked when all else is done must not keep a run from ending: its document is left to recovery.

        Args:
            in_hand: documents that the batch has not finished, these included.
        """
        now = time.monotonic()
        if now < self._retry_at:
            return []
        self._retry_at = now + RETRY_SECONDS
        for token, record in list(self._records.items()):
            self._records.pop(token, None)
            record()
        if len(self._records) < in_hand:
            self._give_up_at = now + self._lease_seconds
        return list(self._records) if now > self._give_up_at else []
