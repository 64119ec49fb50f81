"""What is known and what is to be sent, in Postgres: conditions, messages, and one delivery of each message per receiver.

Every function is one transaction. What does not belong here: when a message is due (`conditions`), what it says
(`messages`), and sending it (`delivery`).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.alerting.conditions import (
    ConditionState,
    MessageKind,
    Observation,
    is_reminder_due,
    next_state,
)
from notaflow_pipeline.alerting.messages import Text, compose
from notaflow_pipeline.alerting.receivers import Receiver

MAX_BLOCKING_ATTEMPTS = 5
"""After so many a message lets later ones pass, so that one that a receiver will never take does not hold up the rest."""

UNCONFIGURED_AFTER = timedelta(minutes=15)
"""Not at once: the daemon and a watch from outside may be configured with different receivers."""

_LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended('ocr_alert', 0))
"""

_NOW = """
SELECT clock_timestamp()
"""

_STATE = """
SELECT opened_at, last_observed_at, last_message_at, occurrences
FROM ocr_alert_condition
WHERE key = %(key)s
"""

_KEEP = """
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

_REMINDED = """
UPDATE ocr_alert_condition
SET last_message_at = %(now)s
WHERE key = %(key)s
"""

_OPEN = """
SELECT key, opened_at, last_observed_at, last_message_at, occurrences, title, sentence, figures, link
FROM ocr_alert_condition
WHERE opened_at IS NOT NULL
ORDER BY opened_at, key
"""

_FORGET = """
UPDATE ocr_alert_condition
SET opened_at = NULL,
    occurrences = 0
WHERE key = %(key)s
  AND opened_at IS NOT NULL
"""

# a reminder that has not gone out yet is overtaken by whatever is said of the same condition later
_WITHDRAW_REMINDERS = """
DELETE FROM ocr_alert_delivery AS d
USING ocr_alert_message AS m
WHERE m.id = d.message_id
  AND m.condition_key = %(key)s
  AND m.kind = 'reminder'
  AND d.delivered_at IS NULL
  AND d.claimed_until IS NULL
"""

_POST = """
WITH message AS (
    INSERT INTO ocr_alert_message (condition_key, kind, subject, body, created_at)
    VALUES (%(key)s, %(kind)s, %(subject)s, %(body)s, %(now)s)
    RETURNING id
)
INSERT INTO ocr_alert_delivery (message_id, receiver)
SELECT message.id, r.receiver
FROM message, ocr_alert_receiver AS r
"""

_ENROL = """
INSERT INTO ocr_alert_receiver AS r (receiver, label, enrolled_at, configured_at)
VALUES (%(receiver)s, %(label)s, %(now)s, %(now)s)
ON CONFLICT (receiver) DO UPDATE
SET configured_at = EXCLUDED.configured_at
RETURNING r.enrolled_at = r.configured_at AS is_new
"""

# a new receiver is told how every open condition began
_BRING_UP_TO_DATE = """
INSERT INTO ocr_alert_delivery (message_id, receiver)
SELECT max(m.id), %(receiver)s
FROM ocr_alert_message AS m
JOIN ocr_alert_condition AS c ON c.key = m.condition_key
WHERE c.opened_at IS NOT NULL
  AND m.kind = 'start'
GROUP BY m.condition_key
ON CONFLICT DO NOTHING
"""

_GONE = """
SELECT receiver
FROM ocr_alert_receiver
WHERE configured_at < %(now)s - %(unconfigured_after)s
"""

# whoever came after a receiver was last configured takes its place: a URL with a new password, as a rule
_INHERIT = """
INSERT INTO ocr_alert_delivery (message_id, receiver)
SELECT d.message_id, heir.receiver
FROM ocr_alert_delivery AS d
JOIN ocr_alert_receiver AS gone ON gone.receiver = d.receiver
JOIN ocr_alert_receiver AS heir ON heir.enrolled_at > gone.configured_at
WHERE d.receiver = ANY(%(gone)s)
  AND d.delivered_at IS NULL
  AND heir.receiver <> ALL(%(gone)s)
