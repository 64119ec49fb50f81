"""Waits for conditions."""

import time
from collections.abc import Callable

HANG_SECONDS = 600.0
"""After this a test is taken to hang. Far more than anything takes on a busy machine: it guards, it measures nothing."""


MAX_PAUSE_SECONDS = 0.5


def wait_until(holds: Callable[[], object], *, seconds: float = HANG_SECONDS, every_seconds: float = 0.05) -> None:
    """Wait until the condition holds; fail if the test hangs. A condition that takes long is asked less often."""
    give_up_at = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if holds():
            return
        assert began < give_up_at, f"it did not happen within {seconds:g} s"
        # asking uses a tenth of a core at most, here or in the server that is asked
        took = time.monotonic() - began
        time.sleep(max(every_seconds, min(9 * took, MAX_PAUSE_SECONDS)))
