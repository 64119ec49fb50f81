"""Migrations: up and down on an empty database, on NotaFlow's tables, and during writes."""

import re
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from notaflow_pipeline.job_queue.schema import migrate as migrate_module
from notaflow_pipeline.job_queue.schema.check import require_schema
from notaflow_pipeline.job_queue.schema.migrate import (
    MigrationFailed,
    MigrationResult,
    migrate,
    migrate_down,
    migration_ids,
)
from notaflow_pipeline_tests.job_queue.schema.databases import (
    CATALOG,
    DOCUMENT_INDEXES,
    differences,
    on,
    rows_without,
)
from notaflow_pipeline_tests.testing.job_queue import add_document, ago, document

DOCUMENT = Path(__file__).parents[4] / "shared" / "spec" / "ocr-job-tracking.md"

# name -> type, default, comment, as the document's table has them
DOCUMENT_COLUMNS = {
    "ocr_worker_id": ("TEXT", "NULL", "Identifier of the OCR worker processing this document"),
    "ocr_started_at": ("TIMESTAMPTZ", "NULL", "Timestamp when OCR processing began"),
    "ocr_completed_at": ("TIMESTAMPTZ", "NULL", "Timestamp when OCR processing completed successfully"),
    "ocr_attempts": ("INTEGER", "0", "Number of OCR processing attempts made"),
    "ocr_max_attempts": ("INTEGER", "3", "Maximum number of OCR attempts allowed"),
    "ocr_error": ("TEXT", "NULL", "Most recent OCR-specific error message"),
    "ocr_last_error_at": ("TIMESTAMPTZ", "NULL", "Timestamp of the most recent OCR error"),
}

# the migration of the requirements, as it may have been typed into a console
OCR_TRACKING_BY_HAND = """
INSERT INTO extraction_status VALUES (6, 'OCR en traitement');
ALTER TABLE extraction_queue
    ADD COLUMN ocr_worker_id text, ADD COLUMN ocr_started_at timestamptz, ADD COLUMN ocr_completed_at timestamptz,
    ADD COLUMN ocr_attempts integer DEFAULT 0, ADD COLUMN ocr_max_attempts integer DEFAULT 3,
    ADD COLUMN ocr_error text, ADD COLUMN ocr_last_error_at timestamptz;
CREATE INDEX idx_extraction_queue_ocr_ready ON extraction_queue (status_id, document_source, created_at, ocr_attempts)
    WHERE status_id = 3 AND document_source = 'index' AND file_content IS NULL;
CREATE INDEX idx_extraction_queue_ocr_stuck ON extraction_queue (status_id, ocr_started_at)
    WHERE status_id = 6 AND ocr_started_at IS NOT NULL;
UPDATE extraction_queue
SET ocr_worker_id = 'ocr-monitor-1', ocr_started_at = created_at, ocr_completed_at = created_at + interval '1 minute',
    ocr_attempts = 2, ocr_max_attempts = NULL, ocr_error = 'OCR processing failed: é', ocr_last_error_at = created_at,
    status_id = CASE WHEN status_id = 5 THEN 6 ELSE status_id END
WHERE document_number LIKE '%7';
"""


OUR_COLUMNS = (
    "ocr_claim_id",
    "ocr_next_attempt_at",
    "ocr_priority",
    "ocr_reread_requested_at",
    "ocr_changed_elsewhere_at",
)


# --- an empty database


def test_empty_database_gets_the_whole_schema(empty_database_url: str) -> None:
    assert migrate(empty_database_url, sources=["index"]).applied == migration_ids()
    with on(empty_database_url) as connection:
        assert differences(connection) == []
        require_schema(connection, ["index"])
        add_document(connection)


def test_url_of_several_hosts_is_migrated(empty_database_url: str) -> None:
    """As for a server with a standby; nothing listens at the first one."""
    server = conninfo_to_dict(empty_database_url)
    hosts = {"host": f"127.0.0.1,{server['host']}", "port": f"1,{server.get('port') or 5432}"}
    url = make_conninfo(empty_database_url, **hosts)
    assert migrate(url, sources=["index"]).applied == migration_ids()


