"""Defaults of a database or a role, such as those of another installation, change nothing about claims and texts."""

from dataclasses import replace
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict

from notaflow_pipeline.job_queue.claiming import outcomes
from notaflow_pipeline.job_queue.database.connections import connect, open_pool
from notaflow_pipeline.job_queue.database.sessions import short_transaction
from notaflow_pipeline.job_queue.model import Recording
from notaflow_pipeline.job_queue.queries import attempts_of_document, text_of
from notaflow_pipeline.job_queue.schema.migrate import migrate
from notaflow_pipeline_tests.testing import least_privilege
from notaflow_pipeline_tests.testing.job_queue import READING, add_document, claim_one

pytestmark = [pytest.mark.owner, pytest.mark.direct]


def set_default(url: str, name: str, value: str) -> None:
    database = str(conninfo_to_dict(url)["dbname"])
    with psycopg.connect(url, autocommit=True) as one:
        statement: LiteralString = "ALTER DATABASE {} SET {} = {}"
        one.execute(sql.SQL(statement).format(sql.Identifier(database), sql.SQL(name), sql.Literal(value)))


@pytest.mark.parametrize("style", ["German, DMY", "SQL, DMY", "Postgres, MDY"])
def test_times_are_read_whatever_the_style_of_dates(empty_database_url: str, style: str) -> None:
    set_default(empty_database_url, "DateStyle", style)
    migrate(empty_database_url, sources=["index"])
    migrate(empty_database_url, sources=["index"])
    for limited in (True, False):
        with connect(empty_database_url, limited=limited) as connection:
            add_document(connection)
            held = claim_one(connection)
            [attempt] = attempts_of_document(connection, held.document_id)
            assert attempt.claimed_at < attempt.lease_expires_at


def test_text_is_stored_whatever_the_encoding_of_the_role(database_url: str) -> None:
    set_default(database_url, "client_encoding", "LATIN1")
    reading = replace(READING, text="--- Page 1 ---\nœuvre à 75 000,00 $ — « lot »")
    with open_pool(database_url) as pool, pool.connection() as connection:
        key = add_document(connection)
        held = claim_one(connection)
        assert outcomes.record_texts(connection, [(held, reading)]) == {held.token: Recording.RECORDED}
        assert text_of(connection, key) == reading.text


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_isolation_is_read_committed_whatever_the_default(database_url: str, level: str) -> None:
    set_default(database_url, "default_transaction_isolation", level)

    def isolation(connection: Connection) -> object:
        return connection.execute("SHOW transaction_isolation").fetchone()

    with open_pool(database_url) as pool, pool.connection() as connection:
        assert isolation(connection) == ("read committed",)
        with short_transaction(connection):
            assert isolation(connection) == ("read committed",)


def test_worker_sees_rows_whatever_the_default_of_row_security(connection: Connection, database_url: str) -> None:
    least_privilege.prepare(database_url)
    set_default(database_url, "row_security", "off")
    add_document(connection)
    with connect(least_privilege.as_worker(database_url)) as worker:
        assert claim_one(worker)


def test_session_is_not_ended_by_a_limit_of_the_role(database_url: str) -> None:
    with connect(database_url) as connection:
        found = "SELECT name FROM pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout')"
        names = [name for (name,) in connection.execute(found)]
    assert names, "PostgreSQL 14 has one, 17 both"
    for name in names:
        set_default(database_url, name, "1h")
    with connect(database_url) as connection:
        for name in names:
            assert connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone() == ("0",)