ON CONFLICT DO NOTHING
"""

_DISMISS_DELIVERIES = """
DELETE FROM ocr_alert_delivery
WHERE receiver = ANY(%(gone)s)
  AND delivered_at IS NULL
"""

_DISMISS = """
DELETE FROM ocr_alert_receiver
WHERE receiver = ANY(%(gone)s)
"""

_TAKE_RECEIVER = """
SELECT receiver
FROM ocr_alert_receiver
WHERE receiver = %(receiver)s
  AND (next_attempt_at IS NULL OR next_attempt_at <= clock_timestamp())
FOR UPDATE SKIP LOCKED
"""

# In the order of the messages. Nothing goes out beside a delivery that is under way, or an end would overtake its start.
_TAKE = """
UPDATE ocr_alert_delivery AS d
SET claimed_until = clock_timestamp() + %(lease)s,
    attempts = d.attempts + 1
FROM (
    SELECT message_id, claimed_until
    FROM ocr_alert_delivery
    WHERE receiver = %(receiver)s
      AND delivered_at IS NULL
    ORDER BY attempts >= %(patient)s, message_id
    LIMIT 1
) AS next
JOIN ocr_alert_message AS m ON m.id = next.message_id
WHERE d.receiver = %(receiver)s
  AND d.message_id = next.message_id
  AND NOT EXISTS (
      SELECT
      FROM ocr_alert_delivery AS other
      WHERE other.receiver = %(receiver)s
        AND other.delivered_at IS NULL
        AND other.claimed_until > clock_timestamp()
  )
RETURNING m.id AS message_id, m.uid::text AS uid, m.kind, m.subject, m.body, next.claimed_until IS NOT NULL AS uncertain
"""

_DELIVERED = """
UPDATE ocr_alert_delivery
SET delivered_at = clock_timestamp(),
    claimed_until = NULL
WHERE receiver = %(receiver)s
  AND message_id = %(message_id)s
"""

_GIVE_BACK = """
UPDATE ocr_alert_delivery
SET claimed_until = NULL
WHERE receiver = %(receiver)s
  AND message_id = %(message_id)s
  AND delivered_at IS NULL
"""

_RECEIVER_WELL = """
UPDATE ocr_alert_receiver
SET failures = 0,
    next_attempt_at = NULL,
    last_error = NULL,
    last_delivered_at = clock_timestamp()
WHERE receiver = %(receiver)s
"""

_RECEIVER_FAILED = """
UPDATE ocr_alert_receiver
SET failures = failures + 1,
    next_attempt_at = clock_timestamp() + LEAST(%(base)s * power(2, LEAST(failures, 20)), %(longest)s) * interval '1 second',
    last_error = %(reason)s
WHERE receiver = %(receiver)s
"""

_POSITIONS = """
SELECT stream, position
FROM ocr_alert_position
"""

_MOVE = """
INSERT INTO ocr_alert_position (stream, position)
VALUES (%(stream)s, %(position)s)
ON CONFLICT (stream) DO UPDATE
SET position = EXCLUDED.position
"""

_PRUNE = """
DELETE FROM ocr_alert_message
WHERE created_at < clock_timestamp() - %(older_than)s
"""

_RECEIVERS = """
SELECT r.receiver, r.label, r.failures, r.last_error, r.last_delivered_at,
       count(d.message_id) AS waiting
