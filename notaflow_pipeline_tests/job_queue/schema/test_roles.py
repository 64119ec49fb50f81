"""The worker, enqueuer, reader and owner have exactly their privileges, with row-level security on."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

from notaflow_pipeline.job_queue.claiming import lease_renewal, releases
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.invariants import find_violations
from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryTerms, recover
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedFilter
from notaflow_pipeline.job_queue.maintenance.reread import request_reread
from notaflow_pipeline.job_queue.maintenance.retention import prune_attempts
from notaflow_pipeline.job_queue.pause import pause, resume
from notaflow_pipeline.job_queue.schema.check import find_schema_differences
from notaflow_pipeline.job_queue.schema.migrate import MigrationFailed, MigrationResult, migrate, migrate_down
from notaflow_pipeline.job_queue.schema.roles import DAGSTER, ENQUEUER, HOUSEKEEPER, OWNER, READER, WORKER, grant_roles
from notaflow_pipeline_tests.testing.job_queue import (
    ENCRYPTED,
    READING,
    add_document,
    attempts,
    change,
    claim,
    claim_one,
    document,
    everything,
    expire,
    fail,
    recover_all,
    requeue,
    reread,
    succeed,
)
from notaflow_pipeline_tests.testing.logins import PASSWORD, logged_in

pytestmark = [pytest.mark.owner, pytest.mark.direct, pytest.mark.usefixtures("roles")]


@pytest.fixture
def reader(connection: Connection, database_url: str) -> Iterator[Connection]:
    """A login that is a reader and nothing else."""
    with logged_in(connection, database_url, READER) as one:
        yield one


def refuses(connection: Connection, statement: LiteralString) -> None:
    """The database refuses it for want of a right, and for nothing else."""
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return
    pytest.fail(f"was allowed: {statement}")


BEYOND_A_WORKER: list[LiteralString] = [
    "DELETE FROM extraction_queue",
    "DELETE FROM ocr_attempt",
    "DELETE FROM ocr_round",
    "TRUNCATE extraction_queue",
    "DROP TABLE extraction_queue",
    "DROP TABLE ocr_attempt",
    "ALTER TABLE extraction_queue DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE extraction_queue DISABLE TRIGGER ALL",
    "INSERT INTO extraction_queue (document_number) VALUES ('1')",
    "UPDATE extraction_queue SET attemtps = 0",
    "UPDATE extraction_queue SET worker_id = 'me'",
    "UPDATE extraction_queue SET supabase_path = 'actes/other.pdf'",
    "UPDATE extraction_queue SET searchable_file_content = 'x'",
    "UPDATE extraction_queue SET created_at = now()",
    "UPDATE extraction_queue SET status_id = 1",
    "UPDATE ocr_attempt SET queue_id = gen_random_uuid()",
    "UPDATE extraction_status SET name = 'x'",
    "INSERT INTO ocr_source VALUES ('acte')",
    "INSERT INTO ocr_attempts_pruned (finished_before) VALUES (now())",
    "SELECT searchable_file_content FROM extraction_queue",
    "SELECT * FROM extraction_queue",
    "SELECT * FROM auth.users",
    "SELECT * FROM dagster.runs",
    "SELECT * FROM pg_authid",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY extraction_status TO '/tmp/stolen'",
    "COPY extraction_status TO PROGRAM 'cat'",
    "CREATE TABLE mine (a integer)",
    "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "SET ROLE notaflow_owner",
]

BEYOND_A_READER: list[LiteralString] = [
    "SELECT file_content FROM extraction_queue",
    "SELECT error_message FROM extraction_queue",
    "SELECT text_sha256 FROM ocr_attempt",
    "SELECT * FROM ocr_alert_receiver",
    "UPDATE ocr_attempt SET error = ''",
    "INSERT INTO ocr_pause (since, reason) VALUES (now(), 'x')",
    "DELETE FROM ocr_daily_performance",
]


class TestWorker:
    def test_does_all_of_its_work(self, worker: Connection, connection: Connection) -> None:
        read, failed, released, lost = (add_document(connection, document_number=str(n)) for n in range(4))
        assert list(find_schema_differences(worker, ["index"])) == []
        held = {one.document_id: one for one in claim(worker, 4)}
        assert lease_renewal.renew(worker, [one.token for one in held.values()], timedelta(minutes=1)) == {
            one.token for one in held.values()
        }
        assert succeed(worker, held[read], READING)
        assert fail(worker, held[failed], ENCRYPTED)
        assert releases.release(worker, [held[released].token], reason="told to stop") == 1
        expire(connection, held[lost])
        assert recover_all(worker).expired_leases == 1
        assert document(connection, read)["file_content"] == READING.text
        ends = {key: document(connection, key)["status_id"] for key in held}
        assert ends == {read: 5, failed: 3, released: 3, lost: 3}
        assert [one.id for one in requeue(worker, ExhaustedFilter(("index",)))] == [failed]
        assert reread(worker) == [read]
        pause(worker, "why")
        assert claim(worker) == []
        assert resume(worker)
        assert {one.document_id for one in claim(worker, 4)} == {read, failed, released, lost}
        assert list(find_violations(worker, sources=["index"])) == []

    def test_old_text_keeps_its_times_when_any_login_resets_the_row(
        self, worker: Connection, connection: Connection
    ) -> None:
        """The trigger reads attempts that the resetting program cannot see."""
        key = add_document(connection)
        succeed(worker, claim_one(worker), READING)
        before = document(connection, key)
        request_reread(worker, sources=["index"])
        claim_one(worker)
        connection.execute("CREATE POLICY everybody ON extraction_queue FOR ALL TO PUBLIC USING (TRUE)")
        with logged_in(connection, worker.info.dsn) as program:
            name = sql.Identifier(program.info.user)
            connection.execute(sql.SQL("GRANT SELECT, UPDATE ON extraction_queue TO {}").format(name))
            program.execute("UPDATE extraction_queue SET status_id = 3")
        after = document(connection, key)
        assert after["status_id"] == 5
        assert [after[name] for name in TIMES] == [before[name] for name in TIMES]
        assert None not in [after[name] for name in TIMES]

    def test_can_do_nothing_else(self, worker: Connection, connection: Connection) -> None:
        connection.execute(
            "CREATE SCHEMA auth; CREATE TABLE auth.users (a integer); CREATE TABLE dagster.runs (a integer)"
        )
        add_document(connection)
        before = everything(connection)
        for statement in BEYOND_A_WORKER:
            refuses(worker, statement)
        assert everything(connection) == before


TIMES = ("ocr_started_at", "ocr_completed_at")


class TestReader:
    def test_sees_figures_and_errors(self, reader: Connection, worker: Connection, connection: Connection) -> None:
        key = add_document(connection)
        fail(worker, claim_one(worker), ENCRYPTED)
        assert reader.execute("SELECT id FROM ocr_exhausted_documents").fetchall() == [(key,)]
        shown = reader.execute("SELECT queue_id, failure_kind, error, coverage FROM ocr_attempt").fetchall()
        assert shown == [(key, ENCRYPTED.kind, ENCRYPTED.sentence, None)]
        for relation in ("ocr_ready_documents", "ocr_active_jobs", "ocr_daily_performance", "ocr_daily_failure_rate"):
            reader.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(relation)))

    def test_sees_no_text_and_changes_nothing(self, reader: Connection) -> None:
        for statement in BEYOND_A_READER:
            refuses(reader, statement)


def test_enqueuer_adds_rows_that_are_ready_and_nothing_else(connection: Connection, database_url: str) -> None:
    with logged_in(connection, database_url, ENQUEUER) as enqueuer:
        key = enqueue_document(enqueuer, NewDocument("index", "2 784 195", "index/1.pdf"))
        assert document(connection, key)["status_id"] == 3
        for statement in (
            "INSERT INTO extraction_queue (document_number, status_id) VALUES ('1', 5)",
            "INSERT INTO extraction_queue (document_number, status_id, file_content) VALUES ('1', 3, 'x')",
            "SELECT file_content FROM extraction_queue",
            "UPDATE extraction_queue SET status_id = 3",
        ):
            refuses(enqueuer, statement)


def test_housekeeper_removes_attempts_of_deleted_documents(
    connection: Connection, database_url: str, worker: Connection
) -> None:
    kept, gone = add_document(connection), add_document(connection)
    for held in claim(worker, 2):
        succeed(worker, held, READING)
    connection.execute("DELETE FROM extraction_queue WHERE id = %s", [gone])
    for one in attempts(connection):
        change(connection, "ocr_attempt", one["id"], claimed_at="2026-01-05 12:00Z", finished_at="2026-01-05 12:01Z")
    connection.execute(
        "INSERT INTO ocr_daily_failure_rate (day, document_source, attempts, attempts_failed, attempts_stuck, "
        "documents_finished, documents_exhausted) VALUES ('2026-01-05', 'all', 2, 0, 0, 2, 0)"
    )
    before = datetime(2026, 2, 1, tzinfo=UTC)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        prune_attempts(worker, before, timezone="America/Toronto")
    with logged_in(connection, database_url, HOUSEKEEPER) as housekeeper:
        assert prune_attempts(housekeeper, before, timezone="America/Toronto").attempts == 1
        refuses(housekeeper, "SELECT file_content FROM extraction_queue")
    assert [one["queue_id"] for one in attempts(connection)] == [kept]


def test_dagster_has_its_schema_and_no_other(connection: Connection, database_url: str) -> None:
    with logged_in(connection, database_url, DAGSTER) as dagster:
        dagster.execute("CREATE TABLE dagster.runs (a integer)")
        refuses(dagster, "SELECT id FROM extraction_queue")
        grant_roles(database_url)
        owner = connection.execute("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'runs'").fetchone()
        assert owner == (DAGSTER,)


def test_owner_migrates_back_and_forth_where_all_tables_are_ours(connection: Connection, database_url: str) -> None:
    with logged_in(connection, database_url, OWNER) as owner:
        connection.execute(
            sql.SQL("ALTER ROLE {} SET role TO {}").format(sql.Identifier(owner.info.user), sql.Identifier(OWNER))
        )
        url = make_conninfo(database_url, user=owner.info.user, password=PASSWORD)
        migrate_down(url, to=4)
        assert migrate(url, sources=["index", "acte"])


def test_login_without_superuser_grants_or_gets_an_error(
    connection: Connection, database_url: str, server_url: str
) -> None:
    """As on Supabase, where `postgres` may create roles, owns NotaFlow's tables and is no superuser."""
    with logged_in(connection, database_url, WORKER) as worker:
        url = make_conninfo(database_url, user=worker.info.user, password=PASSWORD)
        with pytest.raises(MigrationFailed, match=r"(permission denied|must have admin option).*may create roles"):
            grant_roles(url)
    name = f"{connection.info.dbname}_supabase"
    with logged_in(connection, database_url, extra="CREATEROLE CREATEDB BYPASSRLS") as postgres:
        for role in (OWNER, DAGSTER, WORKER, ENQUEUER, HOUSEKEEPER, READER):  # made here by somebody else
            connection.execute(
                sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(
                    sql.Identifier(role), sql.Identifier(postgres.info.user)
                )
            )
        postgres.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        url = make_conninfo(database_url, dbname=name, user=postgres.info.user, password=PASSWORD)
        migrate(url, sources=["index"])
        with psycopg.connect(url, autocommit=True) as database:
            database.execute("COMMENT ON TABLE extraction_queue IS NULL")  # NotaFlow's own
            add_document(database)
            before = everything(database)
            database.execute("ALTER TABLE extraction_queue ENABLE ROW LEVEL SECURITY")
            for _ in range(2):
                grant_roles(url)
            assert everything(database) == before
            owner = database.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'extraction_queue'").fetchone()
            assert owner == (postgres.info.user,)
            assert len(database.execute("SELECT * FROM ocr_ready_documents").fetchall()) == 1
            worker_url = make_conninfo(database_url, dbname=name)
            with logged_in(connection, worker_url, WORKER) as worker:
                assert succeed(worker, claim_one(worker), READING)
                assert recover(worker, RecoveryTerms(["index"], timedelta(minutes=10)))
            assert migrate(url, sources=["index"]) == MigrationResult()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_public_api_of_supabase_reaches_nothing_of_ours(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        for role in ("anon", "authenticated"):
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
            for things in ("TABLES", "SEQUENCES"):
                connection.execute(
                    sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {} TO {}").format(
                        sql.SQL(things), sql.Identifier(role)
                    )
                )
        migrate(empty_database_url, sources=["index"])
        open_to_all = connection.execute(
            "SELECT DISTINCT table_name FROM information_schema.role_table_grants "
            "WHERE grantee IN ('anon', 'authenticated') ORDER BY 1"
        ).fetchall()
        assert open_to_all == [("extraction_queue",), ("extraction_status",)], "NotaFlow's own are NotaFlow's to close"
