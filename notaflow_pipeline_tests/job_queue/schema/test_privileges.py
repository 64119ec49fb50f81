"""Missing privileges of a worker's login are named before any row is changed."""

import pytest
from psycopg import Connection, sql

from notaflow_pipeline.job_queue.schema.check import SchemaMismatch
from notaflow_pipeline.job_queue.schema.privileges import WRITES, missing_privileges, require_privileges
from notaflow_pipeline.job_queue.schema.roles import ENQUEUER, READER, grant_roles
from notaflow_pipeline_tests.testing.logins import logged_in

pytestmark = [pytest.mark.owner, pytest.mark.direct, pytest.mark.usefixtures("roles")]


def test_owner_and_worker_have_every_privilege(connection: Connection, worker: Connection) -> None:
    assert list(missing_privileges(connection)) == []
    assert list(missing_privileges(worker)) == []


@pytest.mark.parametrize("role", [READER, ENQUEUER])
def test_other_roles_lack_the_workers_privileges(connection: Connection, database_url: str, role: str) -> None:
    with (
        logged_in(connection, database_url, role) as one,
        pytest.raises(SchemaMismatch, match=r"lacks privileges of a worker"),
    ):
        require_privileges(one)


def test_every_revoked_privilege_is_named(connection: Connection, worker: Connection) -> None:
    for table, privileges in WRITES.items():
        for privilege, columns in privileges.items():
            with connection.transaction():
                named = (
                    sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, columns))) if columns else sql.SQL("")
                )
                statement = sql.SQL("REVOKE {} {} ON {} FROM notaflow_worker")
                connection.execute(statement.format(sql.SQL(privilege), named, sql.Identifier(table)))
            [sentence] = missing_privileges(worker)
            assert sentence.startswith(f"this login may not {privilege} {table}")
            assert all(column in sentence for column in columns)
            grant_roles(connection.info.dsn)
    assert list(missing_privileges(worker)) == []


def test_required_privileges_are_those_that_are_granted(connection: Connection) -> None:
    granted = connection.execute(
        """
        SELECT c.relname, r.privilege_type, NULL
        FROM pg_class AS c
        CROSS JOIN aclexplode(c.relacl) AS r
        WHERE r.grantee = 'notaflow_worker'::regrole AND c.relkind = 'r' AND r.privilege_type <> 'SELECT'
        UNION ALL
        SELECT c.relname, r.privilege_type, a.attname
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid
        CROSS JOIN aclexplode(a.attacl) AS r
        WHERE r.grantee = 'notaflow_worker'::regrole AND r.privilege_type <> 'SELECT'
        """
    ).fetchall()
    asked = [
        (table, privilege, column)
        for table, privileges in WRITES.items()
        for privilege, columns in privileges.items()
        for column in columns or (None,)
    ]
    assert sorted(granted, key=str) == sorted(asked, key=str)


def test_rows_that_no_policy_shows_are_named(connection: Connection, worker: Connection) -> None:
    connection.execute("DROP POLICY notaflow_worker_reads ON extraction_queue")
    assert list(missing_privileges(worker)) == [
        "row-level security hides every row of extraction_queue from this login"
    ]
    connection.execute("ALTER TABLE extraction_queue DISABLE ROW LEVEL SECURITY")
    assert list(missing_privileges(worker)) == []
