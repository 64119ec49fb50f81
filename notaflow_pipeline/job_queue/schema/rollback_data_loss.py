"""Counts the data that rolling back migrations would delete: rows of dropped tables, and values of dropped columns."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import Connection, sql
from psycopg.rows import scalar_row

_DROPPED_TABLE = re.compile(r"^DROP TABLE IF EXISTS (\w+);", re.MULTILINE)

_ALTERED_TABLE = re.compile(r"^ALTER TABLE (\w+)\n((?:    DROP COLUMN IF EXISTS \w+[,;]\n?)+)", re.MULTILINE)

_DROPPED_COLUMN = re.compile(r"DROP COLUMN IF EXISTS (\w+)")

REBUILT = frozenset({"ocr_source"})
"""Tables whose rows `notaflow migrate` restores from the settings."""


@dataclass(frozen=True)
class DataLoss:
    """The rows of a table that would be deleted, or whose values in some columns would be."""

    table: str
    columns: tuple[str, ...]
    """Empty if the whole table is dropped."""

    rows: int

    def __str__(self) -> str:
        """Describe it in a line."""
        rows = f"{self.rows:,} {'row' if self.rows == 1 else 'rows'} of {self.table}"
        return f"{', '.join(self.columns)} of {rows}" if self.columns else rows


def count_data_loss(connection: Connection, rollbacks: Sequence[Path]) -> list[DataLoss]:
    """Return what these rollback files would delete, largest first, without empty tables and columns."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in rollbacks)
    tables = set(_DROPPED_TABLE.findall(text))
    columns: dict[str, set[str]] = {}
    for table, drops in _ALTERED_TABLE.findall(text):
        columns.setdefault(table, set()).update(_DROPPED_COLUMN.findall(drops))
    found = [_rows(connection, table) for table in sorted(tables - REBUILT)]
    found += [_values(connection, table, columns[table]) for table in sorted(columns.keys() - tables)]
    return sorted((one for one in found if one.rows), key=lambda one: -one.rows)


def _rows(connection: Connection, table: str) -> DataLoss:
    if connection.execute("SELECT to_regclass(%(table)s)", {"table": table}).fetchone() == (None,):
        return DataLoss(table, (), 0)
    return DataLoss(table, (), _count(connection, table, sql.SQL("TRUE")))


# values that equal the default were not written by a program
_COLUMNS = """
SELECT a.attname, COALESCE(pg_get_expr(d.adbin, d.adrelid), 'NULL')
FROM pg_attribute AS a
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = to_regclass(%(table)s)
  AND a.attname = ANY(%(columns)s)
  AND NOT a.attisdropped
ORDER BY a.attname
"""


def _values(connection: Connection, table: str, columns: set[str]) -> DataLoss:
    found = connection.execute(_COLUMNS, {"table": table, "columns": sorted(columns)}).fetchall()
    differ = {
        column: sql.SQL("{} IS DISTINCT FROM {}").format(sql.Identifier(column), sql.SQL(default))
        for column, default in found
    }
    held = tuple(column for column, condition in differ.items() if _count(connection, table, condition))
    if not held:
        return DataLoss(table, (), 0)
    return DataLoss(table, held, _count(connection, table, sql.SQL(" OR ").join(differ[column] for column in held)))


def _count(connection: Connection, table: str, condition: sql.Composable) -> int:
    statement = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(sql.Identifier(table), condition)
    with connection.cursor(row_factory=scalar_row) as cursor:
        rows = cursor.execute(statement).fetchone()
    assert isinstance(rows, int)  # noqa: S101 - a count
    return rows
