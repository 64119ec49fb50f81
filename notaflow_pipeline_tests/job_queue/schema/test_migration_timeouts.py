"""Migrations finish under the timeouts of the login's role, however long an index build takes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

from notaflow_pipeline.job_queue.schema.check import find_schema_differences
from notaflow_pipeline.job_queue.schema.migrate import MigrationFailed, migrate, migrate_down
from notaflow_pipeline.job_queue.schema.roles import grant_roles
from notaflow_pipeline_tests.testing.logins import PASSWORD, logged_in
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

pytestmark = [pytest.mark.owner, pytest.mark.direct]

TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")

LIMIT = "300ms"

# somebody waits in one statement for three times as long as the role allows
_WAITS_LONGER = """
SELECT
FROM pg_stat_activity
WHERE usename = %(login)s
  AND datname = current_database()
  AND state = 'active'
  AND wait_event_type = 'Lock'
  AND clock_timestamp() - query_start > 3 * interval '300 ms'
"""

SNAPSHOT: LiteralString = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1"
"""Holds up the last phase of a concurrent build, and nothing else."""

READER: LiteralString = "BEGIN; SELECT FROM extraction_queue LIMIT 1"
"""Holds up whoever drops an index or a column."""


@contextmanager
def limited_login(url: str) -> Iterator[str]:
    """The URL of a login whose role has every timeout set."""
    with psycopg.connect(url, autocommit=True) as owner, logged_in(owner, url, extra="SUPERUSER") as login:
        for timeout in TIMEOUTS:
            owner.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    sql.Identifier(login.info.user), sql.SQL(timeout), sql.Literal(LIMIT)
                )
            )
        yield make_conninfo(url, user=login.info.user, password=PASSWORD)
        owner.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(login.info.user)))


def while_held_up(url: str, owner_url: str, transaction: LiteralString, work: Callable[[], object]) -> None:
    """Do `work` as the login of `url`, held up by `transaction` until it has waited longer than its role allows."""
    ended = threading.Event()
    waited = threading.Event()
    login = psycopg.conninfo.conninfo_to_dict(url)["user"]
    ready = threading.Event()

    def hold() -> None:
        with (
            psycopg.connect(owner_url, autocommit=True) as holder,
            psycopg.connect(owner_url, autocommit=True) as watcher,
        ):
            holder.execute(transaction)
            ready.set()
            while not ended.wait(0.02):
                if watcher.execute(_WAITS_LONGER, {"login": login}).fetchone() is not None:
                    waited.set()
                    return

    thread = threading.Thread(target=hold)
    thread.start()
    assert ready.wait(HANG_SECONDS)
    try:
        work()
    finally:
        ended.set()
        thread.join()
    assert waited.is_set(), "nothing held the work up: the test shows nothing"


def nothing_missing(url: str, *sources: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        return list(find_schema_differences(connection, sources or ("index",))) == []


def test_index_builds_of_migrations_outlast_the_roles_timeouts(empty_database_url: str) -> None:
    migrate(empty_database_url, sources=["index"], to=7)
    with limited_login(empty_database_url) as url:
        while_held_up(url, empty_database_url, SNAPSHOT, lambda: migrate(url, sources=["index"]))
    assert nothing_missing(empty_database_url)


def test_index_of_a_source_outlasts_the_roles_timeouts(database_url: str) -> None:
    with limited_login(database_url) as url:
        while_held_up(url, database_url, SNAPSHOT, lambda: migrate(url, sources=["index", "acte"]))
    assert nothing_missing(database_url, "index", "acte")


def test_repair_outlasts_the_roles_timeouts(connection: Connection, database_url: str) -> None:
    connection.execute("DROP INDEX idx_extraction_queue_ocr_active")
    with limited_login(database_url) as url:
        while_held_up(url, database_url, SNAPSHOT, lambda: migrate(url, sources=["index"]))
    assert nothing_missing(database_url)


def test_removal_of_an_invalid_index_outlasts_the_roles_timeouts(connection: Connection, database_url: str) -> None:
    name = "idx_extraction_queue_ocr_stuck"
    connection.execute("UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = %s::regclass", [name])
    with limited_login(database_url) as url:
        while_held_up(url, database_url, READER, lambda: migrate(url, sources=["index"]))
    assert nothing_missing(database_url)


def test_rollbacks_outlast_the_roles_timeouts(database_url: str) -> None:
    with limited_login(database_url) as url:
        while_held_up(url, database_url, READER, lambda: migrate_down(url, to=4))
        assert migrate(url, sources=["index"]).applied[0] == "005_add_ocr_tracking"
    assert nothing_missing(database_url)


def test_granting_roles_waits_longer_than_the_roles_timeouts(database_url: str) -> None:
    with limited_login(database_url) as url:
        grant_roles(url)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ALTER VIEW ocr_failed_jobs OWNER TO CURRENT_USER")
        while_held_up(url, database_url, "BEGIN; SELECT FROM ocr_failed_jobs LIMIT 1", lambda: grant_roles(url))


def test_lock_of_another_session_ends_a_repair_with_advice(connection: Connection, database_url: str) -> None:
    connection.execute("DROP VIEW ocr_failed_jobs")
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE ocr_pruning")
        with limited_login(database_url) as url, pytest.raises(MigrationFailed, match="a long transaction holds it"):
            migrate(url, sources=["index"])
