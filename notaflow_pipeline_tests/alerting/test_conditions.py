"""Tests of when a message is due, for observations in any order, repeated, and with wrong clocks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from notaflow_pipeline.alerting.conditions import ConditionState, MessageKind, Observation, is_reminder_due, next_state

NOON = datetime(2026, 3, 8, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=1)


def seen(failing: bool, minute: float = 0) -> Observation:
    return Observation("check:a:b", failing, NOON + timedelta(minutes=minute), "check b of a", "It is bad.", {}, None)


def after(*observations: Observation, now: datetime = LATER) -> tuple[ConditionState | None, list[MessageKind]]:
    state: ConditionState | None = None
    kinds = []
    for one in observations:
        state, kind = next_state(state, one, now=now)
        kinds += [kind] if kind else []
    return state, kinds


def test_one_message_when_it_starts_and_one_when_it_ends() -> None:
    state, kinds = after(seen(False, 0), seen(True, 1), seen(True, 2), seen(True, 3), seen(False, 4), seen(False, 5))
    assert kinds == [MessageKind.START, MessageKind.END]
    assert state is not None
    assert state.opened_at is None
    state, kinds = after(seen(True, 1), seen(True, 2))
    assert state is not None
    assert (state.opened_at, state.occurrences) == (NOON + timedelta(minutes=1), 2)
    assert kinds == [MessageKind.START]


@given(st.lists(st.booleans(), max_size=8), st.data())
def test_events_that_are_read_again_change_nothing(failings: list[bool], data: st.DataObject) -> None:
    events = [seen(failing, minute) for minute, failing in enumerate(failings)]
    again = data.draw(st.lists(st.sampled_from(events), max_size=8)) if events else []
    assert after(*events, *again) == after(*events)


def test_old_failure_that_appears_after_a_success_starts_nothing() -> None:
    assert after(seen(False, 2), seen(True, 1))[1] == []


def test_clock_that_runs_ahead_does_not_hide_later_observations() -> None:
    ahead = replace(seen(True), observed_at=NOON + timedelta(days=400))
    state, kind = next_state(None, ahead, now=NOON)
    assert kind is MessageKind.START
    _, kind = next_state(state, seen(False, 1), now=NOON + timedelta(minutes=1))
    assert kind is MessageKind.END


def test_reminder_is_due_at_the_given_rate_and_only_while_it_lasts() -> None:
    state, _ = after(seen(True), now=NOON)
    assert state is not None
    day = timedelta(days=1)
    assert not is_reminder_due(state, now=NOON + day - timedelta(seconds=1), every=day)
    assert is_reminder_due(state, now=NOON + day, every=day)
    assert not is_reminder_due(replace(state, last_message_at=NOON + day), now=NOON + day, every=day)
    ended, _ = after(seen(True), seen(False, 1), now=NOON + timedelta(minutes=1))
    assert ended is not None
    assert not is_reminder_due(ended, now=NOON + 9 * day, every=day)
