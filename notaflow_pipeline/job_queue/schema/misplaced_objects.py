"""Finds and moves objects of this project that are not in the schema of extraction_queue."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg import Connection, sql
from psycopg.rows import class_row

from notaflow_pipeline.job_queue.database.search_path import login_schemas, queue_schema

UNLISTED_COLUMNS = frozenset({"only_row"})
"""Columns of this project's tables that the pipeline neither reads nor writes."""

YOYO_TABLES = ("_yoyo_migration", "_yoyo_log", "_yoyo_version", "yoyo_lock")
"""Tables in which yoyo records applied migrations."""


@dataclass(frozen=True)
class MisplacedObject:
    """An object that is not in the schema of extraction_queue."""

    kind: str
    """`table`, `view` or `function`."""

    name: str
    schema: str
    expected: str
    """The schema of extraction_queue."""

    @property
    def sentence(self) -> str:
        """What is wrong."""
        return f"{self.kind} {self.name} is in schema {self.schema}, and extraction_queue is in {self.expected}"

    @property
    def remedy(self) -> sql.Composed:
        """The statement that moves it."""
        name = sql.Identifier(self.schema, self.name) + sql.SQL("()" if self.kind == "function" else "")
        statement = sql.SQL("ALTER {} {} SET SCHEMA {}")
        return statement.format(sql.SQL(self.kind.upper()), name, sql.Identifier(self.expected))


@dataclass(frozen=True)
class _Relation:
    schema: str
    name: str
    kind: str
    columns: list[str]
    reads_queue: bool
    is_in_expected: bool


@dataclass(frozen=True)
class _Function:
    schema: str
    name: str
    path: str | None
    uses_other_schema: bool | None


@dataclass(frozen=True)
class Placement:
    """Which of our objects are in the wrong schema."""

    misplaced: list[MisplacedObject]
    """Objects in another schema than extraction_queue that are not also in its schema."""

    differences: list[str]
    """A sentence for each reason why a session finds other objects than those beside extraction_queue."""


def check_placement(
    connection: Connection, columns: Mapping[str, Collection[str]], triggers: Sequence[str], views: Sequence[str]
) -> Placement:
    """Find objects in the wrong schema.

    Args:
        connection: its search_path has the queue's schema.
        columns: names of our tables and their columns; a table of another program has other columns.
        triggers: names of our triggers, whose functions are checked.
        views: names of our views.
    """
    expected = queue_schema(connection)
    if expected is None:
        return Placement([], find_unreachable_queues(connection))
    relations = _relations_elsewhere(connection, expected, [*_own_tables(columns), *views])
    functions = _trigger_functions(connection, expected, triggers)
    misplaced = [
        *(
            MisplacedObject(r.kind, r.name, r.schema, expected)
            for r in relations
            if not r.is_in_expected and _is_ours(r, columns)
        ),
        *(MisplacedObject("function", f.name, f.schema, expected) for f in functions if f.schema != expected),
    ]
    sentences = [one.sentence for one in misplaced]
    sentences += _hiding_objects(connection, expected, [one for one in relations if one.is_in_expected])
    for one in functions:
        if one.uses_other_schema:
            sentences.append(
                f"function {one.name}() searches its tables in {one.path}, and extraction_queue is in {expected}"
            )
    return Placement(misplaced, sentences)


def _hiding_objects(connection: Connection, expected: str, duplicates: Sequence[_Relation]) -> list[str]:
    """Describe objects that sessions with the login's own path find instead of ours."""
    listed = login_schemas(connection) if duplicates else []
    before = listed[: listed.index(expected)] if expected in listed else []
    return [
        f"schema {one.schema}, which this login's search_path names before {expected}, also has a {one.kind} {one.name}: "
        f"remove or rename it, or let the path begin with {expected} (ALTER ROLE … SET search_path)"
        for one in duplicates
        if one.schema in before
    ]


def move_to_queue_schema(
    connection: Connection, misplaced: Sequence[MisplacedObject], migrations: Collection[str]
) -> None:
    """Move these objects to the queue's schema, with yoyo's tables unless they record other migrations than `migrations`."""
    for one in misplaced:
        connection.execute(one.remedy)
    for schema, expected in sorted({(one.schema, one.expected) for one in misplaced if one.kind == "table"}):
        if not _has_table(connection, expected, YOYO_TABLES[0]) and _has_only_migrations(
            connection, schema, migrations
        ):
            for table in YOYO_TABLES:
                if _has_table(connection, schema, table):
                    connection.execute(MisplacedObject("table", table, schema, expected).remedy)


