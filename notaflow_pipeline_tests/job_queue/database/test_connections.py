"""Connections to the database, and the one-line error when it cannot be reached."""

import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from notaflow_pipeline.job_queue.database import sessions
from notaflow_pipeline.job_queue.database.connections import (
    UNREADABLE_URL,
    DatabaseUnavailable,
    check_connection,
    connect,
    describe_database,
    open_pool,
)
from notaflow_pipeline.job_queue.database.sessions import long_scan, short_transaction
from notaflow_pipeline.job_queue.database.transient import describe_transient, is_transient
from notaflow_pipeline.job_queue.queries import count_queue
from notaflow_pipeline_tests.testing.waiting import wait_until

SECRET = "s3cret-pa55word"


def refusal(url: str) -> str:
    """The message with which every way in refuses `url`; it is one line, and never holds the password."""
    messages = []
    for way_in in (connect, open_pool):
        with pytest.raises(DatabaseUnavailable) as refused, way_in(url):
            pass
        messages.append(str(refused.value))
    with pytest.raises(DatabaseUnavailable) as refused:
        check_connection(url)
    messages.append(str(refused.value))
    assert len(set(messages)) == 1
    assert len(messages[0].splitlines()) == 1
    assert SECRET not in messages[0]
    assert SECRET not in describe_database(url)
    return messages[0]


@pytest.fixture
def closed_port() -> int:
    """A port without a server."""
    with socket.socket() as briefly:
        briefly.bind(("127.0.0.1", 0))
        return int(briefly.getsockname()[1])


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://notaflow:{SECRET}@db.example/notaflow",
        f"notaflow {SECRET}",
        f"postgresql://notaflow:{SECRET}%zz@db.example/notaflow",
        f"postgresql://notaflow:{SECRET}@db.example/notaflow?sslmood=require",
    ],
)
def test_invalid_url_is_refused_with_an_example(url: str) -> None:
    assert refusal(url) == UNREADABLE_URL
    assert "postgresql://user:password@host:5432/database" in UNREADABLE_URL
    assert describe_database(url) == "the database of NOTAFLOW_DATABASE_URL"


def test_closed_port_is_named_with_host_and_database(closed_port: int) -> None:
    url = f"postgresql://notaflow:{SECRET}@127.0.0.1:{closed_port}/registre"
    message = refusal(url)
    assert message.startswith(f"cannot use database registre at 127.0.0.1:{closed_port}: ")
    assert "Connection refused" in message
    assert message.endswith("Is it running, and is NOTAFLOW_DATABASE_URL right?")


def test_unknown_host_is_named() -> None:
    message = refusal(f"postgresql://notaflow:{SECRET}@no-such-host.invalid/registre")
    assert message.startswith("cannot use database registre at no-such-host.invalid:5432: ")


def test_missing_socket_is_named(tmp_path: Path) -> None:
    message = refusal(f"postgresql://notaflow:{SECRET}@/registre?host={tmp_path}")
    assert message.startswith(f"cannot use database registre at {tmp_path}: ")


def test_unknown_database_is_named(server_url: str) -> None:
    url = make_conninfo(server_url, dbname="no_such_database", password=SECRET)
    message = refusal(url)
    assert message.startswith("cannot use database no_such_database at ")
    assert 'database "no_such_database" does not exist' in message


def test_unknown_user_is_refused_in_one_line(server_url: str) -> None:
    assert "nobody_here" in refusal(make_conninfo(server_url, user="nobody_here", password=SECRET))


def _wait_until_refused(url: str) -> None:
    """Wait until the server has read its rules again."""

    def is_refused() -> bool:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            return True
        return False

    wait_until(is_refused)


@pytest.fixture
def user_with_a_password(server_url: str) -> Iterator[str]:
    """A user whom the server lets in with a password alone."""
    name = f"with_password_{os.getpid()}"
    with psycopg.connect(server_url, autocommit=True) as server:
        row = server.execute("SHOW hba_file").fetchone()
        assert row is not None
        rules = Path(row[0])
        if not (rules.is_file() and os.access(rules, os.W_OK)):
            pytest.skip("the server's pg_hba.conf is not within reach (NOTAFLOW_TEST_DATABASE_URL is set)")
        before = rules.read_text(encoding="utf-8")
        server.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal("the right one"))
        )
        try:
            demands = f"local all {name} scram-sha-256\nhost all {name} all scram-sha-256\n"
            rules.write_text(demands + before, encoding="utf-8")
            server.execute("SELECT pg_reload_conf()")
            _wait_until_refused(make_conninfo(server_url, user=name, password="a wrong one"))
            yield name
        finally:
            rules.write_text(before, encoding="utf-8")
            server.execute("SELECT pg_reload_conf()")
            server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_wrong_password_is_refused_without_repeating_it(server_url: str, user_with_a_password: str) -> None:
    message = refusal(make_conninfo(server_url, user=user_with_a_password, password=SECRET))
    assert f'password authentication failed for user "{user_with_a_password}"' in message
    assert f"database {conninfo_to_dict(server_url)['dbname']} at " in message
    with connect(make_conninfo(server_url, user=user_with_a_password, password="the right one")) as one:
        assert one.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://notaflow:pa@{SECRET}@127.0.0.1:1/registre",
        f"postgresql://notaflow:{SECRET}/more@127.0.0.1:1/registre",
        f"postgresql://notaflow:pa/{SECRET}@127.0.0.1:1/registre",
    ],
)
def test_password_that_is_not_percent_encoded_is_not_shown(url: str) -> None:
    refusal(url)


