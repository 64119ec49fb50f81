"""Leases are renewed while documents are read."""

import threading
import time
from datetime import timedelta

import psycopg
from psycopg import Connection, sql
from psycopg_pool import ConnectionPool

from notaflow_pipeline.job_queue.claiming.lease_renewal import LeaseRenewal
from notaflow_pipeline_tests.testing.job_queue import add_document, ago, attempts, change, claim, claim_one, expire
from notaflow_pipeline_tests.testing.waiting import wait_until

LEASE = timedelta(seconds=0.3)
"""Renewed every tenth of a second."""


class Lost:
    """Counts what is reported as lost, and lets a test wait for renewals."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.threads: set[str] = set()

    def __call__(self, token: int) -> None:
        self.tokens.append(token)
        self.threads.add(threading.current_thread().name)


def renewals(connection: Connection, token: int, number: int) -> None:
    """Wait until the lease of `token` has been extended that often."""
    for _ in range(number):
        [(before,)] = connection.execute("SELECT lease_expires_at FROM ocr_attempt WHERE id = %s", [token]).fetchall()
        wait_until(
            lambda before=before: (
                connection.execute(  # type: ignore[misc]
                    "SELECT lease_expires_at > %s FROM ocr_attempt WHERE id = %s", [before, token]
                ).fetchone()
                == (True,)
            )
        )


def test_held_claim_is_renewed_again_and_again(connection: Connection, pool: ConnectionPool[Connection]) -> None:
    add_document(connection)
    held = claim_one(connection)
    expire(connection, held)
    lost = Lost()
    with LeaseRenewal(pool, LEASE, lost) as renewal:
        renewal.hold(held.token)
        renewals(connection, held.token, 3)
        [attempt] = attempts(connection)
        assert attempt["finished_at"] is None
    assert lost.tokens == []


def test_released_claim_is_not_renewed(connection: Connection, pool: ConnectionPool[Connection]) -> None:
    for _ in range(2):
        add_document(connection)
    finished, kept = claim(connection, 2)
    lost = Lost()
    with LeaseRenewal(pool, LEASE, lost) as renewal:
        renewal.hold(finished.token)
        renewal.hold(kept.token)
        expire(connection, kept)
        renewals(connection, kept.token, 1)
        renewal.drop(finished.token)
        renewals(connection, kept.token, 1)  # the last that may have begun before letting go
        change(connection, "ocr_attempt", finished.token, lease_expires_at=ago("1 hour"))
        renewals(connection, kept.token, 2)
    assert connection.execute(
        "SELECT lease_expires_at < clock_timestamp() - interval '59 minutes' FROM ocr_attempt WHERE id = %s",
        [finished.token],
    ).fetchone() == (True,)
    assert lost.tokens == []


def test_lost_claim_is_reported_exactly_once_in_the_renewal_s_thread(
    connection: Connection, pool: ConnectionPool[Connection]
) -> None:
    for _ in range(2):
        add_document(connection)
    taken, kept = claim(connection, 2)
    lost = Lost()
    with LeaseRenewal(pool, LEASE, lost) as renewal:
        renewal.hold(taken.token)
        renewal.hold(kept.token)
        change(connection, "extraction_queue", taken.document_id, status_id=3)
        wait_until(lambda: bool(lost.tokens))
        expire(connection, kept)
        renewals(connection, kept.token, 3)
    assert lost.tokens == [taken.token]
    assert lost.threads == {"ocr-lease-renewal"}


def test_renewal_survives_the_loss_of_its_connections(connection: Connection, pool: ConnectionPool[Connection]) -> None:
    add_document(connection)
    held = claim_one(connection)
    expire(connection, held)
    lost = Lost()
    with LeaseRenewal(pool, LEASE, lost) as renewal:
        renewal.hold(held.token)
        renewals(connection, held.token, 1)
        for _ in range(3):
            connection.execute("""
                SELECT pg_terminate_backend(pid)
                FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
            renewals(connection, held.token, 1)
    assert lost.tokens == []


def test_renewal_survives_a_database_that_refuses_everybody_for_a_moment(
    connection: Connection, pool: ConnectionPool[Connection], server_url: str
) -> None:
    add_document(connection)
    held = claim_one(connection)
    expire(connection, held)
    lost = Lost()
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    database = sql.Identifier(connection.info.dbname)
    with psycopg.connect(server_url, autocommit=True) as server, LeaseRenewal(pool, LEASE, lost) as renewal:
        renewal.hold(held.token)
        renewals(connection, held.token, 1)
        server.execute(allow.format(database, sql.SQL("false")))
        try:
            connection.execute("""
                SELECT pg_terminate_backend(pid)
                FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
            time.sleep(0.5)  # several renewals find nobody at home
            assert lost.tokens == []
        finally:
            server.execute(allow.format(database, sql.SQL("true")))
        renewals(connection, held.token, 2)
    assert lost.tokens == []


def test_renewal_survives_connections_that_are_cut(connection: Connection, pool: ConnectionPool[Connection]) -> None:
    add_document(connection)
    held = claim_one(connection)
    expire(connection, held)
    cut = """
        SELECT pg_terminate_backend(pid)
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
    """
    lost = Lost()
    with LeaseRenewal(pool, LEASE, lost) as renewal:
        renewal.hold(held.token)
        wait_until(lambda: connection.execute(cut).rowcount > 0)
        renewals(connection, held.token, 2)
    assert lost.tokens == []


def test_renewal_without_claims_sends_no_statement(connection: Connection) -> None:
    class NoPool:
        def connection(self) -> None:
            raise AssertionError("there is nothing to renew")

    with LeaseRenewal(NoPool(), timedelta(seconds=0.03), Lost()):  # type: ignore[arg-type]
        time.sleep(0.1)