def _own_tables(columns: Mapping[str, Collection[str]]) -> Iterator[str]:
    return (table for table in columns if not table.startswith("extraction_"))


# A schema with its own queue has its own objects. A view of that name is ours if it reads our queue.
_RELATIONS_ELSEWHERE = """
SELECT n.nspname AS schema,
       c.relname AS name,
       CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind,
       ARRAY(
           SELECT a.attname::text
           FROM pg_attribute AS a
           WHERE a.attrelid = c.oid
             AND a.attnum > 0
             AND NOT a.attisdropped
       ) AS columns,
       EXISTS (
           SELECT
           FROM pg_rewrite AS r
           JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
           WHERE r.ev_class = c.oid
             AND d.refobjid = to_regclass(quote_ident(%(expected)s) || '.extraction_queue')
       ) AS reads_queue,
       to_regclass(quote_ident(%(expected)s) || '.' || quote_ident(c.relname)) IS NOT NULL AS is_in_expected
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = ANY(%(names)s)
  AND c.relkind IN ('r', 'p', 'v')
  AND n.nspname <> %(expected)s
  AND n.nspname NOT LIKE 'pg\\_%%'
  AND NOT EXISTS (
      SELECT
      FROM pg_class AS q
      WHERE q.relnamespace = n.oid
        AND q.relname = 'extraction_queue'
        AND q.relkind IN ('r', 'p')
  )
ORDER BY n.nspname, c.relname
"""


def _relations_elsewhere(connection: Connection, expected: str, names: Sequence[str]) -> list[_Relation]:
    with connection.cursor(row_factory=class_row(_Relation)) as cursor:
        return cursor.execute(_RELATIONS_ELSEWHERE, {"expected": expected, "names": list(names)}).fetchall()


# a function with an empty path names no table, and one without a path uses that of its caller
_TRIGGER_FUNCTIONS = """
SELECT DISTINCT
       n.nspname AS schema,
       p.proname AS name,
       substr(setting, length('search_path=') + 1) AS path,
       setting <> 'search_path=""'
           AND NOT starts_with(setting || ',', 'search_path=' || quote_ident(%(expected)s) || ',') AS uses_other_schema
FROM pg_trigger AS t
JOIN pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_namespace AS n ON n.oid = p.pronamespace
LEFT JOIN unnest(p.proconfig) AS setting ON starts_with(setting, 'search_path=')
WHERE t.tgrelid = to_regclass(quote_ident(%(expected)s) || '.extraction_queue')
  AND t.tgname = ANY(%(triggers)s)
ORDER BY p.proname
"""


def _trigger_functions(connection: Connection, expected: str, triggers: Sequence[str]) -> list[_Function]:
    with connection.cursor(row_factory=class_row(_Function)) as cursor:
        return cursor.execute(_TRIGGER_FUNCTIONS, {"expected": expected, "triggers": list(triggers)}).fetchall()


def _is_ours(one: _Relation, columns: Mapping[str, Collection[str]]) -> bool:
    return (
        one.reads_queue if one.kind == "view" else set(one.columns) <= {*columns.get(one.name, ()), *UNLISTED_COLUMNS}
    )


_OTHER_QUEUES = """
SELECT n.nspname
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = 'extraction_queue'
  AND c.relkind IN ('r', 'p')
ORDER BY n.nspname
"""


def find_unreachable_queues(connection: Connection) -> list[str]:
    """Return a sentence for each extraction_queue in a schema that the login's search_path does not have."""
    sentence = (
        "extraction_queue is in schema {}, which this login's search_path does not name, or for which it lacks USAGE"
    )
    return [sentence.format(schema) for (schema,) in connection.execute(_OTHER_QUEUES)]


def _has_table(connection: Connection, schema: str, table: str) -> bool:
    found = connection.execute(
        "SELECT FROM pg_tables WHERE schemaname = %(schema)s AND tablename = %(table)s",
        {"schema": schema, "table": table},
    )
    return found.fetchone() is not None


def _has_only_migrations(connection: Connection, schema: str, migrations: Collection[str]) -> bool:
    if not _has_table(connection, schema, YOYO_TABLES[0]):
        return False
    known = connection.execute(
        sql.SQL("SELECT migration_id FROM {}").format(sql.Identifier(schema, YOYO_TABLES[0]))
    ).fetchall()
    return {name for (name,) in known} <= set(migrations)