@pytest.mark.owner
def test_applying_twice_applies_nothing_and_changes_nothing(database_url: str) -> None:
    with on(database_url) as connection:
        before = connection.execute(CATALOG).fetchall()
        assert migrate(database_url, sources=["index"]).applied == []
        assert connection.execute(CATALOG).fetchall() == before


def test_down_to_nothing_and_up_again_gives_the_same_schema(empty_database_url: str) -> None:
    migrate(empty_database_url, sources=["index"])
    with on(empty_database_url) as connection:
        first = connection.execute(CATALOG).fetchall()
        assert len(first) > 100
        assert migrate_down(empty_database_url, to=0) == migration_ids()[::-1]
        left = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE '%yoyo%'"
        assert connection.execute(left).fetchall() == []
        assert migrate(empty_database_url, sources=["index"]).applied == migration_ids()
        assert connection.execute(CATALOG).fetchall() == first


def test_every_step_down_can_be_taken_up_again(empty_database_url: str) -> None:
    migrate(empty_database_url, sources=["index"])
    with on(empty_database_url) as connection:
        whole = connection.execute(CATALOG).fetchall()
        for number in (12, 10, 9, 8, 7, 6, 5, 2):
            taken_back = migrate_down(empty_database_url, to=number)
            assert taken_back == [name for name in migration_ids()[::-1] if int(name[:3]) > number]
            assert migrate(empty_database_url, sources=["index"]).applied == taken_back[::-1]
            assert connection.execute(CATALOG).fetchall() == whole


def test_migrate_to_a_number_stops_there(empty_database_url: str) -> None:
    assert [name[:3] for name in migrate(empty_database_url, sources=["index"], to=5).applied] == ["001", "002", "005"]
    with on(empty_database_url) as connection:
        assert connection.execute("SELECT to_regclass('ocr_attempt')").fetchone() == (None,)
        assert "table ocr_attempt is missing" in differences(connection)
    assert migrate(empty_database_url, sources=["index"]).applied == migration_ids()[3:]


@pytest.mark.owner
def test_rollback_keeps_documents(database_url: str) -> None:
    with on(database_url) as connection:
        kept = add_document(connection)
        with pytest.raises(MigrationFailed, match="still holds rows"):
            migrate_down(database_url, to=0)
        assert document(connection, kept)["document_number"] == "2 784 195"


@pytest.mark.owner
def test_rollback_returns_documents_under_ocr_to_ready(database_url: str) -> None:
    with on(database_url) as connection:
        running = add_document(connection, status_id=6, ocr_claim_id=1, ocr_attempts=2, ocr_started_at=ago("1 minute"))
        migrate_down(database_url, to=6)
        assert document(connection, running)["status_id"] == 3
        assert document(connection, running)["ocr_attempts"] == 1


# --- to the document's letter


def test_seven_columns_have_the_document_s_types_defaults_and_comments(connection: Connection) -> None:
    found = connection.execute("""
        SELECT a.attname,
               replace(upper(format_type(a.atttypid, a.atttypmod)), 'TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ'),
               COALESCE(pg_get_expr(d.adbin, d.adrelid), 'NULL'),
               col_description(a.attrelid, a.attnum)
        FROM pg_attribute AS a
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = 'extraction_queue'::regclass AND a.attname = ANY(%s) AND NOT a.attnotnull
    """, [list(DOCUMENT_COLUMNS)])  # fmt: skip
    assert {name: tuple(rest) for name, *rest in found} == DOCUMENT_COLUMNS


def test_both_indexes_have_the_document_s_definitions(connection: Connection) -> None:
    found = connection.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        "WHERE indrelid = 'extraction_queue'::regclass AND indisvalid"
    )
    definitions: dict[str, str] = dict(found.fetchall())
    assert {name: definitions.get(name) for name in DOCUMENT_INDEXES} == DOCUMENT_INDEXES


