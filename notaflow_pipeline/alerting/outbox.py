"""Stores messages and one delivery of each message per receiver, and claims deliveries for sending.

Each function is one transaction. Deliveries are rows because a receiver can be unavailable for hours while others are not,
and because the process that sends can be killed: when its claim has expired, the message is sent again with the same id.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.alerting.conditions import MessageKind
from notaflow_pipeline.alerting.messages import MessageText
from notaflow_pipeline.alerting.receivers import Receiver

MAX_BLOCKING_ATTEMPTS = 5
"""After this many attempts later messages are sent first, so that a message that is always refused does not block them."""


@dataclass(frozen=True)
class Delivery:
    """A message that was claimed for a receiver."""

    message_id: int
    uid: str
    kind: str
    subject: str
    body: str
    uncertain: bool
    """An earlier attempt was interrupted: the receiver may have the message already."""


_LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended('ocr_alert', 0))
"""

_NOW = """
SELECT clock_timestamp()
"""


def lock_outbox(connection: Connection) -> datetime:
    """Let one transaction at a time change the outbox; return the database's time."""
    connection.execute(_LOCK)
    with connection.cursor(row_factory=scalar_row) as cursor:
        now = cursor.execute(_NOW).fetchone()
    assert isinstance(now, datetime)  # noqa: S101 - it selects one
    return now


# a later message of the same condition replaces a reminder that was not sent yet
_WITHDRAW_REMINDERS = """
DELETE FROM ocr_alert_delivery AS d
USING ocr_alert_message AS m
WHERE m.id = d.message_id
  AND m.condition_key = %(key)s
  AND m.kind = 'reminder'
  AND d.delivered_at IS NULL
  AND d.claimed_until IS NULL
"""

_ADD_MESSAGE = """
WITH message AS (
    INSERT INTO ocr_alert_message (condition_key, kind, subject, body, created_at)
    VALUES (%(key)s, %(kind)s, %(subject)s, %(body)s, %(now)s)
    RETURNING id
)
INSERT INTO ocr_alert_delivery (message_id, receiver)
SELECT message.id, r.receiver
FROM message, ocr_alert_receiver AS r
"""


def add_message(connection: Connection, key: str, kind: MessageKind, text: MessageText, now: datetime) -> None:
    """Add a message for every receiver; undelivered reminders of the condition are dropped."""
    connection.execute(_WITHDRAW_REMINDERS, {"key": key})
    parameters = {"key": key, "kind": kind.value, "subject": text.subject, "body": text.body, "now": now}
    connection.execute(_ADD_MESSAGE, parameters)


_CLAIM_RECEIVER = """
SELECT receiver
FROM ocr_alert_receiver
WHERE receiver = %(receiver)s
  AND (next_attempt_at IS NULL OR next_attempt_at <= clock_timestamp())
FOR UPDATE SKIP LOCKED
"""

# In the order of the messages; one at a time for each receiver, so that an end cannot overtake its start.
_CLAIM_DELIVERY = """
UPDATE ocr_alert_delivery AS d
SET claimed_until = clock_timestamp() + %(lease)s,
    attempts = d.attempts + 1
FROM (
    SELECT message_id, claimed_until
    FROM ocr_alert_delivery
    WHERE receiver = %(receiver)s
      AND delivered_at IS NULL
    ORDER BY attempts >= %(max_blocking)s, message_id
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


def claim_delivery(connection: Connection, receiver: Receiver, *, lease: timedelta) -> Delivery | None:
    """Claim a receiver's next message for `lease`.

    None when no message waits, another process is sending to it, or its wait after a failure is not over.
    """
    parameters = {"receiver": receiver.key, "lease": lease, "max_blocking": MAX_BLOCKING_ATTEMPTS}
    with connection.transaction():
        if connection.execute(_CLAIM_RECEIVER, parameters).fetchone() is None:
            return None
        with connection.cursor(row_factory=class_row(Delivery)) as cursor:
            return cursor.execute(_CLAIM_DELIVERY, parameters).fetchone()


_SET_DELIVERED = """
UPDATE ocr_alert_delivery
SET delivered_at = clock_timestamp(),
    claimed_until = NULL
WHERE receiver = %(receiver)s
  AND message_id = %(message_id)s
"""

_RESET_RECEIVER = """
UPDATE ocr_alert_receiver
SET failures = 0,
    next_attempt_at = NULL,
    last_error = NULL,
    last_delivered_at = clock_timestamp()
WHERE receiver = %(receiver)s
"""


def record_delivered(connection: Connection, receiver: Receiver, delivery: Delivery) -> None:
    """Record that a message arrived."""
    parameters = {"receiver": receiver.key, "message_id": delivery.message_id}
    with connection.transaction():
        connection.execute(_SET_DELIVERED, parameters)
        connection.execute(_RESET_RECEIVER, parameters)


_RELEASE_DELIVERY = """
UPDATE ocr_alert_delivery
SET claimed_until = NULL
WHERE receiver = %(receiver)s
  AND message_id = %(message_id)s
  AND delivered_at IS NULL
"""

_DELAY_RECEIVER = """
UPDATE ocr_alert_receiver
SET failures = failures + 1,
    next_attempt_at = clock_timestamp() + LEAST(%(base)s * power(2, LEAST(failures, 20)), %(longest)s) * interval '1 second',
    last_error = %(reason)s
WHERE receiver = %(receiver)s
"""


def record_failed(
    connection: Connection,
    receiver: Receiver,
    delivery: Delivery,
    *,
    reason: str,
    is_refused: bool,
    base_seconds: float,
    longest_seconds: float,
) -> None:
    """Record that a receiver did not accept a message; the next attempt waits twice as long as the one before.

    Args:
        connection: outside any transaction.
        receiver: where it was sent.
        delivery: the message.
        reason: without secrets.
        is_refused: the message certainly did not arrive; otherwise the claim lasts until it expires.
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
        if is_refused:
            connection.execute(_RELEASE_DELIVERY, parameters)
        connection.execute(_DELAY_RECEIVER, parameters)


_DELETE_OLD_MESSAGES = """
DELETE FROM ocr_alert_message
WHERE created_at < clock_timestamp() - %(older_than)s
"""


def delete_old_messages(connection: Connection, *, older_than: timedelta) -> None:
    """Delete messages older than this, delivered or not."""
    connection.execute(_DELETE_OLD_MESSAGES, {"older_than": older_than})
