"""Changes many rows in chunks, each in a short transaction, so that no statement's duration depends on the queue's length.

A row that the database refuses to change (because of a trigger or constraint of another program) is found by bisecting its
chunk and is not changed; the other rows are.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString, TypeVar
from uuid import UUID

import psycopg
from psycopg import Connection, sql

from notaflow_pipeline.job_queue.database.foreign_triggers import is_explained, is_refused_row
from notaflow_pipeline.job_queue.database.sessions import long_scan, short_transaction
from notaflow_pipeline.job_queue.database.transient import is_transient
from notaflow_pipeline.plurals import count_of

CHUNK_ROWS = 1000
"""Rows of one transaction; it takes tens of milliseconds."""

MAX_REFUSALS_IN_SUCCESSION = 20
"""After so many refused rows in a row the error is raised: the rows are not its cause."""

SESSION_SQLSTATES = ("25", "42", "55P03")
"""SQLSTATEs, or their classes, that no single row causes: a read-only server, a missing privilege, a lock timeout. Locked
rows are skipped, so the lock is on a table, and each half of the chunk would wait for it again."""

DROPPED = "a trigger, rule or policy of another program drops or changes the update"

Row = TypeVar("Row")

Key = TypeVar("Key")
Result = TypeVar("Result")


class UpdateDropped(psycopg.errors.IntegrityConstraintViolation):
    """An update did not change a row that it had locked."""

    def __init__(self) -> None:
        super().__init__(DROPPED)


def require_updated(updated: int, locked: int) -> None:
    """Raise `UpdateDropped` unless an update changed all rows that were locked for it."""
    if updated < locked:
        raise UpdateDropped


@dataclass
class Refusals:
    """Counts the rows that the database refused to change, with the last reason, which contains no values of a row."""

    keys: list[Any] = field(default_factory=list)
    in_succession: int = 0
    reason: str = ""
    max_in_succession: int = MAX_REFUSALS_IN_SUCCESSION

    @property
    def rows(self) -> int:
        """How many rows were refused."""
        return len(self.keys)

    def note(self, keys: Collection[Any], reason: str) -> None:
        """Count rows that were not changed although no statement failed."""
        if keys:
            self.keys.extend(keys)
            self.reason = reason

    def describe(self) -> str:
        """Return a sentence for people; empty if no row was refused."""
        return f"the database refused to change {count_of(self.rows, 'row')} ({self.reason})" if self.rows else ""


@dataclass(frozen=True)
class ChangeResult:
    """How many rows were changed, and a sentence about those that the database refused to change."""

    rows: int
    refused: str = ""


def describe_error(error: psycopg.Error) -> str:
    """Return the class and SQLSTATE of an error without its message, which can contain values of a row.

    Only what PostgreSQL does not support, such as a statement of ours on a table with rules, is said in its own words.
    """
    reason = f": {error.diag.message_primary}" if isinstance(error, psycopg.errors.FeatureNotSupported) else ""
    return f"{type(error).__name__}, SQLSTATE {error.sqlstate}{reason}"


def describe_refusal(error: psycopg.Error) -> str:
    """Return class and SQLSTATE of an error with the constraint, the policy, or the trigger function that refused the row."""
    if is_explained(error):
        return str(error)
    if _is_dropped_update(error):
        return DROPPED
    if is_refused_row(error):
        return f"{describe_error(error)}, a row-level security policy"
    constraint = f", constraint {error.diag.constraint_name}" if error.diag.constraint_name else ""
    return describe_error(error) + constraint


# statements on a claim have these columns NULL for a row that was not updated
def _is_dropped_update(error: psycopg.Error) -> bool:
    return isinstance(error, UpdateDropped) or (
        error.diag.table_name == "ocr_attempt"
        and (error.diag.constraint_name or error.diag.column_name)
        in {"id", "queue_id", "ocr_attempt_finished_with_outcome"}
    )


def is_refusal(connection: Connection, error: psycopg.Error) -> bool:
    """Whether the database permanently refuses a statement, perhaps because of one of its rows."""
    return not is_transient(error) and _may_be_about_row(connection, error)


def _may_be_about_row(connection: Connection, error: psycopg.Error) -> bool:
    if connection.closed:
        return False
    return is_refused_row(error) or not (error.sqlstate or "").startswith(SESSION_SQLSTATES)


def iterate_chunks(
    connection: Connection, statement: LiteralString | sql.SQL | sql.Composed, arguments: Mapping[str, object]
) -> Iterator[list[UUID]]:
    """Yield the ids that a statement finds, at most `CHUNK_ROWS` at a time, each chunk after the previous one.

    Args:
        connection: outside any transaction.
        statement: returns ids and, as text, the sort key before the id; takes `rows` (how many), and `after` and
            `after_place`, the last row of the previous chunk (NULL for the first).
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
    connection: Connection, ids: Sequence[Key], change: Callable[[Sequence[Key]], list[Row]], refusals: Refusals
) -> list[Row]:
    """Change rows in one transaction, or in several smaller ones where the database refuses; return what was changed.

    Args:
        connection: outside any transaction.
        ids: keys of the rows.
        change: changes those rows that still need it, and returns a value for each.
        refusals: counts the rows that could not be changed.

    Raises:
        psycopg.Error: the connection is lost, or the rows are not the cause.
    """
    if not ids:
        return []
    try:
        with short_transaction(connection):
            changed = change(ids)
    except psycopg.Error as error:
        if not _may_be_about_row(connection, error):
            raise
        if len(ids) == 1:
            _note_refusal(ids[0], error, refusals)
            return []
    else:
        refusals.in_succession = 0
        return changed
    half = len(ids) // 2
    return [
        *change_rows(connection, ids[:half], change, refusals),
        *change_rows(connection, ids[half:], change, refusals),
    ]


def change_at_once(
    connection: Connection, change: Callable[[], Result], change_in_parts: Callable[[], Result]
) -> Result:
    """Change rows with one statement, or in parts if the database refuses that, perhaps because of a single row."""
    try:
        return change()
    except psycopg.Error as error:
        if not is_refusal(connection, error):
            raise
    return change_in_parts()


def change_all_possible(
    connection: Connection,
    change_all: Callable[[], list[Row]],
    find: Callable[[], Sequence[Key]],
    change: Callable[[Sequence[Key]], list[Row]],
) -> tuple[list[Row], Refusals]:
    """Call `change_all`; if the database refuses that, call `change` for parts of the rows that `find` returns."""
    refusals = Refusals()

    def change_in_parts() -> list[Row]:
        keys = find()
        refusals.max_in_succession = len(keys) + 1
        return change_rows(connection, keys, change, refusals)

    return change_at_once(connection, change_all, change_in_parts), refusals


def _note_refusal(key: object, error: psycopg.Error, refusals: Refusals) -> None:
    refusals.keys.append(key)
    refusals.in_succession += 1
    refusals.reason = describe_refusal(error)
    if refusals.in_succession >= refusals.max_in_succession:
        raise error
