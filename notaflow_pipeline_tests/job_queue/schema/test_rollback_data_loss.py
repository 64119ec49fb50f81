"""The data that a rollback would delete is counted before anything is changed."""

from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection, sql

from notaflow_pipeline.job_queue.schema.migrate import MigrationFailed, find_data_loss, migrate, migrate_down
from notaflow_pipeline.job_queue.schema.rollback_data_loss import DataLoss
from notaflow_pipeline_tests.job_queue.schema.databases import CATALOG
from notaflow_pipeline_tests.testing.job_queue import READING, add_document, claim_one, everything, succeed

pytestmark = [pytest.mark.owner, pytest.mark.direct]


def test_rollback_of_a_fresh_database_loses_no_data(database_url: str) -> None:
    assert find_data_loss(database_url, to=0) == []


def test_rows_of_tables_and_values_of_columns_are_counted(connection: Connection, database_url: str) -> None:
    for _ in range(3):
        add_document(connection)
        succeed(connection, claim_one(connection), READING)
    add_document(connection, ocr_priority=1)
    connection.execute(
        "INSERT INTO ocr_round (queue_id, sent_at, attempts_before) VALUES (gen_random_uuid(), now(), 3)"
    )
    connection.execute("INSERT INTO ocr_pause (since, reason) VALUES (now(), 'x')")
    connection.execute("INSERT INTO ocr_alert_position VALUES ('runs', 7)")
    before = everything(connection)
    columns = ("ocr_attempts", "ocr_completed_at", "ocr_priority", "ocr_started_at", "ocr_worker_id")
    assert find_data_loss(database_url, to=4) == [
        DataLoss("extraction_queue", columns, 4),
        DataLoss("ocr_attempt", (), 3),
        DataLoss("ocr_alert_position", (), 1),
        DataLoss("ocr_pause", (), 1),
        DataLoss("ocr_round", (), 1),
    ]
    assert find_data_loss(database_url, to=16) == [
        DataLoss("ocr_attempt", ("coverage", "ready_at"), 3),
        DataLoss("ocr_alert_position", (), 1),
    ]
    assert find_data_loss(database_url, to=18) == [DataLoss("ocr_attempt", ("coverage",), 3)]
    assert find_data_loss(database_url, to=23) == []
    assert everything(connection) == before
    assert str(DataLoss("ocr_attempt", (), 34_000)) == "34,000 rows of ocr_attempt"


def test_every_drop_of_every_rollback_is_counted(connection: Connection, database_url: str) -> None:
    """Whatever disappears on the way back held data that was counted; a row in every table and column shows it."""
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname ~ '^ocr_'"
    ).fetchall()
    columns = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'extraction_queue'::regclass AND attname ~ '^ocr_'"
    ).fetchall()
    connection.execute("SET session_replication_role = replica")
    for (table,) in tables:
        connection.execute(_fill(connection, table))
    key = add_document(connection)
    for (column,) in columns:
        connection.execute(_set(connection, column), [key])
    losses = {one.table: set(one.columns) for one in find_data_loss(database_url, to=4)}
    assert losses.keys() == {"extraction_queue", *(table for (table,) in tables)} - {"ocr_source"}
    assert losses["extraction_queue"] == {column for (column,) in columns}


VALUES: dict[str, LiteralString] = {
    "integer": "7",
    "smallint": "7",
    "bigint": "7",
    "real": "7",
    "double precision": "7",
    "boolean": "TRUE",
    "text": "'x'",
    "uuid": "gen_random_uuid()",
    "bytea": "'x'",
    "jsonb": "'{}'",
    "date": "'2026-01-05'",
    "timestamp with time zone": "'2026-01-05 12:00Z'",
}

_TYPES = """
SELECT attname, format_type(atttypid, atttypmod)
FROM pg_attribute
WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped AND attnotnull
"""


def _fill(connection: Connection, table: str) -> sql.Composed:
    """Insert a row, with what must not be NULL."""
    wanted: dict[str, str] = dict(connection.execute(_TYPES, {"table": table}).fetchall())
    values = [{"kind": "'start'", "document_source": "'index'"}.get(name, VALUES[of]) for name, of in wanted.items()]
    return sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, wanted)), sql.SQL(", ").join(map(sql.SQL, values))
    )