def test_parameter_that_is_no_number_is_refused_in_one_line(closed_port: int) -> None:
    refusal(f"postgresql://notaflow:{SECRET}@127.0.0.1:{closed_port}/registre?connect_timeout=soon")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (f"postgresql://notaflow:{SECRET}@db.example:6543/registre", "database registre at db.example:6543"),
        (f"postgresql://notaflow:{SECRET}@db.example/registre", "database registre at db.example:5432"),
        (f"postgres://notaflow:{SECRET}@db.example", "database postgres at db.example:5432"),
        (f"host=db.example dbname=registre password={SECRET}", "database registre at db.example:5432"),
        ("postgresql:///registre?host=/run/postgresql", "database registre at /run/postgresql"),
        ("postgresql:///registre", "database registre at localhost:5432"),
    ],
)
def test_database_is_named_without_user_or_password(url: str, place: str) -> None:
    assert describe_database(url) == place


@pytest.mark.direct
def test_connection_of_the_pool_that_broke_is_replaced(database_url: str) -> None:
    with open_pool(database_url, max_size=1) as pool, psycopg.connect(database_url, autocommit=True) as killer:
        with pool.connection() as one:
            broken = one.info.backend_pid
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", [broken])
        with pool.connection() as one:
            assert one.info.backend_pid != broken
            assert one.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.direct
def test_connections_say_who_they_are_and_hold_no_transaction(database_url: str) -> None:
    with open_pool(database_url) as pool, pool.connection() as one:
        assert one.autocommit
        assert one.execute("SHOW application_name").fetchone() == ("notaflow_pipeline",)
        assert one.prepare_threshold is not None, "no pooler is in between"


@pytest.mark.direct
def test_all_statements_are_limited_except_those_that_build_indexes(database_url: str) -> None:
    with open_pool(database_url) as pool, pool.connection() as pooled, connect(database_url) as single:
        for one in (pooled, single):
            assert one.execute("SHOW statement_timeout").fetchone() == ("30s",)
    with connect(database_url, limited=False) as builder:
        assert builder.execute("SHOW statement_timeout").fetchone() == ("0",)


@pytest.mark.direct
def test_reading_a_locked_queue_ends(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "STATEMENT_SECONDS", 1)
    with connect(database_url) as one, psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE extraction_queue")
        with pytest.raises(psycopg.errors.QueryCanceled):
            count_queue(one, sources=["index"], stuck_after=timedelta(minutes=10))
        holder.rollback()
        assert count_queue(one, sources=["index"], stuck_after=timedelta(minutes=10)).ready == 0


def test_evaluation_may_take_longer_than_other_statements(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "STATEMENT_SECONDS", 1)
    monkeypatch.setattr(sessions, "RESPONSE_TIMEOUT_SECONDS", 1)
    with connect(database_url) as one, one.transaction():
        with long_scan(one):
            one.execute("SELECT pg_sleep(2)")
        with pytest.raises(psycopg.OperationalError):
            one.execute("SELECT pg_sleep(3600)")


@pytest.mark.owner  # the suite's own change of role would take the server's last words, which are asserted here
def test_transaction_of_a_client_that_fell_silent_is_ended_by_the_server(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "STATEMENT_SECONDS", 1)

    def fall_silent(client: Connection) -> None:
        with short_transaction(client):
            client.execute("LOCK TABLE extraction_queue")
            with psycopg.connect(database_url, autocommit=True) as other:
                other.execute("SET lock_timeout = '20s'")
                other.execute("SELECT count(*) FROM extraction_queue")
            client.execute("SELECT 1")

    with connect(database_url) as direct, pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        fall_silent(direct)
    with connect(database_url, limited=False) as shared, pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        fall_silent(shared)


@pytest.mark.parametrize(
    ("state", "said"),
    [("53100", "the database's disk is full"), ("57P03", "the database is unavailable (CannotConnectNow)")],
)
def test_transient_errors_are_described_without_their_message(server_url: str, state: str, said: str) -> None:
    fail = f"DO $$ BEGIN RAISE EXCEPTION 'Marie Tremblay' USING ERRCODE = '{state}'; END $$"
    with psycopg.connect(server_url) as connection, pytest.raises(psycopg.Error) as raised:
        connection.execute(fail.encode())
    assert is_transient(raised.value)
    assert describe_transient(raised.value) == said
