"""Sends undelivered messages: to each receiver independently, in order, within a time limit, at least once.

A delivery is claimed before it is sent and recorded after it. If the sender is killed in between, the message is sent again
when the claim has expired, with the same id and a line that says so: at most one duplicate for each killed sender.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from psycopg import Connection

from notaflow_pipeline.alerting import outbox
from notaflow_pipeline.alerting.messages import MessageText
from notaflow_pipeline.alerting.receivers import SEND_SECONDS, Receiver, send

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 30
MAX_WAIT_SECONDS = 900

POSSIBLE_DUPLICATE = (
    "(You may have received this message before: the sender was interrupted. / "
    "Vous avez peut-être déjà reçu ce message.)"
)

Connect = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True)
class DeliveryResult:
    """How many messages were delivered, and which receivers failed."""

    messages: int
    problems: tuple[str, ...]


def deliver(
    connect: Connect,
    receivers: Sequence[Receiver],
    *,
    budget_seconds: float,
    send_seconds: float = SEND_SECONDS,
    base_seconds: float = FIRST_WAIT_SECONDS,
) -> DeliveryResult:
    """Send undelivered messages to all receivers in parallel; one that hangs or fails does not delay the others.

    Args:
        connect: opens a connection to the outbox; one for each receiver.
        receivers: those of the settings, registered.
        budget_seconds: no message is started after this; the function takes at most `send_seconds` longer.
        send_seconds: how long one message may take.
        base_seconds: wait after a receiver's first failure; it doubles with each, up to `MAX_WAIT_SECONDS`.
    """
    if not receivers:
        return DeliveryResult(0, ())
    until = time.monotonic() + budget_seconds
    with ThreadPoolExecutor(max_workers=min(len(receivers), 16)) as threads:
        deliveries = [threads.submit(_deliver_to, connect, one, until, send_seconds, base_seconds) for one in receivers]
    results = [one.result() for one in deliveries]
    problems = tuple(problem for _, problem in results if problem is not None)
    return DeliveryResult(sum(count for count, _ in results), problems)


def _deliver_to(
    connect: Connect, receiver: Receiver, until: float, send_seconds: float, base_seconds: float
) -> tuple[int, str | None]:
    """Send a receiver its messages, oldest first, until one fails; return how many arrived, and the problem."""
    count = 0
    lease = timedelta(seconds=send_seconds * 2 + 10)
    try:
        with connect() as connection:
            while time.monotonic() < until:
                delivery = outbox.claim_delivery(connection, receiver, lease=lease)
                if delivery is None:
                    break
                body = f"{delivery.body}\n{POSSIBLE_DUPLICATE}" if delivery.uncertain else delivery.body
                sent = send(
                    receiver,
                    MessageText(delivery.subject, body),
                    uid=delivery.uid,
                    failing=delivery.kind != "end",
                    seconds=send_seconds,
                )
                if sent.outcome != "delivered":
                    outbox.record_failed(
                        connection,
                        receiver,
                        delivery,
                        reason=sent.reason,
                        is_refused=sent.outcome == "refused",
                        base_seconds=base_seconds,
                        longest_seconds=MAX_WAIT_SECONDS,
                    )
                    return count, f"{receiver.label}: {sent.reason}"
                outbox.record_delivered(connection, receiver, delivery)
                count += 1
    except psycopg.Error as lost:
        log.warning("the database was lost while delivering to %s: %s", receiver.label, type(lost).__name__)
        return count, f"{receiver.label}: the database was lost; what was not recorded is sent again"
    return count, None
