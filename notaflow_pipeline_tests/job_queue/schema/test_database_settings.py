"""Settings of a database or role that change what migrations may do, or how the server describes its objects."""

from typing import LiteralString

import psycopg
import pytest

from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable
from notaflow_pipeline.job_queue.schema.migrate import migrate, migrate_down
from notaflow_pipeline_tests.job_queue.schema.databases import differences, on

pytestmark = [pytest.mark.owner, pytest.mark.direct]


def set_for_database(url: str, setting: LiteralString) -> None:
    with psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off") as connection:
        connection.execute(
            f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting}', current_database()); END $$".encode()
        )


@pytest.mark.parametrize(
    ("setting", "reason"),
    [("default_transaction_read_only = on", "it is read-only"), ("search_path = ''''", "names no schema")],
)
def test_database_in_which_nothing_can_be_created_is_explained(
    empty_database_url: str, setting: LiteralString, reason: str
) -> None:
    set_for_database(empty_database_url, setting)
    with pytest.raises(DatabaseUnavailable, match=f"cannot be migrated: .*{reason}"):
        migrate(empty_database_url, sources=["index"])
    with pytest.raises(DatabaseUnavailable, match=f"cannot be migrated: .*{reason}"):
        migrate_down(empty_database_url, to=4)


def test_quoted_names_of_the_server_are_no_difference(empty_database_url: str) -> None:
    set_for_database(empty_database_url, "quote_all_identifiers = on")
    assert migrate(empty_database_url, sources=["index"]).remaining == []
    with on(empty_database_url) as connection:
        assert differences(connection) == []