FROM ocr_alert_receiver AS r
LEFT JOIN ocr_alert_delivery AS d ON d.receiver = r.receiver AND d.delivered_at IS NULL
GROUP BY r.receiver
ORDER BY r.label
"""


@dataclass(frozen=True)
class OpenCondition:
    """A condition that lasts, as it was last seen."""

    key: str
    opened_at: datetime
    last_observed_at: datetime
    last_message_at: datetime
    occurrences: int
    title: str
    sentence: str
    figures: Mapping[str, Any]
    link: str | None


@dataclass(frozen=True)
class Delivery:
    """A message on its way to a receiver."""

    message_id: int
    uid: str
    kind: str
    subject: str
    body: str
    uncertain: bool
    """An earlier attempt was cut off: the receiver may have it already."""


@dataclass(frozen=True)
class ReceiverState:
    """How it stands with a receiver."""

    receiver: str
    label: str
    failures: int
    last_error: str | None
    last_delivered_at: datetime | None
    waiting: int


def read_position(connection: Connection) -> dict[str, int]:
    """Return how far each stream of events was read."""
    return dict(connection.execute(_POSITIONS).fetchall())


def record_observations(
    connection: Connection,
    observations: Sequence[Observation],
    *,
    timezone: str,
    positions: Mapping[str, int] | None = None,
) -> list[MessageKind]:
    """Write down what was observed, oldest first, and the messages that it calls for; return their kinds.

    The positions of the streams move in the same transaction: an event leads to its message once, whoever dies when.
    """
    due = []
    with connection.transaction():
        now = _alone(connection)
        for seen in observations:
            with connection.cursor(row_factory=class_row(ConditionState)) as cursor:
                before = cursor.execute(_STATE, {"key": seen.key}).fetchone()
            after, kind = next_state(before, seen, now=now)
            if after == before:
                continue
            _keep(connection, seen, after)
            if kind is not None:
                due.append(kind)
                since = after.opened_at or (before.opened_at if before else None) or now
                text = compose(
                    kind,
                    title=seen.title,
                    sentence=seen.sentence,
                    figures=seen.figures,
                    link=seen.link,
                    since=since,
                    now=now,
                    occurrences=after.occurrences,
                    timezone=timezone,
                )
                _post(connection, seen.key, kind, text, now)
        for stream, position in (positions or {}).items():
            connection.execute(_MOVE, {"stream": stream, "position": position})
    return due


def add_reminders(connection: Connection, *, every: timedelta, timezone: str) -> int:
    """Write a reminder of each condition whose last message is that long ago; return how many."""
    count = 0
    with connection.transaction():
        now = _alone(connection)
        for one in open_conditions(connection):
            state = ConditionState(one.opened_at, one.last_observed_at, one.last_message_at, one.occurrences)
            if is_reminder_due(state, now=now, every=every):
                text = compose(
                    MessageKind.REMINDER,
                    title=one.title,
                    sentence=one.sentence,
                    figures=one.figures,
                    link=one.link,
                    since=one.opened_at,
                    now=now,
                    occurrences=one.occurrences,
                    timezone=timezone,
                )
                _post(connection, one.key, MessageKind.REMINDER, text, now)
                connection.execute(_REMINDED, {"key": one.key, "now": now})
                count += 1
    return count


def register_receivers(
    connection: Connection, receivers: Collection[Receiver], *, unconfigured_after: timedelta = UNCONFIGURED_AFTER
) -> None:
    """Make the receivers of the settings the ones that messages go to.

    A new receiver gets the start message of every open condition. One that no settings have named for `unconfigured_after`
    is deleted, and its undelivered messages go to the receivers that were registered since. Without any receiver nothing
    changes: undelivered messages stay.
    """
    if not receivers:
        return
    with connection.transaction():
        now = _alone(connection)
        for one in receivers:
            with connection.cursor(row_factory=scalar_row) as cursor:
                parameters = {"receiver": one.key, "label": one.label, "now": now}
                if cursor.execute(_ENROL, parameters).fetchone():
                    connection.execute(_BRING_UP_TO_DATE, parameters)
        with connection.cursor(row_factory=scalar_row) as cursor:
            gone = cursor.execute(_GONE, {"now": now, "unconfigured_after": unconfigured_after}).fetchall()
        for statement in (_INHERIT, _DISMISS_DELIVERIES, _DISMISS) if gone else ():
            connection.execute(statement, {"gone": gone})


def claim_delivery(connection: Connection, receiver: Receiver, *, lease: timedelta) -> Delivery | None:
    """Claim a receiver's next message for `lease`; None when none waits, another sender is at it, or it failed just now."""
    parameters = {"receiver": receiver.key, "lease": lease, "patient": MAX_BLOCKING_ATTEMPTS}
    with connection.transaction():
        if connection.execute(_TAKE_RECEIVER, parameters).fetchone() is None:
            return None
        with connection.cursor(row_factory=class_row(Delivery)) as cursor:
            return cursor.execute(_TAKE, parameters).fetchone()


