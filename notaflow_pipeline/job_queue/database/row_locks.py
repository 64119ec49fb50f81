"""Repeats an operation while another worker's claim briefly locks its row."""

import time
from collections.abc import Callable
from typing import TypeVar

PAUSES_SECONDS = (0.005, 0.02, 0.08)
"""A claim that started before ours was committed locks our row, finds it at 6 and releases it within a few milliseconds. A
lock that lasts longer belongs to another program; the caller has to wait for it."""

Result = TypeVar("Result")


def retry_while_locked(attempt: Callable[[], Result], is_locked: Callable[[Result], bool]) -> Result:
    """Call `attempt`, again after each pause while a row is locked; return the last result."""
    result = attempt()
    for pause in PAUSES_SECONDS:
        if not is_locked(result):
            break
        time.sleep(pause)
        result = attempt()
    return result
