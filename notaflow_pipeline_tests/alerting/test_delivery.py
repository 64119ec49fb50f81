"""Tests from observations to receivers through the outbox in Postgres: each message once, none lost, none delayed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.alerting import condition_log, french, outbox, receiver_registry, thresholds
from notaflow_pipeline.alerting.conditions import MessageKind, Observation
from notaflow_pipeline.alerting.delivery import POSSIBLE_DUPLICATE, DeliveryResult, deliver
from notaflow_pipeline.alerting.messages import MessageText
from notaflow_pipeline.alerting.receivers import Receiver, send
from notaflow_pipeline.alerting.thresholds import Share
from notaflow_pipeline_tests.alerting.receiver_servers import Webhook, smtp_server, webhook
from notaflow_pipeline_tests.testing.ports import free_port
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS, wait_until

ZONE = "America/Toronto"
BEGINNING = datetime(2026, 3, 8, 12, tzinfo=UTC)

Connect = Callable[[], AbstractContextManager[Connection]]


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as one:
        yield one


@pytest.fixture
def connect(database_url: str) -> Connect:
    return lambda: psycopg.connect(database_url, autocommit=True, prepare_threshold=None)


def seen(minute: float, *, failing: bool = True, name: str = "rate") -> Observation:
    return Observation(
        key=f"check:daily:{name}",
        failing=failing,
        observed_at=BEGINNING + timedelta(minutes=minute),
        title=f"check {name} of daily",
        sentence="40 of 100 attempts failed: 40 %. Look at the storage." if failing else "All is well.",
        figures={"day": "2026-03-08", "rate": 0.4, "threshold": 0.2},
        link="http://127.0.0.1:3000/assets/daily?view=checks",
    )


def record(connection: Connection, *observations: Observation) -> list[MessageKind]:
    return condition_log.record_observations(connection, observations, timezone=ZONE)


def send_all(connect: Connect, *receivers: Receiver, base_seconds: float = 0) -> DeliveryResult:
    return deliver(
        connect, receivers, budget_seconds=HANG_SECONDS, send_seconds=HANG_SECONDS, base_seconds=base_seconds
    )


def waiting(connection: Connection) -> int:
    return sum(one.waiting for one in receiver_registry.receiver_states(connection))


def test_start_reminder_and_end_arrive_once_with_figures_and_link(
    connection: Connection, connect: Connect, hook: Webhook
) -> None:
    receiver = Receiver(hook.url)
    receiver_registry.register_receivers(connection, [receiver])
    for minute in range(3):
        record(connection, seen(minute))
        send_all(connect, receiver)
    assert condition_log.add_reminders(connection, every=timedelta(days=1), timezone=ZONE) == 0
    assert condition_log.add_reminders(connection, every=timedelta(0), timezone=ZONE) == 1
    send_all(connect, receiver)
    record(connection, seen(9, failing=False))
    assert send_all(connect, receiver) == DeliveryResult(1, ())
    assert send_all(connect, receiver) == DeliveryResult(0, ())
    assert condition_log.add_reminders(connection, every=timedelta(0), timezone=ZONE) == 0
    assert hook.titles == [
        "NotaFlow: check rate of daily fails",
        "NotaFlow: check rate of daily still fails",
        "NotaFlow: check rate of daily no longer fails",
    ]
    assert hook.messages[0]["title"] == "NotaFlow: check rate of daily fails / échoue"
    assert [one["type"] for one in hook.messages] == ["failure", "failure", "success"]
    start, reminder, end = (one["message"] for one in hook.messages)
    assert "Une vérification a échoué" in start
    assert "n’est plus en échec" in end
    for part in (
        "Look at the storage.",
        "day / jour: 2026-03-08",
        "rate / taux: 0.4",
        "threshold / seuil: 0.2",
        "assets/daily?view=checks",
    ):
        assert part in start
    assert "since / depuis: 2026-03-08 08:00 EDT" in start
    assert "observations: 3" in reminder
    assert len({one["headers"]["Idempotency-Key"] for one in hook.messages}) == 3


def test_rate_with_too_little_data_is_not_reported_as_passing(
    connection: Connection, connect: Connect, hook: Webhook
) -> None:
    receiver = Receiver(hook.url)
    receiver_registry.register_receivers(connection, [receiver])
    friday = date(2026, 3, 6)
    bad, empty = (
        thresholds.evaluate_share(
            days, today, what="attempts", threshold=0.2, minimum=10, advice="Look at the storage."
        )
        for days, today in (([Share(friday, 90, 100)], friday), ([], friday + timedelta(days=2)))
    )
    for minute, evaluation in enumerate((bad, empty)):
        record(connection, replace(seen(minute), failing=evaluation.alarming, sentence=evaluation.sentence))
    send_all(connect, receiver)
    assert hook.titles == ["NotaFlow: check rate of daily fails", "NotaFlow: check rate of daily no longer fails"]
    assert hook.messages[1]["message"].startswith("Not enough data: 0 attempts today or yesterday")
    assert "well" not in str(hook.messages[1])


def test_unavailable_receiver_later_gets_all_in_order_without_reminders(
    connection: Connection, connect: Connect, hook: Webhook
) -> None:
    receiver = Receiver(hook.url)
    receiver_registry.register_receivers(connection, [receiver])
    hook.accepts = False
    record(connection, seen(1))
    for _ in range(3):
        condition_log.add_reminders(connection, every=timedelta(0), timezone=ZONE)
        problems = send_all(connect, receiver).problems
        assert len(problems) == 1
    record(connection, seen(2, name="other"), seen(3, failing=False))
    send_all(connect, receiver)
    (state,) = receiver_registry.receiver_states(connection)
    assert (state.failures, state.waiting) == (4, 3)
    assert state.last_error
    hook.accepts = True
    assert send_all(connect, receiver) == DeliveryResult(3, ())
    assert hook.titles == [
        "NotaFlow: check rate of daily fails",
        "NotaFlow: check other of daily fails",
        "NotaFlow: check rate of daily no longer fails",
    ]
    (state,) = receiver_registry.receiver_states(connection)
    assert (state.failures, state.waiting, state.last_error) == (0, 0, None)


def test_receiver_that_failed_is_not_tried_again_at_once(
    connection: Connection, connect: Connect, hook: Webhook
) -> None:
    receiver = Receiver(hook.url)
    receiver_registry.register_receivers(connection, [receiver])
    hook.accepts = False
    record(connection, seen(1))
    for _ in range(3):
        send_all(connect, receiver, base_seconds=900)
    assert hook.requests == 1


def test_wrong_unavailable_or_hanging_receivers_delay_no_other(
    connection: Connection, connect: Connect, hook: Webhook
) -> None:
    with webhook() as hanging, smtp_server() as box, ThreadPoolExecutor(max_workers=1) as thread:
        hanging.hangs_seconds = HANG_SECONDS
        good = [
            Receiver(hook.url),
            Receiver(f"mailto://u:p@127.0.0.1:{box.port}?from=ocr@notaflow.test&to=clerk@notaflow.test"),
        ]
        bad = [Receiver("nonsense://x"), Receiver(f"json://127.0.0.1:{free_port()}/"), Receiver(hanging.url)]
        receiver_registry.register_receivers(connection, [*bad, *good])
        record(connection, seen(1), seen(2, name="other"))
        delivering = thread.submit(
            deliver, connect, [*bad, *good], budget_seconds=HANG_SECONDS, send_seconds=HANG_SECONDS
        )
        wait_until(lambda: len(hook.messages) == len(box.mails) == 2 and hanging.requests == 1)
        assert not delivering.done()
        hanging.accepts = False
        hanging.woken.set()
        done = delivering.result()
    assert len(done.problems) == 3
    assert done.messages == 4
    assert waiting(connection) == 6


def test_receiver_that_hangs_is_given_up_and_may_have_the_message(
    connection: Connection, connect: Connect, hook: Webhook
) -> None:
    hook.hangs_seconds = HANG_SECONDS
    receiver = Receiver(hook.url)
    receiver_registry.register_receivers(connection, [receiver])
    record(connection, seen(1))
    done = deliver(connect, [receiver], budget_seconds=HANG_SECONDS, send_seconds=1, base_seconds=0)
    assert (done.messages, len(done.problems)) == (0, 1)
    held = "SELECT FROM ocr_alert_delivery WHERE delivered_at IS NULL AND claimed_until IS NOT NULL"
    assert connection.execute(held).rowcount == 1, "until its claim expires it is not sent again"


def test_killed_sender_causes_one_duplicate_with_the_same_id_and_a_note(
    connection: Connection, connect: Connect, hook: Webhook
) -> None:
    receiver = Receiver(hook.url)
    receiver_registry.register_receivers(connection, [receiver])
    record(connection, seen(1), seen(2, failing=False))
    delivery = outbox.claim_delivery(connection, receiver, lease=timedelta(minutes=1))
    assert delivery is not None
    send(receiver, MessageText(delivery.subject, delivery.body), uid=delivery.uid, seconds=HANG_SECONDS)
    # the sender is killed here: until its claim expires no message is sent, nor any later one
    assert send_all(connect, receiver) == DeliveryResult(0, ())
    connection.execute(
        "UPDATE ocr_alert_delivery SET claimed_until = clock_timestamp() WHERE claimed_until IS NOT NULL"
    )
    assert send_all(connect, receiver) == DeliveryResult(2, ())
    first, again, end = hook.messages
    assert first["title"] == again["title"]
    assert first["headers"]["Idempotency-Key"] == again["headers"]["Idempotency-Key"]
    assert POSSIBLE_DUPLICATE in again["message"]
    assert POSSIBLE_DUPLICATE not in first["message"] + end["message"]
    assert send_all(connect, receiver) == DeliveryResult(0, ())


def test_two_senders_at_once_send_nothing_twice(connection: Connection, connect: Connect, hook: Webhook) -> None:
    receiver = Receiver(hook.url)
    receiver_registry.register_receivers(connection, [receiver])
    record(connection, *(seen(1, name=str(number)) for number in range(20)))
    # the same receiver twice: two threads with two connections
    assert send_all(connect, receiver, receiver, receiver).problems == ()
    while waiting(connection):
        send_all(connect, receiver)
    assert sorted(hook.titles) == sorted({*hook.titles})
    assert len(hook.titles) == 20


def test_message_that_is_always_refused_does_not_block_the_others(
    connection: Connection, connect: Connect, hook: Webhook
) -> None:
    receiver = Receiver(hook.url)
    receiver_registry.register_receivers(connection, [receiver])
    hook.refuses = "poison"
    record(connection, seen(1, name="poison"), seen(2, name="good"))
    for _ in range(outbox.MAX_BLOCKING_ATTEMPTS):
        assert send_all(connect, receiver).messages == 0
    assert send_all(connect, receiver).messages == 1
    assert hook.titles == ["NotaFlow: check good of daily fails"]
    hook.refuses = None
    assert send_all(connect, receiver).messages == 1, "and it is not given up"


def test_new_receiver_gets_open_conditions_and_no_ended_ones(
    connection: Connection, connect: Connect, hook: Webhook
) -> None:
    record(connection, seen(1, name="over"), seen(2, name="over", failing=False), seen(3, name="open"))
    receiver = Receiver(hook.url)
    receiver_registry.register_receivers(connection, [receiver])
    receiver_registry.register_receivers(connection, [receiver])
    send_all(connect, receiver)
    assert hook.titles == ["NotaFlow: check open of daily fails"]


def test_receiver_with_new_password_gets_undelivered_messages_of_the_old(
    connection: Connection, connect: Connect, hook: Webhook
) -> None:
    old, other = Receiver(f"json://u:wrong@127.0.0.1:{hook.port}/"), Receiver(hook.url)
    receiver_registry.register_receivers(connection, [old, other])
    record(connection, seen(1), seen(2, failing=False))
    send_all(connect, other)
    assert len(hook.messages) == 2
    new = Receiver(f"json://u:right@127.0.0.1:{hook.port}/")
    receiver_registry.register_receivers(connection, [new, other])
    assert waiting(connection) == 2, "somebody else may still be configured with the old one"
    connection.execute(
        "UPDATE ocr_alert_receiver SET configured_at = configured_at - interval '1 hour', "
        "enrolled_at = enrolled_at - interval '1 hour' WHERE receiver = %s",
        [old.key],
    )
    receiver_registry.register_receivers(connection, [new, other])
    send_all(connect, new, other)
    assert len(hook.messages) == 4
    assert {one.receiver for one in receiver_registry.receiver_states(connection)} == {new.key, other.key}


def test_messages_and_position_of_events_are_one_transaction(connection: Connection, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as dying:
        dying.execute("CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'power cut'; END $$")
        dying.execute("CREATE TRIGGER die BEFORE INSERT ON ocr_alert_position FOR EACH ROW EXECUTE FUNCTION die()")
        with pytest.raises(psycopg.errors.RaiseException):
            condition_log.record_observations(dying, [seen(1)], timezone=ZONE, positions={"dagster": 7})
        dying.execute("DROP TRIGGER die ON ocr_alert_position")
    assert condition_log.open_conditions(connection) == []
    assert condition_log.read_position(connection) == {}
    condition_log.record_observations(connection, [seen(1)], timezone=ZONE, positions={"dagster": 7})
    assert condition_log.read_position(connection) == {"dagster": 7}
    assert len(condition_log.open_conditions(connection)) == 1


def test_condition_that_nothing_observes_any_more_can_be_closed(connection: Connection) -> None:
    record(connection, seen(1))
    assert condition_log.close_condition(connection, "check:daily:rate")
    assert not condition_log.close_condition(connection, "check:daily:rate")
    assert condition_log.open_conditions(connection) == []
    assert record(connection, seen(2)) == [MessageKind.START]


def test_message_explains_each_kind_of_condition_in_french() -> None:
    for key, expected in (
        ("check:extraction_queue:stuck_documents", "`notaflow recover`"),
        ("check:ocr_daily_failure_rate:daily_tables_reconciled:2026-03-07", "Calculez de nouveau"),
        ("job:ocr_job", "exécution de ocr_job"),
        ("database", "NOTAFLOW_DATABASE_URL"),
    ):
        assert expected in french.explain(key, MessageKind.START)
        assert "plus en échec" in french.explain(key, MessageKind.END)
