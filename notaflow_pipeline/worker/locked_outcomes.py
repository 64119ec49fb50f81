"""Keeps the outcomes of documents whose rows other sessions have locked, until they can be recorded."""

import time
from collections.abc import Callable
from datetime import timedelta

RETRY_SECONDS = 1.0
"""Pause between two attempts to record the same outcome."""


class LockedOutcomes:
    """Outcomes that are tried again every second; given up one lease after all other documents have finished."""

    def __init__(self, lease: timedelta) -> None:
        self._lease_seconds = lease.total_seconds()
        self._records: dict[int, Callable[[], None]] = {}
        self._retry_at = 0.0
        self._give_up_at = time.monotonic() + self._lease_seconds

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._records)

    def add(self, token: int, record: Callable[[], None]) -> None:
        """Keep the function that records this claim's outcome."""
        self._records[token] = record

    def remove(self, token: int) -> None:
        """Discard the outcome of a claim."""
        self._records.pop(token, None)

    def record(self, unfinished: int) -> list[int]:
        """Try all of them again if it is time; return the tokens of those that are given up.

        A row that stays locked must not keep a run from ending: recovery handles its document when the lease has expired.

        Args:
            unfinished: documents that the batch has not finished, these included.
        """
        now = time.monotonic()
        if now < self._retry_at:
            return []
        self._retry_at = now + RETRY_SECONDS
        for token, record in list(self._records.items()):
            self._records.pop(token, None)
            record()
        if len(self._records) < unfinished:
            self._give_up_at = now + self._lease_seconds
        return list(self._records) if now > self._give_up_at else []