def record_delivered(connection: Connection, receiver: Receiver, delivery: Delivery) -> None:
    """Note that a message arrived."""
    parameters = {"receiver": receiver.key, "message_id": delivery.message_id}
    with connection.transaction():
        connection.execute(_DELIVERED, parameters)
        connection.execute(_RECEIVER_WELL, parameters)


def record_failed(
    connection: Connection,
    receiver: Receiver,
    delivery: Delivery,
    *,
    reason: str,
    surely: bool,
    base_seconds: float,
    longest_seconds: float,
) -> None:
    """Note that a receiver did not take a message: it is tried again, after a wait that doubles with each failure.

    Args:
        connection: outside any transaction.
        receiver: which.
        delivery: what.
        reason: why, without secrets.
        surely: whether it is certain that the message did not arrive; if not, its claim runs out by itself.
        base_seconds: the first wait.
        longest_seconds: no wait is longer.
    """
    parameters = {
        "receiver": receiver.key,
        "message_id": delivery.message_id,
        "reason": reason,
        "base": base_seconds,
        "longest": longest_seconds,
    }
    with connection.transaction():
        if surely:
            connection.execute(_GIVE_BACK, parameters)
        connection.execute(_RECEIVER_FAILED, parameters)


def open_conditions(connection: Connection) -> list[OpenCondition]:
    """Return what lasts, oldest first."""
    with connection.cursor(row_factory=class_row(OpenCondition)) as cursor:
        return cursor.execute(_OPEN).fetchall()


def close_condition(connection: Connection, key: str) -> bool:
    """Close a condition without a message, for one that nothing will ever observe again; False if it was not open."""
    return connection.execute(_FORGET, {"key": key}).rowcount > 0


def receiver_states(connection: Connection) -> list[ReceiverState]:
    """Return how it stands with each receiver."""
    with connection.cursor(row_factory=class_row(ReceiverState)) as cursor:
        return cursor.execute(_RECEIVERS).fetchall()


def delete_old_messages(connection: Connection, *, older_than: timedelta) -> None:
    """Delete messages of long ago, and what still waits of them: whoever was away for so long reads the UI first."""
    connection.execute(_PRUNE, {"older_than": older_than})


def _alone(connection: Connection) -> datetime:
    """Let one process at a time write conditions; return the database's time."""
    connection.execute(_LOCK)
    with connection.cursor(row_factory=scalar_row) as cursor:
        now = cursor.execute(_NOW).fetchone()
    assert isinstance(now, datetime)  # noqa: S101 - it selects one
    return now


def _keep(connection: Connection, seen: Observation, state: ConditionState) -> None:
    parameters = {
        "key": seen.key,
        "opened_at": state.opened_at,
        "last_observed_at": state.last_observed_at,
        "last_message_at": state.last_message_at,
        "occurrences": state.occurrences,
        "title": seen.title,
        "sentence": seen.sentence,
        "figures": json.dumps(dict(seen.figures)),
        "link": seen.link,
    }
    connection.execute(_KEEP, parameters)


def _post(connection: Connection, key: str, kind: MessageKind, text: Text, now: datetime) -> None:
    connection.execute(_WITHDRAW_REMINDERS, {"key": key})
    parameters = {"key": key, "kind": kind.value, "subject": text.subject, "body": text.body, "now": now}
    connection.execute(_POST, parameters)
