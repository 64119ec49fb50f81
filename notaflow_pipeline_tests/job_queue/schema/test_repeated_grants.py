"""An owner without superuser can repeat `migrate --roles`, also if Dagster's and older objects have other owners."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

from notaflow_pipeline.job_queue.schema.migrate import MigrationFailed, migrate
from notaflow_pipeline.job_queue.schema.roles import DAGSTER, ENQUEUER, HOUSEKEEPER, OWNER, READER, WORKER, grant_roles
from notaflow_pipeline_tests.testing.logins import PASSWORD, logged_in

pytestmark = [pytest.mark.owner, pytest.mark.direct]

ROLES = (OWNER, DAGSTER, WORKER, ENQUEUER, HOUSEKEEPER, READER)

_OWNERS = """
SELECT nspname, pg_get_userbyid(nspowner)
FROM pg_namespace
WHERE nspname = 'dagster'
UNION ALL
SELECT relname, pg_get_userbyid(relowner)
FROM pg_class
WHERE relnamespace = 'dagster'::regnamespace AND relkind = 'r'
"""

_MEMBERSHIPS = """
SELECT pg_get_userbyid(roleid)
FROM pg_auth_members
WHERE member = %(member)s::regrole
ORDER BY 1
"""


@contextmanager
def owned_database(superuser: Connection, url: str) -> Iterator[Connection]:
    """A migrated database whose owner may create roles and is no superuser, as a connection of that owner."""
    name = f"{superuser.info.dbname}_owned"
    with logged_in(superuser, url, extra="CREATEROLE CREATEDB") as owner:
        for role in ROLES:  # the server's roles were made by other tests, and not by this owner
            superuser.execute(
                sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(
                    sql.Identifier(role), sql.Identifier(owner.info.user)
                )
            )
        owner.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        owned = make_conninfo(url, dbname=name, user=owner.info.user, password=PASSWORD)
        try:
            migrate(owned, sources=["index"])
            with psycopg.connect(owned, autocommit=True) as connection:
                yield connection
        finally:
            superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def new_login(maker: Connection, superuser: Connection, *roles: str) -> Iterator[str]:
    """The name of a login that `maker` made a member of `roles`; made in `superuser`'s name where that is the maker."""
    login = f"test_{uuid4().hex[:12]}"
    maker.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}").format(
            sql.Identifier(login), sql.Literal(PASSWORD), sql.SQL(", ").join(map(sql.Identifier, roles))
        )
    )
    try:
        yield login
    finally:
        superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(login)))


def url_of(connection: Connection, login: str | None = None) -> str:
    return make_conninfo(connection.info.dsn, user=login or connection.info.user, password=PASSWORD)


def start_dagster(connection: Connection, login: str) -> None:
    """Make a table as Dagster does when it starts for the first time."""
    with psycopg.connect(url_of(connection, login), autocommit=True) as dagster:
        dagster.execute("CREATE TABLE dagster.runs (id bigserial PRIMARY KEY)")


def reassign_owned(owner: Connection, superuser: Connection, login: str) -> None:
    """Leave nothing that keeps the login from being dropped."""
    with psycopg.connect(make_conninfo(superuser.info.dsn, dbname=owner.info.dbname), autocommit=True) as there:
        there.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(login)))


@pytest.fixture
def owner(roles: None, connection: Connection, database_url: str) -> Iterator[Connection]:
    with owned_database(connection, database_url) as one:
        yield one


def test_tables_of_the_login_that_started_dagster_are_handed_over(owner: Connection, connection: Connection) -> None:
    grant_roles(url_of(owner))
    with new_login(owner, connection, WORKER, ENQUEUER, DAGSTER) as login:
        start_dagster(owner, login)
        before = owner.execute(_MEMBERSHIPS, {"member": owner.info.user}).fetchall()
        for _ in range(2):
            assert grant_roles(url_of(owner)) == []
        assert dict(owner.execute(_OWNERS).fetchall()) == {"dagster": DAGSTER, "runs": DAGSTER}
        assert owner.execute(_MEMBERSHIPS, {"member": owner.info.user}).fetchall() == before
        with new_login(owner, connection, DAGSTER) as another, psycopg.connect(url_of(owner, another)) as dagster:
            dagster.execute("INSERT INTO dagster.runs DEFAULT VALUES")


def test_schema_that_the_login_created_gets_the_new_owner(owner: Connection, connection: Connection) -> None:
    with new_login(owner, connection, WORKER, DAGSTER) as login:
        database = sql.Identifier(owner.info.dbname)
        owner.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, sql.Identifier(login)))
        with psycopg.connect(url_of(owner, login), autocommit=True) as dagster:
            dagster.execute("CREATE SCHEMA dagster")
        start_dagster(owner, login)
        for _ in range(2):
            assert grant_roles(url_of(owner)) == []
        assert dict(owner.execute(_OWNERS).fetchall()) == {"dagster": DAGSTER, "runs": DAGSTER}
        owner.execute(sql.SQL("REVOKE CREATE ON DATABASE {} FROM {}").format(database, sql.Identifier(login)))


def test_objects_of_the_login_that_first_migrated_are_handed_over(owner: Connection, connection: Connection) -> None:
    with new_login(owner, connection, WORKER) as login:
        with psycopg.connect(make_conninfo(connection.info.dsn, dbname=owner.info.dbname)) as superuser:
            for kind, name in (
                ("TABLE", "ocr_attempt"),
                ("VIEW", "ocr_failed_jobs"),
                ("FUNCTION", "ocr_keep_old_text"),
            ):
                superuser.execute(
                    sql.SQL("ALTER {} {} OWNER TO {}").format(
                        sql.SQL(kind), sql.Identifier(name), sql.Identifier(login)
                    )
                )
        for _ in range(2):
            assert grant_roles(url_of(owner)) == []
        tables = owner.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'ocr_attempt'").fetchall()
        assert tables == [(OWNER,)]


def test_tables_of_a_login_that_cannot_be_joined_stay_and_are_named(owner: Connection, connection: Connection) -> None:
    grant_roles(url_of(owner))
    with new_login(connection, connection, WORKER, DAGSTER) as login:
        connection.execute(sql.SQL("ALTER ROLE {} SUPERUSER").format(sql.Identifier(login)))  # nobody may join one
        start_dagster(owner, login)
        for _ in range(2):
            [warning] = grant_roles(url_of(owner))
            assert f"stay with the login {login}" in warning
            assert f"GRANT {login} TO {owner.info.user} WITH ADMIN OPTION" in warning
        assert dict(owner.execute(_OWNERS).fetchall()) == {"dagster": DAGSTER, "runs": login}
        reassign_owned(owner, connection, login)


def test_owner_that_may_not_create_roles_changes_nothing(connection: Connection, roles: None) -> None:
    with logged_in(connection, connection.info.dsn) as nobody, pytest.raises(MigrationFailed, match="may create roles"):
        grant_roles(make_conninfo(connection.info.dsn, user=nobody.info.user, password=PASSWORD))
