"""Differences between a database and the schema are named, and repaired by migrating again."""

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.job_queue.schema.check import SchemaMismatch, require_schema
from notaflow_pipeline.job_queue.schema.migrate import MigrationFailed, MigrationResult, migrate, migration_ids
from notaflow_pipeline_tests.job_queue.schema.databases import (
    CATALOG,
    DOCUMENT_INDEXES,
    differences,
    on,
    rows_without,
)

# --- interrupted builds


def leave_invalid(connection: Connection, name: str) -> None:
    """Leave an INVALID index of this name behind, as a concurrent build does that fails half-way."""
    for _ in range(2):
        connection.execute("INSERT INTO extraction_queue (document_number) VALUES ('twice')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(
            b"CREATE UNIQUE INDEX CONCURRENTLY " + name.encode() + b" ON extraction_queue (document_number)"
        )


def test_invalid_index_of_the_requirements_is_named_and_rebuilt(notaflow_url: str) -> None:
    name = "idx_extraction_queue_ocr_stuck"
    with on(notaflow_url) as connection:
        leave_invalid(connection, name)
        assert f"index {name} is INVALID (a concurrent build was interrupted)" in differences(connection)
        migrate(notaflow_url, sources=["index"])
        assert differences(connection) == []
        built = (
            "SELECT pg_get_indexdef(%(name)s::regclass), indisvalid FROM pg_index WHERE indexrelid = %(name)s::regclass"
        )
        assert connection.execute(built, {"name": name}).fetchall() == [(DOCUMENT_INDEXES[name], True)]


def test_invalid_claim_index_is_rebuilt(empty_database_url: str) -> None:
    migrate(empty_database_url, sources=["index"], to=7)
    with on(empty_database_url) as connection:
        leave_invalid(connection, "idx_extraction_queue_ocr_next_index")
        migrate(empty_database_url, sources=["index"])
        assert differences(connection) == []


@pytest.mark.owner
@pytest.mark.direct  # `migrate` builds indexes in a session of its own
def test_index_that_became_invalid_after_its_migration_is_rebuilt(database_url: str) -> None:
    name = "idx_extraction_queue_ocr_ready"
    with on(database_url) as connection:
        connection.execute("UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = %s::regclass", [name])
        assert differences(connection) == [f"index {name} is INVALID (a concurrent build was interrupted)"]
        migrate(database_url, sources=["index"])
        assert differences(connection) == []


# --- databases that drifted


def test_status_six_with_another_meaning_is_refused_and_nothing_is_damaged(notaflow_url: str) -> None:
    with on(notaflow_url) as connection:
        connection.execute("INSERT INTO extraction_status VALUES (6, 'Archivé')")
        before = connection.execute(CATALOG).fetchall()
        rows = rows_without(connection)
        assert "status 6 is 'Archivé' in extraction_status, not 'OCR en traitement'" in differences(connection)
        with pytest.raises(MigrationFailed, match=r'005_add_ocr_tracking failed: .*6 already means "Archivé"'):
            migrate(notaflow_url, sources=["index"])
        assert connection.execute(CATALOG).fetchall() == before
        assert rows_without(connection) == rows
        # and the operator's remedy is enough
        connection.execute("DELETE FROM extraction_status WHERE id = 6")
        assert migrate(notaflow_url, sources=["index"]).applied[0] == "005_add_ocr_tracking"
        assert differences(connection) == []


# a change of the database -> the difference that is reported
DAMAGE = [
    ("DROP TABLE ocr_attempt", "table ocr_attempt is missing"),
    ("DROP TABLE ocr_source CASCADE", "table ocr_source is missing"),
    (
        "ALTER TABLE extraction_queue DROP COLUMN ocr_claim_id CASCADE",
        "column extraction_queue.ocr_claim_id is missing",
    ),
    ("ALTER TABLE ocr_attempt DROP COLUMN run_id", "column ocr_attempt.run_id is missing"),
    (
        "ALTER TABLE extraction_queue ALTER COLUMN ocr_next_attempt_at TYPE timestamp",
        "column extraction_queue.ocr_next_attempt_at is timestamp without time zone, not timestamp with time zone",
    ),
    (
        "ALTER TABLE extraction_queue ALTER COLUMN supabase_path TYPE varchar(40)",
        "column extraction_queue.supabase_path is character varying(40), not text",
    ),
    (
        "DELETE FROM extraction_status WHERE id = 6",
        "status 6 (OCR en traitement) is missing from extraction_status",
    ),
    (
        "UPDATE extraction_status SET name = 'Archivé' WHERE id = 6",
        "status 6 is 'Archivé' in extraction_status, not 'OCR en traitement'",
    ),
    ("DROP INDEX idx_extraction_queue_ocr_stuck", "index idx_extraction_queue_ocr_stuck is missing"),
    ("DROP INDEX idx_extraction_queue_ocr_next_index", "index idx_extraction_queue_ocr_next_index is missing"),
    (
        "DROP INDEX idx_extraction_queue_ocr_active; "  # noqa: ISC004 - two statements
        "CREATE INDEX idx_extraction_queue_ocr_active ON extraction_queue (id)",
        "index idx_extraction_queue_ocr_active has another definition: "  # noqa: ISC004 - one long line
        "CREATE INDEX idx_extraction_queue_ocr_active ON public.extraction_queue USING btree (id)",
    ),
    (
        "DROP INDEX ocr_attempt_one_open",
        "index ocr_attempt_one_open is missing: one document can be claimed twice",
    ),
    (
        "ALTER TABLE extraction_queue DISABLE TRIGGER ocr_changed_elsewhere",
        "trigger ocr_changed_elsewhere on extraction_queue is missing or disabled",
    ),
    ("DROP TABLE ocr_alert_delivery", "table ocr_alert_delivery is missing"),
    ("ALTER TABLE ocr_alert_condition DROP COLUMN opened_at", "column ocr_alert_condition.opened_at is missing"),
    ("DROP VIEW ocr_exhausted_documents", "view ocr_exhausted_documents is missing"),
    ("DROP VIEW ocr_failed_jobs", "view ocr_failed_jobs is missing"),
    (
        "ALTER FUNCTION ocr_keep_old_text() SECURITY INVOKER",
        "function ocr_keep_old_text() runs with the privileges of its caller, which may not suffice",
    ),
]


