"""What is left when no document can be claimed and none will end by itself is described by state."""

import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.pause import pause
from notaflow_pipeline.job_queue.unfinished import describe_blocked
from notaflow_pipeline_tests.testing.job_queue import STUCK_AFTER, add_document, ago, ahead


def blocked(connection: Connection) -> str | None:
    return describe_blocked(connection, sources=["index"], stuck_after=STUCK_AFTER, exhausted_status=3)


@pytest.mark.parametrize(
    ("columns", "described"),
    [
        ({}, "1 ready (their rows are locked by other sessions)"),
        ({"status_id": 6, "ocr_started_at": ago("1 hour")}, "1 stuck (recovery could not change their rows)"),
        ({"ocr_next_attempt_at": "infinity"}, "1 backing off for more than 2 hours"),
        ({"ocr_next_attempt_at": ahead("1 hour")}, None),
        ({"status_id": 6, "ocr_started_at": ago("1 minute")}, None),
        ({"ocr_attempts": 3}, None),
    ],
    ids=["ready", "stuck", "backing off for ever", "backing off", "active", "exhausted"],
)
def test_what_will_not_end_by_itself_is_described(
    connection: Connection, columns: dict[str, object], described: str | None
) -> None:
    add_document(connection, **columns)
    assert blocked(connection) == described


def test_nothing_is_blocked_while_the_queue_is_paused(connection: Connection) -> None:
    add_document(connection)
    pause(connection, "upgrade")
    assert blocked(connection) is None


def test_one_that_will_be_tried_soon_is_waited_for(connection: Connection) -> None:
    add_document(connection, ocr_next_attempt_at="infinity")
    add_document(connection, ocr_next_attempt_at=ahead("1 hour"))
    assert blocked(connection) is None
