"""Logins that have one of the roles and nothing else, for tests of privileges."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString
from uuid import uuid4

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

PASSWORD = "for this test alone"


@contextmanager
def logged_in(owner: Connection, url: str, *roles: str, extra: LiteralString = "") -> Iterator[Connection]:
    """A connection of a new login that has these roles and nothing else."""
    login = sql.Identifier(f"test_{os.getpid()}_{uuid4().hex[:12]}")
    owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} {}").format(login, sql.Literal(PASSWORD), sql.SQL(extra)))
    for role in roles:
        owner.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), login))
    name = login.as_string().strip('"')
    with psycopg.connect(make_conninfo(url, user=name, password=PASSWORD), autocommit=True) as one:
        yield one
    owner.execute(sql.SQL("DROP OWNED BY {}").format(login))
    owner.execute(sql.SQL("DROP ROLE {}").format(login))
