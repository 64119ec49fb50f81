"""Transient and permanent errors by SQLSTATE, as PostgreSQL and poolers raise them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import Connection

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.claiming import claims, outcomes, releases
from notaflow_pipeline.job_queue.database.connections import open_pool
from notaflow_pipeline.job_queue.database.sessions import TimeLimitedConnection
from notaflow_pipeline.job_queue.database.transient import is_transient
from notaflow_pipeline.job_queue.model import ERROR_PREFIX, Failure
from notaflow_pipeline_tests.testing.job_queue import LEASE, add_document, attempts, claim_one, document
from notaflow_pipeline_tests.testing.waiting import wait_until

TRANSIENT = [
    "08000",
    "08003",
    "08006",
    "08001",
    "08004",
    "08007",
    "08P01",
    "25006",
    "25P03",
    "25P04",
    "40000",
    "40001",
    "40003",
    "40P01",
    "53000",
    "53100",
    "53200",
    "53300",
    "53400",
    "55006",
    "55P03",
    "57000",
    "57014",
    "57P01",
    "57P02",
    "57P03",
    "57P05",
    "58000",
    "58030",
]

LASTING = [
    "22021",
    "23514",
    "25000",
    "25001",
    "25P01",
    "25P02",
    "28000",
    "28P01",
    "3D000",
    "40002",
    "42501",
    "42P01",
    "54000",
    "55000",
    "55P02",
    "55P04",
    "57P04",
    "58P01",
    "58P02",
    "58P03",
    "XX000",
    "XX001",
    "XX002",
]


@pytest.mark.parametrize(("state", "passes"), [*((one, True) for one in TRANSIENT), *((one, False) for one in LASTING)])
def test_every_condition_is_decided(server_url: str, state: str, passes: bool) -> None:
    fail = f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$"
    with psycopg.connect(server_url) as connection, pytest.raises(psycopg.Error) as raised:
        connection.execute(fail.encode())
    assert raised.value.sqlstate == state
    assert is_transient(raised.value) is passes


def test_text_that_the_driver_refuses_is_not_waited_for(server_url: str) -> None:
    with psycopg.connect(server_url) as connection, pytest.raises(psycopg.DataError) as raised:
        connection.execute("SELECT %s::text", ["a\0b"])
    assert not is_transient(raised.value)


def test_connection_that_was_cut_is_waited_for(server_url: str) -> None:
    with psycopg.connect(server_url) as connection, socket.socket(fileno=connection.fileno()) as end:
        end.shutdown(socket.SHUT_RDWR)
        with pytest.raises(psycopg.OperationalError) as raised:
            connection.execute("SELECT 1")
        end.detach()
    assert raised.value.sqlstate is None
    assert is_transient(raised.value)


def message(kind: bytes, body: bytes) -> bytes:
    """Return a message of the server's protocol."""
    return kind + (len(body) + 4).to_bytes(4, "big") + body


READY = message(b"Z", b"I")
IN_TRANSACTION = message(b"C", b"BEGIN\0") + message(b"Z", b"T")
SERVER_LOST = message(b"E", b"SFATAL\0VFATAL\0CXX000\0Mconnection to the database was lost\0\0")


@contextmanager
def pooler(*replies: bytes) -> Iterator[str]:
    """Yield the URL of what lets one client in, sends it a reply for each of its messages, and ends its session."""

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            for reply in (message(b"R", bytes(4)) + READY, *replies):
                client.recv(1024)
                client.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"postgresql://postgres@127.0.0.1:{listener.getsockname()[1]}/x?sslmode=disable&gssencmode=disable"
        thread.join()


def test_internal_error_of_a_pooler_that_lost_its_server_is_waited_for() -> None:
    with (
        pooler(SERVER_LOST) as url,
        psycopg.connect(url, autocommit=True) as one,
        pytest.raises(psycopg.Error) as raised,
    ):
        one.execute("SELECT 1")
    assert raised.value.sqlstate == "XX000"
    assert is_transient(raised.value)


def test_connection_with_an_unexpected_response_is_closed_and_waited_for() -> None:
    """PgBouncer reports a session that ended while it committed after the result of the commit."""
    twice = message(b"C", b"COMMIT\0") * 2 + READY
    with pooler(IN_TRANSACTION, twice) as url, TimeLimitedConnection.connect(url, autocommit=True) as one:
        with (
            pytest.raises(psycopg.InternalError, match="received 2 results") as raised,
            one.transaction(),
        ):
            pass
        assert one.closed
    assert is_transient(raised.value)


@pytest.mark.direct  # a pooler keeps the session, and gives it to others
def test_session_that_may_not_write_is_replaced_and_others_are_kept(database_url: str) -> None:
    with open_pool(database_url, max_size=1) as pool:
        with pool.connection() as connection:
            first = connection.info.backend_pid
            connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), pool.connection() as connection:
            add_document(connection)
        with pool.connection() as connection:
            second = connection.info.backend_pid
            add_document(connection)
        with pytest.raises(psycopg.errors.DivisionByZero), pool.connection() as connection:
            connection.execute("SELECT 1 / 0")
        with pool.connection() as connection:
            assert connection.info.backend_pid == second
    assert first != second


def test_session_that_may_not_write_in_a_transaction_is_replaced(database_url: str) -> None:
    def write_where_it_may_not(connection: Connection) -> None:
        with connection.transaction():
            connection.execute("SET TRANSACTION READ ONLY")
            add_document(connection)

    with open_pool(database_url, max_size=1) as pool:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), pool.connection() as connection:
            write_where_it_may_not(connection)
        with pool.connection() as connection:
            add_document(connection)


def test_pool_keeps_trying_to_connect_at_the_same_pace(database_url: str) -> None:
    tries: list[object] = []

    def refuse_all() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            tries.append(client.fileno())
            client.close()

    with open_pool(database_url, max_size=1) as pool, socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=refuse_all, daemon=True).start()
        port = listener.getsockname()[1]
        pool.kwargs = {"host": "127.0.0.1", "port": port, "sslmode": "disable", "gssencmode": "disable"}
        with pool.connection() as connection:
            connection.close()
        # psycopg's own pace, which doubles, needs 31 s for as many
        wait_until(lambda: len(tries) >= 6)


@pytest.mark.parametrize("odd", ["the storage said \0", "the storage said \udcff"], ids=["NUL", "surrogate"])
def test_unsupported_characters_are_replaced_in_all_that_is_recorded(connection: Connection, odd: str) -> None:
    failed, released = add_document(connection), add_document(connection)
    first = claim_one(connection)
    [second] = claims.claim_documents(
        connection, limit=1, sources=["index"], worker_id=f"w{odd}", run_id=f"r{odd}", lease=LEASE
    )
    failure = Failure(FailureKind.STORAGE, odd)
    assert outcomes.record_failure(
        connection,
        first,
        failure,
        error=ERROR_PREFIX + odd,
        fetch_seconds=0,
        source_bytes=0,
        retry_base_seconds=30,
        mirror_errors=True,
        exhausted_status=3,
    )
    assert releases.release_run(connection, f"r{odd}", reason=odd) == 1
    assert second.document_id == released
    assert document(connection, failed)["ocr_error"] == ERROR_PREFIX + "the storage said ?"
    [attempt] = attempts(connection, released)
    assert (attempt["worker_id"], attempt["error"]) == ("wthe storage said ?", "the storage said ?")
