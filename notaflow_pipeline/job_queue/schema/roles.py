"""Creates the database's group roles and grants their privileges, with `roles.sql`, which `psql -f` can also run."""

from pathlib import Path

import psycopg
from psycopg.errors import Diagnostic

from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.schema.migrate import MigrationFailed
from notaflow_pipeline.job_queue.schema.migration_session import prepare_session

ROLES = Path(__file__).with_name("roles.sql")

WORKER, ENQUEUER, HOUSEKEEPER, READER, DAGSTER, OWNER = (
    f"notaflow_{name}" for name in ("worker", "enqueuer", "housekeeper", "reader", "dagster", "owner")
)


def grant_roles(url: str) -> list[str]:
    """Create the missing roles, and grant each its privileges on this database; return the server's warnings.

    Can be run repeatedly, while workers are running.

    Raises:
        MigrationFailed: the login may not do this, or the schema is missing; nothing was changed.
        DatabaseUnavailable: the database cannot be reached.
    """
    statements = ROLES.read_text(encoding="utf-8")
    warnings: list[str] = []

    def note(notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            warnings.append(notice.message_primary or "")

    with connect(url, limited=False) as connection:
        prepare_session(connection)
        connection.add_notice_handler(note)
        try:
            with connection.transaction():
                connection.execute(statements)
        except psycopg.errors.InsufficientPrivilege as refused:
            reason = str(refused).splitlines()[0]
            raise MigrationFailed(
                f"roles could not be granted: {reason}. Run it as a login that may create roles and owns "
                "extraction_queue (on Supabase: postgres); nothing was changed."
            ) from refused
        except psycopg.Error as refused:
            raise MigrationFailed(f"roles could not be granted: {str(refused).splitlines()[0]}") from refused
    return warnings


_HAS_WORKER = """
SELECT FROM pg_roles
WHERE rolname = %(worker)s
"""


def has_roles(url: str) -> bool:
    """Whether the roles exist on this server; then objects that a migration creates need grants.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    with connect(url) as connection:
        return connection.execute(_HAS_WORKER, {"worker": WORKER}).fetchone() is not None
