"""Migrates a database up or down with yoyo-migrations and the SQL files in `migrations/`, under an advisory lock."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import sqlparse
from psycopg import Connection, sql
from psycopg.rows import scalar_row
from yoyo import read_migrations

from notaflow_pipeline.job_queue.database.connections import connect
from notaflow_pipeline.job_queue.database.search_path import queue_schema
from notaflow_pipeline.job_queue.schema.check import (
    TRIGGERS,
    VIEWS,
    claim_index,
    find_schema_differences,
    invalid_indexes,
)
from notaflow_pipeline.job_queue.schema.columns import TABLE_COLUMNS
from notaflow_pipeline.job_queue.schema.migration_session import open_backend, prepare_session
from notaflow_pipeline.job_queue.schema.misplaced_objects import (
    MisplacedObject,
    check_placement,
    find_unreachable_queues,
    move_to_queue_schema,
)
from notaflow_pipeline.job_queue.schema.rollback_data_loss import DataLoss, count_data_loss

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
"""In a checkout a link to the folder of that name; in an installed package its files."""

FIRST_PROJECT_MIGRATION = 5
"""001 and 002 create NotaFlow's tables."""

LOCK_KEY = 7_027_110_005
"""Key of the advisory lock for migrations; the lock of a killed process ends with its connection."""

ATTEMPTS = 5
"""How often a migration that hit its `lock_timeout` is tried, with growing pauses."""


class MigrationFailed(Exception):
    """A migration could not be applied or rolled back. After the cause is removed, run the same command again."""


@dataclass(frozen=True)
class MigrationResult:
    """What `migrate` did, and what it could not repair."""

    applied: list[str] = field(default_factory=list)
    """Names of files, in order."""

    indexed_sources: list[str] = field(default_factory=list)
    """Sources whose claim index was created."""

    repaired: list[str] = field(default_factory=list)
    """Differences that were repaired although their migration had been applied before (`find_schema_differences`)."""

    remaining: list[str] = field(default_factory=list)
    """Differences that no migration repairs."""


def number_of(migration_id: str) -> int:
    """Return the number that a migration's name begins with."""
    return int(migration_id.split("_", 1)[0])


def migration_ids() -> list[str]:
    """Return every migration's name, in order."""
    return sorted(path.stem for path in MIGRATIONS.glob("*.sql"))


def _rollback_file(name: str) -> Path:
    return MIGRATIONS / "rollback" / f"{name}.sql"


def migrate(url: str, *, sources: Sequence[str], to: int | None = None) -> MigrationResult:
    """Apply missing migrations up to number `to`, create the claim indexes of `sources`, and repair what was lost since.

    Can be run repeatedly, during writes, and at the same time as another migration. A login that may not migrate changes
    nothing, and succeeds if nothing is missing.

    Raises:
        MigrationFailed: with the file and the reason, or with what is missing if the login may not add it.
        DatabaseUnavailable: the database cannot be reached.
    """
    done = MigrationResult()
    _require_existing_number(to)
    with _migration_lock(url) as connection:
        if to is None and not _may_migrate(connection):
            _require_complete_schema(connection, sources)
            return done
        done.repaired.extend(_move_to_queue_schema(connection))
        _drop_invalid_indexes(connection)
        backend = open_backend(url)
        backend.break_lock()  # left by a killed process: a running migration holds the advisory lock
        try:
            for migration in backend.to_apply(read_migrations(str(MIGRATIONS))):
                if to is not None and number_of(migration.id) > to:
                    break
                _apply(backend, migration, connection)
                done.applied.append(str(migration.id))
        finally:
            backend.connection.close()
        if to is None:
            with suppress(psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable):  # repaired below
                done.indexed_sources.extend(_enable_sources(connection, sources))
            if missing := list(find_schema_differences(connection, sources)):
                _apply_again(connection)
                done.indexed_sources.extend(_enable_sources(connection, sources))
                done.remaining.extend(find_schema_differences(connection, sources))
                done.repaired.extend(one for one in missing if one not in done.remaining)
    return done


