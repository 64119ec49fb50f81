"""Adds rows of daily tables for reports: single days, or a year with weekends, a bad day and a gap."""

import math
import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg import Connection

KINDS = ("timeout", "encrypted", "corrupt", "not_found", "crashed", "engine", "too_large", "lease_expired")

_PERFORMANCE = """
INSERT INTO ocr_daily_performance
VALUES (%(day)s, %(source)s, %(read)s, %(pages)s, %(characters)s, %(avg)s, %(min)s, %(p50)s, %(p95)s, %(max)s, %(wait50)s,
        %(wait95)s, %(attempts_avg)s, %(ppm)s, %(confidence)s, %(low)s, NULL, %(coverage)s, %(gaps)s)
"""

_FAILURE_RATE = """
INSERT INTO ocr_daily_failure_rate
VALUES (%(day)s, %(source)s, %(attempts)s, %(failed)s, %(stuck)s, %(rate)s, %(read)s + %(exhausted)s, %(exhausted)s,
        %(document_rate)s, %(rate_low)s, %(rate_high)s)
"""

_BY_KIND = """
INSERT INTO ocr_daily_failures_by_kind
VALUES (%(day)s, %(source)s, %(kind)s, %(attempts)s, %(attempts)s)
"""


def add_document(connection: Connection, number: str, *, status_id: int = 5, attempts: int = 1) -> UUID:
    """Add a row; its text is only there when it is finished."""
    (one,) = connection.execute(
        "INSERT INTO extraction_queue (id, document_source, document_number, status_id, supabase_path, file_content,"
        " ocr_attempts, ocr_max_attempts) VALUES (%s, 'index', %s, %s, 'index/1.pdf', %s, %s, 3) RETURNING id",
        [uuid4(), number, status_id, "" if status_id == 5 else None, attempts],
    ).fetchall()
    return UUID(str(one[0]))


def add_attempt(connection: Connection, document: UUID, day: date, outcome: str, **more: object) -> None:
    """Add an attempt that ended at noon in Toronto."""
    kind, confidence, coverage = more.get("kind"), more.get("confidence"), more.get("coverage")
    connection.execute(
        "INSERT INTO ocr_attempt (queue_id, attempt_number, document_source, worker_id, claimed_at, lease_expires_at,"
        " finished_at, outcome, failure_kind, pages, mean_confidence, coverage) SELECT %s, 1, 'index', 'test',"
        " at - interval '20 s', at, at, %s, %s, %s, %s, %s"
        " FROM (SELECT (%s::date + time '12:00') AT TIME ZONE 'America/Toronto' AS at) AS noon",
        [document, outcome, kind, 8 if outcome == "succeeded" else None, confidence, coverage, day],
    )


def add_day(connection: Connection, day: date, *, read: int, failed: int, stuck: int = 0, source: str = "all") -> None:
    """Add a day's rows with figures that follow from these counts."""
    _insert(connection, [_figures(day, read=read, failed=failed, stuck=stuck, source=source)])


def _insert(connection: Connection, days: list[dict[str, Any]]) -> None:
    """Add the rows of many days at once, thousands for a year."""
    with connection.cursor() as cursor:
        cursor.executemany(_PERFORMANCE, days)
        cursor.executemany(_FAILURE_RATE, days)
        kinds = [{**day, "kind": kind, "attempts": count} for day in days for kind, count in _split(day["failed"])]
        if kinds:
            cursor.executemany(_BY_KIND, kinds)


def _figures(day: date, *, read: int, failed: int, stuck: int, source: str) -> dict[str, Any]:
    attempts = read + failed + stuck
    rate = (failed + stuck) / attempts if attempts else None
    low, high = _wilson(failed + stuck, attempts)
    drift = math.sin(day.toordinal() / 20)
    slow = 14 + 3 * drift + 8 * (rate or 0)
    return {
        "day": day, "source": source, "read": read, "pages": 9 * read, "characters": 9 * 1800 * read,
        "avg": slow * 1.3 if read else None, "min": slow / 4 if read else None, "p50": slow if read else None,
        "p95": slow * 3.1 if read else None, "max": slow * 5 if read else None,
        "wait50": (40 + 25 * drift + read / 10) if read else None, "wait95": (220 + 80 * drift + read / 2) if read else None,
        "attempts_avg": attempts / read if read else None, "ppm": 41 + 6 * drift if read else None,
        "confidence": 87 + 2.5 * drift - 6 * (rate or 0) if read else None, "low": read // 40,
        "coverage": 0.93 + 0.03 * drift if read else None, "gaps": read // 60,
        "attempts": attempts, "failed": failed, "stuck": stuck, "rate": rate, "exhausted": failed // 4,
        "document_rate": (failed // 4) / (read + failed // 4) if read + failed // 4 else None,
        "rate_low": low, "rate_high": high,
    }  # fmt: skip


def add_history(connection: Connection, *, until: date, days: int) -> None:
    """Add so many days up to `until`: quiet weekends, one day on which much failed, three days without a row."""
    chance = random.Random(1)
    added = []
    for day in (until - timedelta(days=n) for n in range(days)):
        ago = (until - day).days
        if 40 <= ago < 43:
            continue
        read = int(chance.gauss(60, 15)) if day.weekday() > 4 else int(chance.gauss(820, 120))
        failed = int(read * chance.uniform(0.005, 0.03)) + (read // 4 if ago == 12 else 0)
        added += [
            _figures(day, read=read, failed=failed, stuck=chance.choice((0, 0, 0, 2, 5)), source="all"),
            _figures(day, read=read - read // 8, failed=failed, stuck=0, source="index"),
            _figures(day, read=read // 8, failed=0, stuck=0, source="acte"),
        ]
    with connection.transaction():
        _insert(connection, added)


def add_documents(connection: Connection, *, until: date) -> None:
    """Add documents that fail and documents that were hard to read."""
    chance = random.Random(2)
    for number in range(12):
        kind = KINDS[number % len(KINDS)]
        state = chance.choice((3, 3, 5))
        document = add_document(connection, f"{2 + number} 784 {195 + 7 * number}", status_id=state, attempts=3)
        for back in range(1 + (12 - number) // 4):
            add_attempt(connection, document, until - timedelta(days=back), "failed", kind=kind)
    for number in range(14):
        document = add_document(connection, f"{number + 1} 358-{176 + number}")
        add_attempt(connection, document, until, "succeeded", confidence=38 + 2.3 * number, coverage=0.5 + number / 30)


def _split(count: int) -> Iterator[tuple[str, int]]:
    for rank, kind in enumerate(KINDS):
        share = count if rank == len(KINDS) - 1 else (count + 1) // 2
        if share:
            yield kind, share
        count -= share


def _wilson(failed: int, attempts: int) -> tuple[float | None, float | None]:
    if not attempts:
        return None, None
    z, rate = 1.96, failed / attempts
    middle = rate + z * z / (2 * attempts)
    spread = z * math.sqrt(rate * (1 - rate) / attempts + z * z / (4 * attempts**2))
    return max(0.0, (middle - spread) / (1 + z * z / attempts)), (middle + spread) / (1 + z * z / attempts)