def _set(connection: Connection, column: str) -> sql.Composed:
    kind = connection.execute(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'extraction_queue'::regclass AND attname = %s",
        [column],
    ).fetchone()
    assert kind is not None
    return sql.SQL("UPDATE extraction_queue SET {} = {} WHERE id = %s").format(
        sql.Identifier(column), sql.SQL(VALUES[kind[0]])
    )


# --- statuses of NotaFlow's that are otherwise than ours

STATUSES = [
    "CREATE TABLE extraction_status (id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text NOT NULL)",
    "CREATE TABLE extraction_status (id serial PRIMARY KEY, name text NOT NULL UNIQUE)",
    "CREATE TABLE extraction_status (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text)",
    "CREATE TABLE extraction_status (id integer PRIMARY KEY, name text, made_at timestamptz NOT NULL DEFAULT now())",
]

NAMES = ("En attente", "En traitement", "Complété", "Erreur", "Extraction Complété")


def notaflow(url: str, statuses: str, names: tuple[str, ...] = NAMES) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statuses.encode())
        numbered = connection.execute(
            "SELECT attidentity <> '' OR atthasdef FROM pg_attribute "
            "WHERE attrelid = 'extraction_status'::regclass AND attname = 'id'"
        ).fetchone()
        for number, name in enumerate(names, start=1):
            if numbered == (True,):
                connection.execute("INSERT INTO extraction_status (name) VALUES (%s)", [name])
            else:
                connection.execute("INSERT INTO extraction_status (id, name) VALUES (%s, %s)", [number, name])


@pytest.mark.parametrize("statuses", STATUSES)
def test_status_is_added_however_its_table_numbers_rows(empty_database_url: str, statuses: str) -> None:
    notaflow(empty_database_url, statuses)
    for _ in range(2):
        migrate(empty_database_url, sources=["index"])
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            found = connection.execute("SELECT id, name FROM extraction_status ORDER BY id").fetchall()
            assert found == [*enumerate(NAMES, start=1), (6, "OCR en traitement")]
        migrate_down(empty_database_url, to=4)
    migrate(empty_database_url, sources=["index"])
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        if "serial" in statuses or "IDENTITY" in statuses:
            connection.execute("INSERT INTO extraction_status (name) VALUES ('Archivé')")
            assert connection.execute("SELECT id FROM extraction_status WHERE name = 'Archivé'").fetchone() == (7,)


@pytest.mark.parametrize(
    ("statuses", "names", "reason"),
    [
        (
            "CREATE TABLE extraction_status (id integer PRIMARY KEY, name text, code text DEFAULT 'x')",
            (),
            r"needs a value for code, label, which is not known here: add the row",
        ),
        (STATUSES[1], (*NAMES, "Archivé"), r'6 already means "Archivé"'),
        (STATUSES[1], (*NAMES, "Archivé", "OCR en traitement"), r'6 already means "Archivé"'),
        (STATUSES[3], ("OCR en traitement",), r'has "OCR en traitement" as 1 already; OCR tracking needs it as 6'),
    ],
)
def test_status_that_cannot_be_added_is_explained(
    empty_database_url: str, statuses: str, names: tuple[str, ...], reason: str
) -> None:
    notaflow(empty_database_url, statuses, names)
    if "code" in statuses:
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE extraction_status ADD label text NOT NULL, ALTER code SET NOT NULL")
            connection.execute("ALTER TABLE extraction_status ALTER code DROP DEFAULT")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        before = connection.execute("SELECT * FROM extraction_status").fetchall()
        with pytest.raises(MigrationFailed, match=f"005_add_ocr_tracking failed: .*{reason}"):
            migrate(empty_database_url, sources=["index"])
        assert connection.execute("SELECT * FROM extraction_status").fetchall() == before
        assert not [one for one in connection.execute(CATALOG).fetchall() if "ocr_worker_id" in str(one)]
