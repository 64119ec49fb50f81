"""Checks the installation for `notaflow doctor`: database, schema, privileges, engine, storage, disk space, alerts."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from psycopg import Connection
from psycopg.rows import scalar_row

from notaflow_pipeline.alerting.receivers import UNSUPPORTED_URL, configured_receivers, is_supported
from notaflow_pipeline.documents.failures import StorageMisconfigured, StorageUnavailable
from notaflow_pipeline.documents.location import buckets_of
from notaflow_pipeline.job_queue.claiming.claim_check import check_claim
from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable, connect, describe_database
from notaflow_pipeline.job_queue.schema.check import SchemaMismatch, require_schema
from notaflow_pipeline.job_queue.schema.privileges import require_privileges
from notaflow_pipeline.local.embedded_postgres import database_url
from notaflow_pipeline.ocr.failures import EngineUnavailable
from notaflow_pipeline.settings import Settings, unknown_variables
from notaflow_pipeline.worker.assembly import configured_engine, configured_storage

MIN_FREE_BYTES = 256 * 2**20
"""For each folder that is written to during OCR: temporary files, and the embedded database."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    ok: bool
    detail: str


def check_installation(settings: Settings) -> Iterator[Finding]:
    """Yield the result of each check; nothing is changed."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(database_url(settings))
            connection = stack.enter_context(connect(url))
        except DatabaseUnavailable as unavailable:
            yield Finding("database", ok=False, detail=str(unavailable))
            yield Finding("schema", ok=False, detail="not checked: the database cannot be used")
        else:
            yield Finding(
                "database", ok=True, detail=f"{describe_database(url)}, PostgreSQL {_server_version(connection)}"
            )
            schema = _finding_of("schema", "matches this version", lambda: require_schema(connection, settings.sources))
            privileges = _finding_of(
                "privileges", "this login has a worker's privileges", lambda: require_privileges(connection)
            )
            yield from (schema, privileges)
            if schema.ok and privileges.ok:
                trial = check_claim(connection, settings.sources)
                yield Finding("claim", ok=trial.ok, detail=trial.detail)
            else:
                yield Finding("claim", ok=False, detail="not checked: see above")
    engine = configured_engine(settings)
    yield _finding_of("engine", engine.name, engine.check)
    try:
        storage = configured_storage(settings)
    except StorageMisconfigured as misconfigured:
        yield Finding("storage", ok=False, detail=str(misconfigured))
    else:
        buckets = buckets_of(settings.sources)
        yield _finding_of("storage", storage.description, lambda: storage.check(buckets))
    embedded = [settings.home] if settings.database_url is None else []
    yield check_space([Path(tempfile.gettempdir()), *embedded])
    unknown = unknown_variables()
    names = "; ".join(map(str, unknown)) or "every OCR_ and NOTAFLOW_ variable is a setting"
    yield Finding("settings", ok=not any(one.nearest for one in unknown), detail=names)
    yield _check_receivers(settings)


def check_space(folders: Iterable[Path], min_bytes: int = MIN_FREE_BYTES) -> Finding:
    """Check the free space of these folders, or of their nearest existing parents."""
    free = {folder: shutil.disk_usage(_nearest_existing(folder)).free for folder in folders}
    free_text = ", ".join(f"{count / 2**20:,.0f} MiB free for {folder}" for folder, count in free.items())
    if min(free.values()) >= min_bytes:
        return Finding("space", ok=True, detail=free_text)
    advice = (
        f"documents need {min_bytes / 2**20:,.0f} MiB: free disk space, or set TMPDIR or NOTAFLOW_HOME to another disk"
    )
    return Finding("space", ok=False, detail=f"{free_text}; {advice}")


def _nearest_existing(folder: Path) -> Path:
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())


def _check_receivers(settings: Settings) -> Finding:
    """Check the receivers of alerts; nothing is sent."""
    receivers = configured_receivers(settings)
    wrong = [one.label for one in receivers if not is_supported(one)]
    if wrong:
        return Finding("alerts", ok=False, detail=f"{', '.join(wrong)}: {UNSUPPORTED_URL}")
    if not receivers:
        return Finding("alerts", ok=True, detail="no receiver: NOTAFLOW_ALERT_URLS is empty")
    labels = ", ".join(one.label for one in receivers)
    return Finding("alerts", ok=True, detail=f"{labels}; `notaflow alert --test` sends a message")


def _finding_of(subject: str, detail: str, check: Callable[[], None]) -> Finding:
    try:
        check()
    except (SchemaMismatch, EngineUnavailable, StorageUnavailable) as failed:
        return Finding(subject, ok=False, detail=str(failed))
    return Finding(subject, ok=True, detail=detail)


def _server_version(connection: Connection) -> str:
    with connection.cursor(row_factory=scalar_row) as cursor:
        return str(cursor.execute("SHOW server_version").fetchone())
