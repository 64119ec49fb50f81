"""Stores the receivers of messages, and the state of delivery to each of them.

A receiver is identified by a digest of its URL, so a URL with a new password is another receiver. Undelivered messages of
the old one go to the new one after `UNCONFIGURED_AFTER`: otherwise a message that could not be delivered because a password
had expired would never arrive (`test_receiver_with_new_password_gets_undelivered_messages_of_the_old`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.alerting.outbox import lock_outbox
from notaflow_pipeline.alerting.receivers import Receiver

UNCONFIGURED_AFTER = timedelta(minutes=15)
"""Not at once: the daemon and `notaflow alert --check` elsewhere may be configured with different receivers."""


@dataclass(frozen=True)
class ReceiverState:
    """The state of delivery to a receiver."""

    receiver: str
    label: str
    failures: int
    last_error: str | None
    last_delivered_at: datetime | None
    waiting: int


_REGISTER_RECEIVER = """
INSERT INTO ocr_alert_receiver AS r (receiver, label, enrolled_at, configured_at)
VALUES (%(receiver)s, %(label)s, %(now)s, %(now)s)
ON CONFLICT (receiver) DO UPDATE
SET configured_at = EXCLUDED.configured_at
RETURNING r.enrolled_at = r.configured_at AS is_new
"""

# a new receiver gets the start message of every open condition
_ADD_OPEN_STARTS = """
INSERT INTO ocr_alert_delivery (message_id, receiver)
SELECT max(m.id), %(receiver)s
FROM ocr_alert_message AS m
JOIN ocr_alert_condition AS c ON c.key = m.condition_key
WHERE c.opened_at IS NOT NULL
  AND m.kind = 'start'
GROUP BY m.condition_key
ON CONFLICT DO NOTHING
"""

_SELECT_UNCONFIGURED = """
SELECT receiver
FROM ocr_alert_receiver
WHERE configured_at < %(now)s - %(unconfigured_after)s
"""

# receivers that were registered after this one was last configured take over: usually a URL with a new password
_TRANSFER_DELIVERIES = """
INSERT INTO ocr_alert_delivery (message_id, receiver)
SELECT d.message_id, successor.receiver
FROM ocr_alert_delivery AS d
JOIN ocr_alert_receiver AS old ON old.receiver = d.receiver
JOIN ocr_alert_receiver AS successor ON successor.enrolled_at > old.configured_at
WHERE d.receiver = ANY(%(unconfigured)s)
  AND d.delivered_at IS NULL
  AND successor.receiver <> ALL(%(unconfigured)s)
ON CONFLICT DO NOTHING
"""

_DELETE_DELIVERIES = """
DELETE FROM ocr_alert_delivery
WHERE receiver = ANY(%(unconfigured)s)
  AND delivered_at IS NULL
"""

_DELETE_RECEIVERS = """
DELETE FROM ocr_alert_receiver
WHERE receiver = ANY(%(unconfigured)s)
"""


def register_receivers(connection: Connection, receivers: Collection[Receiver]) -> None:
    """Store the receivers of the settings, to which messages go from now on.

    A new receiver gets the start message of every open condition. One that no settings have named for `UNCONFIGURED_AFTER`
    is deleted, and its undelivered messages go to the receivers that were registered since. Without any receiver nothing
    changes: undelivered messages stay.
    """
    if not receivers:
        return
    with connection.transaction():
        now = lock_outbox(connection)
        for one in receivers:
            with connection.cursor(row_factory=scalar_row) as cursor:
                parameters = {"receiver": one.key, "label": one.label, "now": now}
                if cursor.execute(_REGISTER_RECEIVER, parameters).fetchone():
                    connection.execute(_ADD_OPEN_STARTS, parameters)
        with connection.cursor(row_factory=scalar_row) as cursor:
            unconfigured = cursor.execute(
                _SELECT_UNCONFIGURED, {"now": now, "unconfigured_after": UNCONFIGURED_AFTER}
            ).fetchall()
        for statement in (_TRANSFER_DELIVERIES, _DELETE_DELIVERIES, _DELETE_RECEIVERS) if unconfigured else ():
            connection.execute(statement, {"unconfigured": unconfigured})


_SELECT_RECEIVERS = """
SELECT r.receiver, r.label, r.failures, r.last_error, r.last_delivered_at,
       count(d.message_id) AS waiting
FROM ocr_alert_receiver AS r
LEFT JOIN ocr_alert_delivery AS d ON d.receiver = r.receiver AND d.delivered_at IS NULL
GROUP BY r.receiver
ORDER BY r.label
"""


def receiver_states(connection: Connection) -> list[ReceiverState]:
    """Return the state of delivery to each receiver."""
    with connection.cursor(row_factory=class_row(ReceiverState)) as cursor:
        return cursor.execute(_SELECT_RECEIVERS).fetchall()
