"""Makes databases on a server of tests, as copies of a template."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from notaflow_pipeline_tests.testing import least_privilege

_numbers = itertools.count(1)


def url_of(server_url: str, database: str) -> str:
    """The same server, another database, as a URL that every tool understands."""
    parts = conninfo_to_dict(server_url)
    if str(parts.get("host", "")).startswith("/"):
        return f"postgresql://{parts['user']}@/{database}?host={parts['host']}"
    return make_conninfo(server_url, dbname=database)


def recreate(server_url: str, database: str, template: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        name = sql.Identifier(database)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        # copying files took half as long as writing every page to the write-ahead log
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        connection.execute(query.format(name, sql.Identifier(template)))


@contextmanager
def new_database(server_url: str, template: str) -> Iterator[str]:
    """The URL of a new database, which is dropped afterwards: hundreds of them take a minute to delete at the end."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    recreate(server_url, name, template)
    yield url_of(server_url, name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def migrated_database(server_url: str, template: str, test: pytest.Item | pytest.Collector) -> Iterator[str]:
    """The URL of a new migrated database; its role is that of `least_privilege`, or the owner."""
    with new_database(server_url, template) as url:
        if not least_privilege.is_enabled() or test.get_closest_marker("owner"):
            yield url
            return
        with least_privilege.tests_are_the_owner():
            yield least_privilege.as_worker(url)
