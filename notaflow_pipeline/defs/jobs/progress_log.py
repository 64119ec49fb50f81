"""Logs the progress of long work in a run, at most every ten seconds."""

import time
from collections.abc import Callable

import dagster as dg

LOG_SECONDS = 10.0
"""An event costs Dagster 5 to 15 ms and a row in its database."""


def rate_limited_log(context: dg.OpExecutionContext) -> Callable[[str], None]:
    """Return what logs a sentence, unless the last one was logged less than `LOG_SECONDS` ago."""
    next_at = time.monotonic() + LOG_SECONDS

    def log(sentence: str) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at:
            context.log.info(sentence)
            next_at = time.monotonic() + LOG_SECONDS

    return log
