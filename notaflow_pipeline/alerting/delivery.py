"""How waiting messages reach their receivers: each receiver by itself, in order, within a time limit, at least once.

A message is claimed before it is sent and noted after it. A sender that is killed in between leaves the claim, and when that
has run out the message goes out again, under the same id and with a line that says so: at most one more for each such death.
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
from notaflow_pipeline.alerting.messages import Text
from notaflow_pipeline.alerting.receivers import SEND_SECONDS, Receiver, send

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 30
MAX_WAIT_SECONDS = 900

POSSIBLE_DUPLICATE = "(You may have had this message before: the sender was interrupted while it was sending it.)"

Connect = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True)
class DeliveryResult:
    """What one round of deliveries did."""

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
    """Send what waits, to all receivers at the same time; one that hangs or fails holds up no other.

    Args:
        connect: opens a connection to the outbox; one for each receiver.
        receivers: those of the settings, enrolled.
        budget_seconds: no message is begun after this; the whole takes `send_seconds` longer at most.
        send_seconds: how long one message may take.
        base_seconds: wait after a receiver's first failure; it doubles with each, up to `MAX_WAIT_SECONDS`.
    """
    if not receivers:
        return DeliveryResult(0, ())
    until = time.monotonic() + budget_seconds
    with ThreadPoolExecutor(max_workers=min(len(receivers), 16)) as threads:
        rounds = [threads.submit(_deliver_to, connect, one, until, send_seconds, base_seconds) for one in receivers]
    results = [one.result() for one in rounds]
    problems = tuple(problem for _, problem in results if problem is not None)
    return DeliveryResult(sum(count for count, _ in results), problems)


def _deliver_to(
    connect: Connect, receiver: Receiver, until: float, send_seconds: float, base_seconds: float
) -> tuple[int, str | None]:
    """Send a receiver what waits for it, oldest first, until it fails once; return how many, and what went wrong."""
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
                    Text(delivery.subject, body),
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
        log.warning("the outbox was lost while delivering to %s: %s", receiver.label, type(lost).__name__)
        return count, f"{receiver.label}: the database was lost; what was not noted is sent again"
    return count, None
