"""All objects of this project are in the schema of extraction_queue, with every search_path of the login."""

from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import scalar_row

from notaflow_pipeline.job_queue.database.connections import connect, open_pool
from notaflow_pipeline.job_queue.database.search_path import queue_schema
from notaflow_pipeline.job_queue.database.sessions import short_transaction
from notaflow_pipeline.job_queue.maintenance.reread import request_reread
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch, find_schema_differences, require_schema
from notaflow_pipeline.job_queue.schema.columns import TABLE_COLUMNS
from notaflow_pipeline.job_queue.schema.migrate import MigrationFailed, migrate, migrate_down, migration_ids
from notaflow_pipeline.job_queue.schema.misplaced_objects import UNLISTED_COLUMNS
from notaflow_pipeline.job_queue.schema.roles import WORKER, grant_roles
from notaflow_pipeline_tests.job_queue.schema.databases import NOTAFLOW_TABLES
from notaflow_pipeline_tests.testing.job_queue import (
    READING,
    add_document,
    claim_one,
    document,
    expire,
    recover_all,
    repaired,
    succeed,
)
from notaflow_pipeline_tests.testing.logins import PASSWORD, logged_in

pytestmark = [pytest.mark.owner, pytest.mark.direct]

# schema and name of everything that this project makes, indexes and constraints aside
_OURS = """
SELECT n.nspname, c.relname
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname ~ '^(ocr_|_?yoyo_)'
  AND c.relkind IN ('r', 'v', 'S')
UNION ALL
SELECT n.nspname, p.proname
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.proname ~ '^ocr_'
"""

# what migrating under `public, app` left before the path was pinned
_SCATTER = """
SELECT format('ALTER %s public.%I SET SCHEMA elsewhere', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace
  AND relname ~ '^(ocr_|_?yoyo_)'
  AND relkind IN ('r', 'v')
UNION ALL
SELECT format('ALTER FUNCTION %s SET SCHEMA elsewhere', oid::regprocedure)
FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
"""


def set_path(url: str, path: LiteralString) -> None:
    """Let every session of this database have this search_path."""
    database = sql.Identifier(str(conninfo_to_dict(url)["dbname"]))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = {}").format(database, sql.SQL(path)))


def schemas_of_ours(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute(_OURS).fetchall()
    assert len(found) > 20
    return {schema for schema, _ in found}


def differences(url: str) -> list[str]:
    with connect(url) as connection:
        return list(find_schema_differences(connection, ["index"]))


@pytest.fixture(params=["app", "My, App"])
def queue_in_app(request: pytest.FixtureRequest, empty_database_url: str) -> str:
    """A schema with NotaFlow's tables, behind `public` in the search_path."""
    schema = sql.Identifier(request.param)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        connection.execute(sql.SQL("SET search_path = {}").format(schema))
        connection.execute(NOTAFLOW_TABLES)
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = public, {}").format(name, schema))
    return str(request.param)


@pytest.fixture
def scattered(database_url: str) -> Iterator[Connection]:
    """A database whose queue is in `public`, with everything of ours in another schema that its path names first."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA elsewhere")
        with connection.cursor(row_factory=scalar_row) as cursor:
            for statement in cursor.execute(_SCATTER).fetchall():
                connection.execute(statement)
        set_path(database_url, "elsewhere, public")
        yield connection


def read_again_and_lose_it(url: str) -> None:
    """Read a document, request another reading, and let its worker vanish: a trigger brings the old text's times back."""
    with connect(url) as connection:
        key = add_document(connection)
        connection.execute("UPDATE extraction_queue SET status_id = 1 WHERE id <> %s", [key])
        succeed(connection, claim_one(connection), READING)
        request_reread(connection, sources=["index"])
        expire(connection, claim_one(connection))
        assert recover_all(connection) != repaired()
        assert document(connection, key)["status_id"] == 5
        assert document(connection, key)["ocr_completed_at"] is not None


def test_all_objects_are_created_in_the_queues_schema(empty_database_url: str, queue_in_app: str) -> None:
    migrate(empty_database_url, sources=["index", "acte"])
    assert schemas_of_ours(empty_database_url) == {queue_in_app}
    assert differences(empty_database_url) == []
    assert migrate(empty_database_url, sources=["index", "acte"]).applied == []
    read_again_and_lose_it(empty_database_url)
    migrate_down(empty_database_url, to=4)
    migrate(empty_database_url, sources=["index"])
    assert schemas_of_ours(empty_database_url) == {queue_in_app}


def test_schema_with_the_logins_name_receives_no_objects(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(NOTAFLOW_TABLES)
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(connection.info.user)))
    migrate(empty_database_url, sources=["index"])
    assert schemas_of_ours(empty_database_url) == {"public"}
    read_again_and_lose_it(empty_database_url)


