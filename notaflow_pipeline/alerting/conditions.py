"""When is a message due? One when a condition starts, a reminder at a limited rate while it lasts, one when it ends.

Pure: an observation and what was known before in, what is known now and the message that is due out. What does not belong
here: where observations come from, how a state is kept (`outbox`), and what a message says (`messages`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class MessageKind(StrEnum):
    """Why a message is sent."""

    START = "start"
    REMINDER = "reminder"
    END = "end"


@dataclass(frozen=True)
class Observation:
    """A condition as it was at a moment: failing or well."""

    key: str
    """Names the condition for ever: the check or the job."""
    failing: bool
    observed_at: datetime
    title: str
    sentence: str
    figures: Mapping[str, float | int | str]
    link: str | None


@dataclass(frozen=True)
class ConditionState:
    """What is known of a condition between two observations."""

    opened_at: datetime | None
    """Since when it fails; None while it is well."""
    last_observed_at: datetime
    last_message_at: datetime | None
    occurrences: int
    """How often it was seen failing since it opened."""


def next_state(
    before: ConditionState | None, seen: Observation, *, now: datetime
) -> tuple[ConditionState, MessageKind | None]:
    """Return the state after an observation, and the message that it calls for.

    An observation that is not newer than the last one changes nothing, so events can be read twice and out of order.
    """
    # a clock that runs ahead must not make every later observation look old
    observed_at = min(seen.observed_at, now)
    if before is None:
        before = ConditionState(None, datetime.min.replace(tzinfo=now.tzinfo), None, 0)
    if observed_at <= before.last_observed_at:
        return before, None
    after = replace(before, last_observed_at=observed_at)
    if seen.failing and before.opened_at is None:
        return replace(after, opened_at=observed_at, last_message_at=now, occurrences=1), MessageKind.START
    if seen.failing:
        return replace(after, occurrences=before.occurrences + 1), None
    if before.opened_at is not None:
        return replace(after, opened_at=None, last_message_at=now, occurrences=0), MessageKind.END
    return after, None


def is_reminder_due(state: ConditionState, *, now: datetime, every: timedelta) -> bool:
    """Whether a condition that lasts is to be recalled: the last message of it is that long ago."""
    return state.opened_at is not None and state.last_message_at is not None and now - state.last_message_at >= every
