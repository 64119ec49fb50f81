"""Changes many rows in chunks, a short transaction each, so that no statement's length depends on the queue's.

A row that the database refuses to change (a trigger or a constraint of another program) is found by halving its chunk and is
left as it is, so that the rows beside it are changed all the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString, TypeVar
from uuid import UUID

import psycopg
from psycopg import Connection, sql

from notaflow_pipeline.job_queue.database.sessions import long_scan, short_transaction

CHUNK_ROWS = 1000
"""Rows of one transaction: tens of milliseconds, which nobody who waits for one of them notices."""

MAX_REFUSALS_IN_SUCCESSION = 20
"""After so many rows, each refused by itself, it is not the rows."""

NOT_THE_ROWS = ("25", "42", "55P03")
"""SQLSTATEs, or their classes, that say nothing of a row: what the session may not do (a read-only server, a missing
privilege), and a lock that it waited for. Locked rows are passed over, so that lock is on a table, and each half would wait
for it again."""

Row = TypeVar("Row")


@dataclass
class Refusals:
    """The rows that the database refused to change, counted, with the last reason in words that hold no row's values."""

    rows: int = 0
    in_succession: int = 0
    reason: str = ""

    def describe(self) -> str:
        """Return a sentence for people; empty when no row was refused."""
        return f"the database refused to change {self.rows} rows ({self.reason})" if self.rows else ""


@dataclass(frozen=True)
class Changed:
    """How many rows were changed, and a sentence on those that the database refused to change."""

    rows: int
    refused: str = ""


def describe_error(error: psycopg.Error) -> str:
    """Return the kind of an error without the error's own words, which can repeat a row."""
    return f"{type(error).__name__}, SQLSTATE {error.sqlstate}"


def iterate_chunks(
    connection: Connection, statement: LiteralString | sql.Composed, arguments: Mapping[str, object]
) -> Iterator[list[UUID]]:
    """Yield the ids that a statement finds, at most `CHUNK_ROWS` at a time, each chunk behind the last.

    Args:
        connection: outside any transaction.
        statement: returns ids and, as text, what they are ordered by before the id; takes `rows`, how many, and `after` and
            `after_place`, the last row of the chunk before (NULL at the beginning).
        arguments: of the statement.
    """
    after, place = None, None
    while True:
        with connection.transaction(), long_scan(connection):
            chunk = {"rows": CHUNK_ROWS, "after": after, "after_place": place}
            found = connection.execute(statement, {**arguments, **chunk}).fetchall()
        if found:
            yield [row[0] for row in found]
        if len(found) < CHUNK_ROWS:
            return
        after, place = found[-1]


def change_rows(
    connection: Connection, ids: Sequence[UUID], change: Callable[[Sequence[UUID]], list[Row]], refusals: Refusals
) -> list[Row]:
    """Change rows in one transaction, or in several smaller ones where the database refuses; return what was changed.

    Args:
        connection: outside any transaction.
        ids: the rows; none is nothing to do.
        change: changes those of these rows that it still finds to be as they must be, and returns something for each.
        refusals: is told which rows had to be left as they are.

    Raises:
        psycopg.Error: the connection is lost, or it is not the rows.
    """
    if not ids:
        return []
    try:
        with short_transaction(connection):
            changed = change(ids)
    except psycopg.Error as error:
        if connection.closed or (error.sqlstate or "").startswith(NOT_THE_ROWS):
            raise
        if len(ids) == 1:
            _note_refusal(error, refusals)
            return []
    else:
        refusals.in_succession = 0
        return changed
    half = len(ids) // 2
    return [
        *change_rows(connection, ids[:half], change, refusals),
        *change_rows(connection, ids[half:], change, refusals),
    ]


def _note_refusal(error: psycopg.Error, refusals: Refusals) -> None:
    refusals.rows += 1
    refusals.in_succession += 1
    refusals.reason = describe_error(error)
    if refusals.in_succession >= MAX_REFUSALS_IN_SUCCESSION:
        raise error
