"""Adds attempts for daily tables to count: single ones with given columns, and seeded random histories."""

from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from psycopg import Connection

KINDS = ("timeout", "encrypted", "crashed", 'with "quotes", commas', "NA", "é", None)

_ADD_DOCUMENT = """
INSERT INTO extraction_queue (document_number, document_source, created_at, status_id, ocr_attempts, ocr_max_attempts)
VALUES ('1', %(document_source)s, %(created_at)s, %(status_id)s, %(ocr_attempts)s, %(ocr_max_attempts)s)
RETURNING id
"""

_ADD_ATTEMPT = """
INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at, finished_at,
                         outcome, failure_kind, pages, characters, mean_confidence, coverage, ready_at, exhausted)
VALUES (%(queue_id)s, %(attempt_number)s, %(document_source)s, 'test', %(claimed_at)s, %(claimed_at)s, %(finished_at)s,
        %(outcome)s, %(failure_kind)s, %(pages)s, %(characters)s, %(mean_confidence)s, %(coverage)s, %(ready_at)s,
        %(exhausted)s)
"""


def add_document(connection: Connection, created_at: datetime | str, **columns: object) -> UUID:
    """Add a row of the queue; return its id."""
    values = {"document_source": "index", "status_id": 3, "ocr_attempts": 0, "ocr_max_attempts": 3, **columns}
    row = connection.execute(_ADD_DOCUMENT, {"created_at": created_at, **values}).fetchone()
    assert row is not None
    assert isinstance(row[0], UUID)
    return row[0]


def add_attempt(
    connection: Connection, queue_id: UUID, claimed_at: object, finished_at: object, **columns: Any
) -> None:
    """Add an attempt: a succeeded first one of a page, but for `columns`."""
    read = columns.get("outcome", "succeeded") == "succeeded"
    values = {
        "attempt_number": 1,
        "document_source": "index",
        "outcome": "succeeded",
        "failure_kind": None if read else "timeout",
        "pages": 1 if read else None,
        "characters": 1000 if read else None,
        "mean_confidence": 90.0 if read else None,
        "coverage": 0.95 if read else None,
        "ready_at": None,
        "exhausted": None,
        **columns,
    }
    times = {"queue_id": queue_id, "claimed_at": claimed_at, "finished_at": finished_at}
    connection.execute(_ADD_ATTEMPT, values | times)


def add_history(connection: Connection, chance: Random, *, documents: int, start: datetime, hours: float) -> None:
    """Add documents, each with the attempts that chance gives it, finished and open, some recorded as before 018.

    Retries, stuck, released and superseded ones, rounds, second readings, rows that are gone; most of it within `hours` of
    `start`.
    """
    with connection.transaction():
        for _ in range(documents):
            _add_one(connection, chance, start + timedelta(hours=chance.uniform(-2, hours)))


def _add_one(connection: Connection, chance: Random, created_at: datetime) -> None:
    source = chance.choice(["index", "index", "index", "acte", None, "all"])
    maximum = chance.choice([1, 3, 3, None])
    document = add_document(connection, created_at, document_source=source, ocr_max_attempts=maximum)
    now, number = created_at, 0
    for _ in range(chance.choice([0, 1, 1, 2, 3, 6])):
        outcome = chance.choice(["succeeded", "succeeded", "failed", "stuck", "released", "superseded", None])
        ready_at = max(now, now + timedelta(seconds=chance.uniform(-60, 600)))  # with or without a backoff
        claimed_at = ready_at + timedelta(seconds=chance.choice([0, chance.expovariate(1 / 300)]))
        now = claimed_at + timedelta(seconds=chance.expovariate(1 / 90))
        number += 1
        failure = outcome in ("failed", "stuck")
        add_attempt(
            connection,
            document,
            claimed_at,
            now if outcome else None,
            attempt_number=number,
            document_source=source,
            outcome=outcome,
            failure_kind=chance.choice(KINDS) if failure else None,
            pages=chance.randint(1, 50) if outcome == "succeeded" else None,
            characters=chance.choice([0, 1_000, 2_000_000]) if outcome == "succeeded" else None,
            mean_confidence=chance.choice([None, chance.uniform(20, 99)]) if outcome == "succeeded" else None,
            coverage=chance.choice([None, 0.7, chance.uniform(0, 1)]) if outcome == "succeeded" else None,
            ready_at=chance.choice([None, ready_at]),
            exhausted=chance.choice([None, True, False]) if failure else None,
        )
        if failure and chance.random() < 0.2:
            connection.execute(
                "INSERT INTO ocr_round (queue_id, sent_at, attempts_before) VALUES (%s, %s, %s)",
                [document, now, number],
            )
        if outcome == "released":
            number -= 1
        if outcome is None:
            break
    if chance.random() < 0.1:
        connection.execute("DELETE FROM extraction_queue WHERE id = %s", [document])
    elif chance.random() < 0.5:
        connection.execute("UPDATE extraction_queue SET status_id = 5 WHERE id = %s", [document])