def find_data_loss(url: str, *, to: int) -> list[DataLoss]:
    """Return what `migrate_down` would delete; nothing is changed.

    Raises:
        MigrationFailed: there is no such number.
        DatabaseUnavailable: the database cannot be reached.
    """
    _require_existing_number(to)
    with connect(url, limited=False) as connection:
        prepare_session(connection)
        return count_data_loss(connection, [_rollback_file(name) for name in migration_ids() if number_of(name) > to])


def migrate_down(url: str, *, to: int) -> list[str]:
    """Roll back every migration above number `to`, newest first, with its data; return their names.

    Raises:
        MigrationFailed: with the file and the reason.
        DatabaseUnavailable: the database cannot be reached.
    """
    _require_existing_number(to)
    rolled_back = []
    with _migration_lock(url) as connection:
        if misplaced := check_placement(connection, TABLE_COLUMNS, TRIGGERS, VIEWS).misplaced:
            raise MigrationFailed(
                f"{misplaced[0].sentence}: run `notaflow migrate` first, which moves it; nothing was changed"
            )
        backend = open_backend(url)
        backend.break_lock()
        try:
            known = {migration.id: migration for migration in read_migrations(str(MIGRATIONS))}
            for name in sorted(known, reverse=True):
                if number_of(name) > to and backend.is_applied(known[name]):
                    _run_file(connection, _rollback_file(name))
                    with backend.transaction():
                        backend.unmark_one(known[name])
                    rolled_back.append(name)
        finally:
            backend.connection.close()
    return rolled_back


def _require_existing_number(number: int | None) -> None:
    last = number_of(migration_ids()[-1])
    if number is not None and not 0 <= number <= last:
        raise MigrationFailed(f"there is no migration {number}: they are numbered up to {last}; nothing was changed")


def _move_to_queue_schema(connection: Connection) -> list[str]:
    """Move all our objects to the schema of extraction_queue in one transaction; return what was wrong."""
    if queue_schema(connection) is None and (elsewhere := find_unreachable_queues(connection)):
        raise MigrationFailed(
            f"{elsewhere[0]}. Let the path name it (ALTER ROLE … SET search_path), and grant USAGE on it; for a second queue "
            "in the first schema of the path, run migrations/001 and 002 there with psql first. Nothing was changed."
        )
    misplaced = check_placement(connection, TABLE_COLUMNS, TRIGGERS, VIEWS).misplaced
    if not misplaced:
        return []
    _require_one_of_each(misplaced)
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '5s'")
            move_to_queue_schema(connection, misplaced, migration_ids())
    except psycopg.Error as refused:
        reason = str(refused).splitlines()[0]
        remedies = "; ".join(one.remedy.as_string(connection) for one in misplaced)
        raise MigrationFailed(
            f"{misplaced[0].sentence}, and could not be moved: {reason}. As its owner: {remedies}"
        ) from None
    return [one.sentence for one in misplaced]


def _require_one_of_each(misplaced: Sequence[MisplacedObject]) -> None:
    schemas: dict[str, list[str]] = {}
    for one in misplaced:
        schemas.setdefault(one.name, []).append(one.schema)
    for name, found in schemas.items():
        if len(found) > 1:
            raise MigrationFailed(
                f"{name} is in the schemas {' and '.join(found)}, and not in that of extraction_queue: remove or rename all "
                "but the one with the right rows, and run `notaflow migrate` again. Nothing was changed."
            )


_MAY_MIGRATE = """
SELECT NOT EXISTS (
    SELECT
    FROM pg_class
    WHERE oid = to_regclass('extraction_queue')
      AND NOT pg_has_role(relowner, 'USAGE')
)
"""