def test_status_six_has_the_document_s_name(connection: Connection) -> None:
    names = connection.execute("SELECT name FROM extraction_status ORDER BY id").fetchall()
    assert [name for (name,) in names] == [
        "En attente",
        "En traitement",
        "Complété",
        "Erreur",
        "Extraction Complété",
        "OCR en traitement",
    ]


def test_expected_columns_are_those_of_the_document() -> None:
    if not DOCUMENT.is_file():
        pytest.skip("the document itself is not here (../shared/spec/ocr-job-tracking.md)")
    lines = re.findall(r"^\| `(ocr_\w+)` \| (\w+) \| (\w+) \| (.*?) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert {name: tuple(rest) for name, *rest in lines} == DOCUMENT_COLUMNS


# --- NotaFlow's own database


def test_rows_of_a_notaflow_database_stay_as_they_are(notaflow_url: str) -> None:
    with on(notaflow_url) as connection:
        before = rows_without(connection)
        migrate(notaflow_url, sources=["index"])
        assert rows_without(connection, *OUR_COLUMNS, *DOCUMENT_COLUMNS) == before
        assert differences(connection) == []
        fresh = connection.execute("SELECT DISTINCT ocr_attempts, ocr_max_attempts, ocr_priority FROM extraction_queue")
        assert fresh.fetchall() == [(0, 3, 0)]


def test_existing_ocr_data_survives(notaflow_url: str) -> None:
    with on(notaflow_url) as connection:
        connection.execute(OCR_TRACKING_BY_HAND)
        before = rows_without(connection)
        migrate(notaflow_url, sources=["index"])
        assert rows_without(connection, *OUR_COLUMNS) == before
        assert differences(connection) == []


def test_rollback_keeps_the_tables_and_rows_of_notaflow(notaflow_url: str) -> None:
    with on(notaflow_url) as connection:
        before = rows_without(connection)
        migrate(notaflow_url, sources=["index"])
        migrate_down(notaflow_url, to=0)
        assert rows_without(connection) == before
        migrate(notaflow_url, sources=["index"])
        assert differences(connection) == []


def test_live_writers_go_on_without_an_error(notaflow_url: str) -> None:
    finished = threading.Event()
    errors: list[Exception] = []
    inserted: list[int] = []

    def write(number: int) -> None:
        count = 0
        try:
            with on(notaflow_url) as writer:
                while not finished.is_set():
                    writer.execute(
                        "INSERT INTO extraction_queue (document_source, document_number, status_id) "
                        "VALUES ('index', 'new', 3)"
                    )
                    writer.execute(
                        "UPDATE extraction_queue SET attemtps = attemtps + 1, updated_at = now() "
                        "WHERE document_number = %s",
                        [f"2 784 {number}"],
                    )
                    writer.execute("SELECT count(*) FROM extraction_queue WHERE status_id = 3").fetchone()
                    count += 1
        except psycopg.Error as error:
            errors.append(error)
        inserted.append(count)

    writers = [threading.Thread(target=write, args=[number]) for number in range(3)]
    for writer in writers:
        writer.start()
    try:
        migrate(notaflow_url, sources=["index", "acte"])
    finally:
        finished.set()
        for writer in writers:
            writer.join()
    assert errors == []
    assert all(inserted)
    with on(notaflow_url) as connection:
        rows = connection.execute("SELECT count(*) FROM extraction_queue WHERE document_number = 'new'").fetchone()
        assert rows == (sum(inserted),)
        assert differences(connection, "index", "acte") == []


LAST = migrate_module.number_of(migration_ids()[-1])


@pytest.mark.parametrize("number", [-1, LAST + 1, 99])
def test_number_that_no_migration_has_is_refused(database_url: str, number: int) -> None:
    refused = rf"no migration {number}: they are numbered up to {LAST}; nothing was changed"
    with pytest.raises(MigrationFailed, match=refused):
        migrate(database_url, sources=["index"], to=number)
    with pytest.raises(MigrationFailed, match=refused):
        migrate_down(database_url, to=number)


# --- locks


def test_long_transaction_fails_a_migration_which_can_be_run_again(
    notaflow_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_module, "ATTEMPTS", 1)
    with on(notaflow_url) as holder, on(notaflow_url) as connection:
        before = rows_without(connection)
        with holder.transaction():
            holder.execute("SELECT count(*) FROM extraction_queue")
            with pytest.raises(
                MigrationFailed, match=r"a long transaction holds it.*pg_stat_activity.*nothing is half"
            ):
                migrate(notaflow_url, sources=["index"])
            assert rows_without(connection) == before
        assert migrate(notaflow_url, sources=["index"]).applied[0] == "005_add_ocr_tracking"
        assert differences(connection) == []


def test_long_transaction_stops_a_rollback_which_can_be_continued(empty_database_url: str) -> None:
    migrate(empty_database_url, sources=["index"])
    with on(empty_database_url) as holder:
        with holder.transaction():
            holder.execute("SELECT count(*) FROM extraction_queue")
            with pytest.raises(MigrationFailed, match=r"a long transaction holds it.*continues with this file"):
                migrate_down(empty_database_url, to=4)
        assert migrate_down(empty_database_url, to=4)[-1] == "005_add_ocr_tracking"


def test_two_migrators_at_once_both_succeed(empty_database_url: str) -> None:
    together = threading.Barrier(2)
    answers: list[list[str] | Exception] = []  # what was applied

    def run() -> None:
        together.wait()
        try:
            answers.append(migrate(empty_database_url, sources=["index"]).applied)
        except Exception as error:  # noqa: BLE001 - shown below
            answers.append(error)

    migrators = [threading.Thread(target=run) for _ in range(2)]
    for migrator in migrators:
        migrator.start()
    for migrator in migrators:
        migrator.join()
    assert sorted(answers, key=str) == [[], migration_ids()] or sorted(answers, key=str) == [migration_ids(), []]
    with on(empty_database_url) as connection:
        assert differences(connection) == []


def test_lock_of_a_killed_migrator_does_not_block(empty_database_url: str) -> None:
    with on(empty_database_url) as connection:
        connection.execute(
            "CREATE TABLE yoyo_lock (locked INT DEFAULT 1 PRIMARY KEY, ctime TIMESTAMP, pid INT NOT NULL)"
        )
        connection.execute("INSERT INTO yoyo_lock (ctime, pid) VALUES (now(), 999999)")
        assert migrate(empty_database_url, sources=["index"]).applied == migration_ids()
        connection.execute("INSERT INTO yoyo_lock (ctime, pid) VALUES (now(), 999999)")
        assert migrate_down(empty_database_url, to=9)[-1] == "010_ocr_daily_tables"


# --- sources


@pytest.mark.owner
@pytest.mark.direct  # `migrate` builds indexes in a session of its own
def test_enabling_acts_creates_their_index_and_disabling_removes_them(database_url: str) -> None:
    def enabled() -> list[Any]:
        return connection.execute("SELECT document_source FROM ocr_source ORDER BY 1").fetchall()

    with on(database_url) as connection:
        assert enabled() == [("index",)]
        assert differences(connection, "index", "acte") == ["index idx_extraction_queue_ocr_next_acte is missing"]

        assert migrate(database_url, sources=["index", "acte"]) == MigrationResult(indexed_sources=["acte"])
        assert enabled() == [("acte",), ("index",)]
        assert differences(connection, "index", "acte") == []
        definition = "SELECT pg_get_indexdef('idx_extraction_queue_ocr_next_acte'::regclass)"
        built = (
            "CREATE INDEX idx_extraction_queue_ocr_next_acte ON public.extraction_queue USING btree "
            "(ocr_priority DESC, created_at, id) WHERE ((status_id = 3) AND (document_source = 'acte'::text) "
            "AND (file_content IS NULL) AND ((ocr_attempts IS NULL) OR (ocr_attempts < ocr_max_attempts)) "
            "AND (ocr_next_attempt_at IS NULL))"
        )
        assert connection.execute(definition).fetchone() == (built,)

        migrate(database_url, sources=["index"])
        assert enabled() == [("index",)]
        assert differences(connection) == []
