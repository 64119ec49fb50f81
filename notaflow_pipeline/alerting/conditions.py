"""Decides which message follows from an observation: when a condition starts, reminders while it lasts, and when it ends.

Pure functions of an observation and the state before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class MessageKind(StrEnum):
    """The reason of a message."""

    START = "start"
    REMINDER = "reminder"
    END = "end"


@dataclass(frozen=True)
class Observation:
    """The result of evaluating a condition at a moment."""

    key: str
    """Identifies the condition: the check or the job."""
    failing: bool
    observed_at: datetime
    title: str
    sentence: str
    figures: Mapping[str, float | int | str]
    link: str | None


@dataclass(frozen=True)
class ConditionState:
    """The stored state of a condition."""

    opened_at: datetime | None
    """Since when it fails; None while it passes."""
    last_observed_at: datetime
    last_message_at: datetime | None
    occurrences: int
    """How often it was observed failing since it opened."""


def next_state(
    before: ConditionState | None, observation: Observation, *, now: datetime
) -> tuple[ConditionState, MessageKind | None]:
    """Return the state after an observation, and the kind of message that follows from it.

    An observation that is not newer than the last one changes nothing, so events can be read twice and in any order.
    """
    # a clock that runs ahead must not make every later observation look old
    observed_at = min(observation.observed_at, now)
    if before is None:
        before = ConditionState(None, datetime.min.replace(tzinfo=now.tzinfo), None, 0)
    if observed_at <= before.last_observed_at:
        return before, None
    after = replace(before, last_observed_at=observed_at)
    if observation.failing and before.opened_at is None:
        return replace(after, opened_at=observed_at, last_message_at=now, occurrences=1), MessageKind.START
    if observation.failing:
        return replace(after, occurrences=before.occurrences + 1), None
    if before.opened_at is not None:
        return replace(after, opened_at=None, last_message_at=now, occurrences=0), MessageKind.END
    return after, None


def is_reminder_due(state: ConditionState, *, now: datetime, every: timedelta) -> bool:
    """Whether a failing condition's last message is that long ago."""
    return state.opened_at is not None and state.last_message_at is not None and now - state.last_message_at >= every
