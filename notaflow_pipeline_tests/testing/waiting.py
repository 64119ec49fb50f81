"""Waits for conditions."""

import time
from collections.abc import Callable

HANG_SECONDS = 600.0
"""After this a test is taken to hang. Far more than anything takes on a busy machine: it guards, it measures nothing."""


def wait_until(holds: Callable[[], object], *, seconds: float = HANG_SECONDS, every_seconds: float = 0.05) -> None:
    """Wait until the condition holds; fail if the test hangs."""
    give_up_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up_at, f"it did not happen within {seconds:g} s"
        time.sleep(every_seconds)