def test_every_difference_is_named_in_words(connection: Connection) -> None:
    for damage, sentence in DAMAGE:
        with connection.transaction(force_rollback=True):
            connection.execute(damage.encode())
            found = differences(connection)
            assert sentence in found
            # what a dropped table or column takes with it is views, indexes and triggers
            others = [one for one in found if one != sentence and not one.startswith(("view ", "index ", "trigger "))]
            assert others == []
            with pytest.raises(SchemaMismatch, match=r"not ready for OCR: .* No row was changed"):
                require_schema(connection, ["index"])
    assert differences(connection) == []


def test_claim_index_with_another_condition_is_named(connection: Connection) -> None:
    name = "idx_extraction_queue_ocr_next_index"
    connection.execute("DROP INDEX idx_extraction_queue_ocr_next_index")
    connection.execute("""
        CREATE INDEX idx_extraction_queue_ocr_next_index ON extraction_queue (ocr_priority DESC, created_at, id)
        WHERE status_id = 3 AND document_source = 'acte' AND file_content IS NULL
          AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts)
    """)
    [difference] = differences(connection)
    assert difference.startswith(f"index {name} has another definition: CREATE INDEX {name}")


def test_index_on_open_attempts_that_is_not_unique_is_named(connection: Connection) -> None:
    connection.execute("DROP INDEX ocr_attempt_one_open")
    connection.execute("CREATE INDEX ocr_attempt_one_open ON ocr_attempt (queue_id) WHERE finished_at IS NULL")
    assert [one for one in differences(connection) if "ocr_attempt_one_open" in one]


def test_existing_column_of_another_type_is_named_after_migrating(notaflow_url: str) -> None:
    with on(notaflow_url) as connection:
        connection.execute("ALTER TABLE extraction_queue ADD COLUMN ocr_error varchar(100)")
        wrong = ["column extraction_queue.ocr_error is character varying(100), not text"]
        assert migrate(notaflow_url, sources=["index"]) == MigrationResult(migration_ids(), remaining=wrong)
        assert differences(connection) == wrong


@pytest.mark.owner
def test_dropped_column_is_restored_with_its_indexes(database_url: str) -> None:
    with on(database_url) as connection:
        connection.execute("ALTER TABLE extraction_queue DROP COLUMN ocr_priority CASCADE")
        lacking = differences(connection)
        assert len(lacking) == 3
        assert migrate(database_url, sources=["index"]) == MigrationResult(repaired=lacking)
        assert differences(connection) == []


def test_empty_database_is_refused_with_the_command_that_migrates_it(empty_database_url: str) -> None:
    with on(empty_database_url) as connection, pytest.raises(SchemaMismatch, match="`notaflow migrate` repairs it"):
        require_schema(connection, ["index"])


# --- keys


@pytest.mark.owner
@pytest.mark.direct
@pytest.mark.parametrize("table", ["extraction_queue", "ocr_attempt", "ocr_pause"])
def test_table_without_its_primary_key_is_named(database_url: str, table: str) -> None:
    with on(database_url) as connection:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey CASCADE")
        named = f"table {table} has no primary key"
        assert named in differences(connection)
        assert named in migrate(database_url, sources=["index"]).remaining


@pytest.mark.owner
@pytest.mark.direct
@pytest.mark.parametrize(
    "change", ["ALTER COLUMN id DROP IDENTITY", "RENAME TO old; CREATE TABLE ocr_attempt AS TABLE old"]
)
def test_table_without_its_sequence_is_named(database_url: str, change: str) -> None:
    with on(database_url) as connection:
        connection.execute(f"ALTER TABLE ocr_attempt {change}")
        named = "column ocr_attempt.id does not take its values from the sequence ocr_attempt_id_seq"
        assert named in differences(connection)


@pytest.mark.owner
@pytest.mark.direct
@pytest.mark.parametrize(
    "replacement",
    [
        "CREATE VIEW extraction_queue AS SELECT * FROM old",
        "CREATE TABLE extraction_queue (LIKE old) PARTITION BY LIST (document_source)",
    ],
)
def test_queue_that_is_no_ordinary_table_is_named(database_url: str, replacement: str) -> None:
    with on(database_url) as connection:
        connection.execute(f"ALTER TABLE extraction_queue RENAME TO old; {replacement}")
        with pytest.raises(SchemaMismatch, match="extraction_queue is not an ordinary table"):
            require_schema(connection, ["index"])


@pytest.mark.owner
@pytest.mark.direct
def test_table_that_inherits_from_the_queue_is_named(database_url: str) -> None:
    """Its rows would be claimed too, twice if it has copies, and a claim by another program would not end ours."""
    with on(database_url) as connection:
        connection.execute("CREATE TABLE archive () INHERITS (extraction_queue)")
        with pytest.raises(SchemaMismatch, match=r"extraction_queue is not an ordinary table.*inherits from it"):
            require_schema(connection, ["index"])
        connection.execute("DROP TABLE archive")
        require_schema(connection, ["index"])
