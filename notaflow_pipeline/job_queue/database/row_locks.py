"""Tries again where another worker's claim has locked a row for a moment."""

import time
from collections.abc import Callable
from typing import TypeVar

PAUSES_SECONDS = (0.005, 0.02, 0.08)
"""A claim that began before ours was committed locks our row, sees that it is at 6, and passes it over when it ends: within
a few milliseconds. A lock that lasts longer is another program's, and the caller's to wait for."""

Answer = TypeVar("Answer")


def retry_while_locked(attempt: Callable[[], Answer], is_locked: Callable[[Answer], bool]) -> Answer:
    """Make an attempt, again after each pause while a row is locked; return the last answer."""
    answer = attempt()
    for pause in PAUSES_SECONDS:
        if not is_locked(answer):
            break
        time.sleep(pause)
        answer = attempt()
    return answer
