"""Stores conditions, and writes the messages that follow from observations of them.

Each function is one transaction. The positions of event streams move in the transaction that writes the messages, so each
event leads to its message once, whenever a process ends.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from notaflow_pipeline.alerting.conditions import (
    ConditionState,
    MessageKind,
    Observation,
    is_reminder_due,
    next_state,
)
from notaflow_pipeline.alerting.messages import compose
from notaflow_pipeline.alerting.outbox import add_message, lock_outbox


@dataclass(frozen=True)
class OpenCondition:
    """A failing condition, as it was last observed."""

    key: str
    opened_at: datetime
    last_observed_at: datetime
    last_message_at: datetime
    occurrences: int
    title: str
    sentence: str
    figures: Mapping[str, Any]
    link: str | None


_SELECT_POSITIONS = """
SELECT stream, position
FROM ocr_alert_position
"""


def read_position(connection: Connection) -> dict[str, int]:
    """Return how far each stream of events was read."""
    return dict(connection.execute(_SELECT_POSITIONS).fetchall())


_SELECT_STATE = """
SELECT opened_at, last_observed_at, last_message_at, occurrences
FROM ocr_alert_condition
WHERE key = %(key)s
"""

_SET_POSITION = """
INSERT INTO ocr_alert_position (stream, position)
VALUES (%(stream)s, %(position)s)
ON CONFLICT (stream) DO UPDATE
SET position = EXCLUDED.position
"""


def record_observations(
    connection: Connection,
    observations: Sequence[Observation],
    *,
    timezone: str,
    positions: Mapping[str, int] | None = None,
) -> list[MessageKind]:
    """Store observations, oldest first, and the messages that follow from them; return the messages' kinds.

    Args:
        connection: outside any transaction.
        observations: what was observed.
        timezone: in which messages write times.
        positions: how far each stream of events was read; stored in the same transaction.
    """
    kinds = []
    with connection.transaction():
        now = lock_outbox(connection)
        for observation in observations:
            with connection.cursor(row_factory=class_row(ConditionState)) as cursor:
                before = cursor.execute(_SELECT_STATE, {"key": observation.key}).fetchone()
            after, kind = next_state(before, observation, now=now)
            if after == before:
                continue
            _store_condition(connection, observation, after)
            if kind is not None:
                kinds.append(kind)
                since = after.opened_at or (before.opened_at if before else None) or now
                text = compose(
                    kind,
                    key=observation.key,
                    title=observation.title,
                    sentence=observation.sentence,
                    figures=observation.figures,
                    link=observation.link,
                    since=since,
                    now=now,
                    occurrences=after.occurrences,
                    timezone=timezone,
                )
                add_message(connection, observation.key, kind, text, now)
        for stream, position in (positions or {}).items():
            connection.execute(_SET_POSITION, {"stream": stream, "position": position})
    return kinds


_SET_LAST_MESSAGE = """
UPDATE ocr_alert_condition
SET last_message_at = %(now)s
WHERE key = %(key)s
"""


def add_reminders(connection: Connection, *, every: timedelta, timezone: str) -> int:
    """Add a reminder of each failing condition whose last message is that long ago; return how many."""
    count = 0
    with connection.transaction():
        now = lock_outbox(connection)
        for one in open_conditions(connection):
            state = ConditionState(one.opened_at, one.last_observed_at, one.last_message_at, one.occurrences)
            if is_reminder_due(state, now=now, every=every):
                text = compose(
                    MessageKind.REMINDER,
                    key=one.key,
                    title=one.title,
                    sentence=one.sentence,
                    figures=one.figures,
                    link=one.link,
                    since=one.opened_at,
                    now=now,
                    occurrences=one.occurrences,
                    timezone=timezone,
                )
                add_message(connection, one.key, MessageKind.REMINDER, text, now)
                connection.execute(_SET_LAST_MESSAGE, {"key": one.key, "now": now})
                count += 1
    return count


_SELECT_OPEN = """
SELECT key, opened_at, last_observed_at, last_message_at, occurrences, title, sentence, figures, link
FROM ocr_alert_condition
WHERE opened_at IS NOT NULL
ORDER BY opened_at, key
"""


def open_conditions(connection: Connection) -> list[OpenCondition]:
    """Return the failing conditions, oldest first."""
    with connection.cursor(row_factory=class_row(OpenCondition)) as cursor:
        return cursor.execute(_SELECT_OPEN).fetchall()


_CLOSE_CONDITION = """
UPDATE ocr_alert_condition
SET opened_at = NULL,
    occurrences = 0
WHERE key = %(key)s
  AND opened_at IS NOT NULL
"""


def close_condition(connection: Connection, key: str) -> bool:
    """Close a condition that nothing will observe again, without a message; False if it was not open."""
    return connection.execute(_CLOSE_CONDITION, {"key": key}).rowcount > 0


_STORE_CONDITION = """
INSERT INTO ocr_alert_condition (key, opened_at, last_observed_at, last_message_at, occurrences,
                                 title, sentence, figures, link)
VALUES (%(key)s, %(opened_at)s, %(last_observed_at)s, %(last_message_at)s, %(occurrences)s,
        %(title)s, %(sentence)s, %(figures)s, %(link)s)
ON CONFLICT (key) DO UPDATE
SET opened_at = EXCLUDED.opened_at,
    last_observed_at = EXCLUDED.last_observed_at,
    last_message_at = EXCLUDED.last_message_at,
    occurrences = EXCLUDED.occurrences,
    title = EXCLUDED.title,
    sentence = EXCLUDED.sentence,
    figures = EXCLUDED.figures,
    link = EXCLUDED.link
"""


def _store_condition(connection: Connection, observation: Observation, state: ConditionState) -> None:
    parameters = {
        "key": observation.key,
        "opened_at": state.opened_at,
        "last_observed_at": state.last_observed_at,
        "last_message_at": state.last_message_at,
        "occurrences": state.occurrences,
        "title": observation.title,
        "sentence": observation.sentence,
        "figures": json.dumps(dict(observation.figures)),
        "link": observation.link,
    }
    connection.execute(_STORE_CONDITION, parameters)