def test_statuses_may_be_in_another_schema(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA app")
        connection.execute(NOTAFLOW_TABLES)
        connection.execute("ALTER TABLE extraction_queue SET SCHEMA app")
    set_path(empty_database_url, "public, app")
    migrate(empty_database_url, sources=["index"])
    assert schemas_of_ours(empty_database_url) == {"app"}
    assert differences(empty_database_url) == []
    read_again_and_lose_it(empty_database_url)


def test_objects_of_an_older_version_are_named_and_moved(scattered: Connection, database_url: str) -> None:
    scattered.execute("INSERT INTO elsewhere.ocr_pause (since, reason) VALUES (now(), 'kept')")
    found = differences(database_url)
    assert "table ocr_attempt is in schema elsewhere, and extraction_queue is in public" in found
    assert "view ocr_failed_jobs is in schema elsewhere, and extraction_queue is in public" in found
    assert "function ocr_keep_old_text is in schema elsewhere, and extraction_queue is in public" in found
    assert not any("missing" in one for one in found)
    with connect(database_url) as connection, pytest.raises(SchemaMismatch, match="is in schema elsewhere"):
        require_schema(connection, ["index"])
    with pytest.raises(MigrationFailed, match="run `notaflow migrate` first"):
        migrate_down(database_url, to=4)
    done = migrate(database_url, sources=["index"])
    assert set(done.repaired) == set(found)
    assert done.applied == done.remaining == []
    assert schemas_of_ours(database_url) == {"public"}
    assert differences(database_url) == []
    assert scattered.execute("SELECT reason FROM public.ocr_pause").fetchall() == [("kept",)]


def test_moved_queue_takes_our_objects_along(connection: Connection, database_url: str) -> None:
    connection.execute("CREATE SCHEMA app")
    connection.execute(
        "GRANT USAGE ON SCHEMA app TO PUBLIC"
    )  # the tables' owner is another login where there are roles
    connection.execute("ALTER TABLE extraction_queue SET SCHEMA app")
    connection.execute("ALTER TABLE extraction_status SET SCHEMA app")
    set_path(database_url, "public, app")
    assert "function ocr_keep_old_text() searches its tables in public, pg_temp, and extraction_queue is in app" in (
        differences(database_url)
    )
    migrate(database_url, sources=["index"])
    assert schemas_of_ours(database_url) == {"app"}
    assert differences(database_url) == []
    read_again_and_lose_it(database_url)


def test_tables_that_cannot_be_moved_are_named_with_what_to_do(scattered: Connection, database_url: str) -> None:
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT FROM elsewhere.ocr_round")
        with pytest.raises(MigrationFailed, match=r'ALTER TABLE "elsewhere"."ocr_round" SET SCHEMA "public"'):
            migrate(database_url, sources=["index"])
    assert schemas_of_ours(database_url) == {"elsewhere"}


def test_table_in_two_wrong_schemas_is_left_to_a_person(scattered: Connection, database_url: str) -> None:
    scattered.execute("CREATE SCHEMA copies CREATE TABLE ocr_pause (since timestamptz, reason text)")
    with pytest.raises(MigrationFailed, match=r"ocr_pause is in the schemas copies and elsewhere.*Nothing was changed"):
        migrate(database_url, sources=["index"])
    assert schemas_of_ours(database_url) == {"copies", "elsewhere"}
    scattered.execute("ALTER TABLE copies.ocr_pause RENAME TO old_pause")
    migrate(database_url, sources=["index"])
    assert differences(database_url) == []


def test_migrations_of_another_program_stay_where_they_are(scattered: Connection, database_url: str) -> None:
    scattered.execute("INSERT INTO elsewhere._yoyo_migration VALUES ('x', '001_another_program', now())")
    assert migrate(database_url, sources=["index"]).applied == migration_ids()
    assert scattered.execute("SELECT count(*) FROM elsewhere._yoyo_migration").fetchone() == (len(migration_ids()) + 1,)
    assert differences(database_url) == []


def test_tables_of_another_program_are_not_changed(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(NOTAFLOW_TABLES)
        connection.execute("CREATE SCHEMA scanner CREATE TABLE ocr_source (id integer, name text)")
        migrate(empty_database_url, sources=["index"])
        assert differences(empty_database_url) == []
        assert connection.execute("SELECT to_regclass('scanner.ocr_source')").fetchone() != (None,)
    set_path(empty_database_url, "scanner, public")
    [sentence] = differences(empty_database_url)
    assert sentence.startswith(
        "schema scanner, which this login's search_path names before public, also has a table ocr_source"
    )


def test_two_queues_in_two_schemas_are_independent(empty_database_url: str) -> None:
    migrate(empty_database_url, sources=["index", "acte"])
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA staging; SET search_path = staging")
        connection.execute(NOTAFLOW_TABLES)
        set_path(empty_database_url, "staging, public")
        migrate(empty_database_url, sources=["index", "acte"])
        assert differences(empty_database_url) == []
        connection.execute("DROP TABLE staging.ocr_pruning")
        assert differences(empty_database_url) == ["table ocr_pruning is missing"]
        migrate_down(empty_database_url, to=4)
        for relation in ("ocr_attempt", "ocr_pruning", "ocr_failed_jobs", "idx_extraction_queue_ocr_next_acte"):
            assert connection.execute("SELECT to_regclass(%s)", [f"public.{relation}"]).fetchone() != (None,)


def test_queue_outside_the_search_path_is_not_created_twice(empty_database_url: str, queue_in_app: str) -> None:
    set_path(empty_database_url, "public")
    with pytest.raises(
        MigrationFailed, match=rf"extraction_queue is in schema {queue_in_app}, which.*Nothing was changed"
    ):
        migrate(empty_database_url, sources=["index"])
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT to_regclass('public.extraction_queue')").fetchone() == (None,)
    assert any(
        one.startswith(f"extraction_queue is in schema {queue_in_app}") for one in differences(empty_database_url)
    )


def test_sessions_of_the_pool_search_the_queues_schema_first(connection: Connection, database_url: str) -> None:
    connection.execute("CREATE SCHEMA decoys CREATE TABLE ocr_attempt (id bigint)")
    set_path(database_url, "decoys, public")
    with open_pool(database_url) as pool, pool.connection() as pooled:
        assert queue_schema(pooled) == "public"
        assert pooled.execute("SHOW search_path").fetchone() == ('"public", "decoys", pg_temp',)
        add_document(pooled)
        pooled.execute("CREATE TEMPORARY TABLE extraction_queue (id uuid)")
        assert succeed(pooled, claim_one(pooled), READING)


def test_transactions_behind_a_pooler_search_the_queues_schema_first(
    connection: Connection, database_url: str, pooler_url: str
) -> None:
    connection.execute("CREATE SCHEMA decoys CREATE TABLE ocr_attempt (id bigint)")
    set_path(database_url, "decoys, public")
    add_document(connection)
    with open_pool(make_conninfo(pooler_url, dbname=connection.info.dbname)) as pool, pool.connection() as pooled:
        with short_transaction(pooled):
            assert pooled.execute("SHOW search_path").fetchone() == ('"public", "decoys", pg_temp',)
        assert pooled.execute("SHOW search_path").fetchone() == ("decoys, public",)
        assert succeed(pooled, claim_one(pooled), READING)


def test_roles_are_granted_in_the_queues_schema(empty_database_url: str, queue_in_app: str) -> None:
    migrate(empty_database_url, sources=["index"])
    for _ in range(2):
        grant_roles(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as owner:
        owner.execute(sql.SQL("UPDATE {} SET status_id = 1").format(sql.Identifier(queue_in_app, "extraction_queue")))
        with logged_in(owner, empty_database_url, WORKER) as login:
            url = make_conninfo(empty_database_url, user=login.info.user, password=PASSWORD)
            with connect(url) as worker:
                require_schema(worker, ["index"])
                add_document(owner)
                assert succeed(worker, claim_one(worker), READING)


def test_every_column_of_our_tables_is_known(connection: Connection) -> None:
    """Our tables in a wrong schema are told from those of other programs by their columns."""
    for table, columns in TABLE_COLUMNS.items():
        if table.startswith("ocr_"):
            found = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(table))).description
            assert {column.name for column in found or ()} <= {*columns, *UNLISTED_COLUMNS}