def _may_migrate(connection: Connection) -> bool:
    """Whether this login is, or may act as, the owner of extraction_queue, or the table does not exist."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(_MAY_MIGRATE).fetchone())


def _require_complete_schema(connection: Connection, sources: Sequence[str]) -> None:
    missing = list(find_schema_differences(connection, sources))
    if missing:
        raise MigrationFailed(
            f"this login does not own extraction_queue, and so cannot add what is missing ({missing[0]}"
            + (f", and {len(missing) - 1} more" if missing[1:] else "")
            + "). Set NOTAFLOW_OWNER_DATABASE_URL to its owner's login for `notaflow migrate`."
        )


@contextmanager
def _migration_lock(url: str) -> Iterator[Connection]:
    """Hold the lock for migrations, after waiting for a running migration."""
    with connect(url, limited=False) as connection, connection.cursor(row_factory=scalar_row) as cursor:
        prepare_session(connection)
        # polled, because a statement that waits in the server would block a concurrent index build
        while not cursor.execute("SELECT pg_try_advisory_lock(%(key)s)", {"key": LOCK_KEY}).fetchone():
            time.sleep(0.2)
        prepare_session(connection)  # another migration may have created the queue meanwhile
        yield connection


def _apply(backend: object, migration: object, connection: Connection) -> None:
    """Apply one file; try again after a pause if it hit its lock timeout."""
    name = migration.id  # type: ignore[attr-defined]
    for attempt in range(1, ATTEMPTS + 1):
        try:
            backend.apply_one(migration)  # type: ignore[attr-defined]
        except psycopg.errors.LockNotAvailable:
            log.warning("migration %s hit its lock timeout (attempt %d of %d)", name, attempt, ATTEMPTS)
            if attempt == ATTEMPTS:
                raise MigrationFailed(
                    f"migration {name} could not get its lock on a table: a long transaction holds it. "
                    "Find it in pg_stat_activity, end it, and run `notaflow migrate` again; nothing is half-done."
                ) from None
            _drop_invalid_indexes(connection)
            time.sleep(attempt)
        except psycopg.Error as refused:
            _drop_invalid_indexes(connection)
            reason = str(refused).splitlines()[0]
            raise MigrationFailed(f"migration {name} failed: {reason}") from refused
        else:
            log.info("applied %s", name)
            return


def _run_file(connection: Connection, path: Path) -> None:
    # the default; outside a transaction SET LOCAL has no effect, and the previous file may have set another value
    connection.execute("SET lock_timeout = '5s'")
    for statement in sqlparse.split(path.read_text(encoding="utf-8")):
        try:
            connection.execute(sql.SQL(statement))
        except psycopg.errors.LockNotAvailable:
            raise MigrationFailed(
                f"{path.parent.name}/{path.name} could not get its lock on a table: a long transaction holds it. Find "
                "it in pg_stat_activity, end it, and run the same command again; it continues with this file."
            ) from None
        except psycopg.Error as refused:
            reason = str(refused).splitlines()[0]
            raise MigrationFailed(f"{path.parent.name}/{path.name} failed: {reason}") from refused


def _apply_again(connection: Connection) -> None:
    """Run every file of this project again, to restore objects that were lost; each file can be repeated."""
    for name in migration_ids():
        if number_of(name) >= FIRST_PROJECT_MIGRATION:
            log.info("running %s again", name)
            _run_file(connection, MIGRATIONS / f"{name}.sql")


def _drop_invalid_indexes(connection: Connection) -> None:
    for name in invalid_indexes(connection):
        log.warning("index %s was left INVALID by an interrupted build; building it again", name)
        connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(*name.split("."))))


_SYNCHRONISE_SOURCES = """
WITH removed AS (
    DELETE FROM ocr_source
    WHERE document_source <> ALL(%(sources)s)
)
INSERT INTO ocr_source (document_source)
SELECT unnest(%(sources)s::text[])
ON CONFLICT (document_source) DO NOTHING
"""

# each source has its own claim index; those of sources other than `index` are created when the source is enabled
_CLAIM_INDEX = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS {name}
    ON extraction_queue (ocr_priority DESC, created_at, id)
    WHERE status_id = 3
      AND document_source = {source}
      AND file_content IS NULL
      AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts)
      AND ocr_next_attempt_at IS NULL
"""

_HAS_INDEX = """
SELECT
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass('extraction_queue')
  AND c.relname = %(name)s
"""


def _enable_sources(connection: Connection, sources: Sequence[str]) -> list[str]:
    """Create the missing claim indexes; return their sources."""
    built = []
    connection.execute("SET lock_timeout = 0")  # a concurrent build waits, and blocks no other session
    for source in sources:
        if connection.execute(_HAS_INDEX, {"name": claim_index(source)}).fetchone() is None:
            statement = sql.SQL(_CLAIM_INDEX).format(
                name=sql.Identifier(claim_index(source)), source=sql.Literal(source)
            )
            connection.execute(statement)
            built.append(source)
    connection.execute(_SYNCHRONISE_SOURCES, {"sources": list(sources)})
    return built
