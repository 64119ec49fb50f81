"""Adds documents to the queue, claims them, records outcomes, and returns rows and attempts."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Connection, sql
from psycopg.rows import dict_row

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.claiming import claims, outcomes
from notaflow_pipeline.job_queue.claiming.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.database.chunks import ChangeResult
from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryResult, RecoveryTerms, recover
from notaflow_pipeline.job_queue.maintenance.recovery_poll import count_needing_recovery
from notaflow_pipeline.job_queue.maintenance.repairs import Repair
from notaflow_pipeline.job_queue.maintenance.requeue import ExhaustedDocument, ExhaustedFilter, requeue_exhausted
from notaflow_pipeline.job_queue.maintenance.reread import request_reread
from notaflow_pipeline.job_queue.model import ERROR_PREFIX, Claim, Failure, OcrResult, Recording
from notaflow_pipeline_tests.testing.waiting import wait_until

LEASE = timedelta(minutes=5)

STUCK_AFTER = timedelta(minutes=10)

READING = OcrResult(
    text="--- Page 1 ---\nLot 3 770 292, à Québec",
    pages=1,
    mean_confidence=91.5,
    fetch_seconds=0.25,
    ocr_seconds=1.5,
    source_bytes=4096,
    engine="tesseract 5",
    coverage=0.875,
)


BLANK = OcrResult(
    text="", pages=1, mean_confidence=None, fetch_seconds=0.1, ocr_seconds=0.1, source_bytes=10, engine="tesseract 5"
)


TIMEOUT = Failure(FailureKind.TIMEOUT, "Page 2 of 7 took longer than 120 s.")

ENCRYPTED = Failure(FailureKind.ENCRYPTED, "The document needs a password.")


def ago(interval: str) -> sql.Composed:
    """Return a time so long before the database's now, for `add_document` and `change`."""
    return sql.SQL("clock_timestamp() - {}::interval").format(sql.Literal(interval))


def ahead(interval: str) -> sql.Composed:
    """Return a time so long after the database's now."""
    return sql.SQL("clock_timestamp() + {}::interval").format(sql.Literal(interval))


def _value(value: object) -> sql.Composable:
    return value if isinstance(value, sql.Composable) else sql.Literal(value)


def add_document(connection: Connection, **columns: object) -> UUID:
    """Add a row that is ready for OCR, with the given columns; return its id."""
    values = {"document_source": "index", "document_number": "2 784 195", "status_id": 3, **columns}
    statement = sql.SQL("INSERT INTO extraction_queue ({}) VALUES ({}) RETURNING id").format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(_value, values.values()))
    )
    row = connection.execute(statement).fetchone()
    assert row is not None
    assert isinstance(row[0], UUID)
    return row[0]


def change(connection: Connection, table: LiteralString, key: UUID | int, **columns: object) -> None:
    """Set columns of one row, as another program or the passing of time would."""
    changes = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), _value(value)) for name, value in columns.items()
    )
    statement = sql.SQL("UPDATE {} SET {} WHERE id = {}").format(sql.Identifier(table), changes, sql.Literal(key))
    assert connection.execute(statement).rowcount == 1


def document(connection: Connection, key: UUID) -> dict[str, Any]:
    """Return all columns of one row of the queue."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("SELECT * FROM extraction_queue WHERE id = %s", [key]).fetchone()
    assert row is not None
    return row


def attempts(connection: Connection, key: UUID | None = None) -> list[dict[str, Any]]:
    """Return the attempts of a document, or of all, oldest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        statement = "SELECT * FROM ocr_attempt WHERE %(key)s::uuid IS NULL OR queue_id = %(key)s ORDER BY id"
        return cursor.execute(statement, {"key": key}).fetchall()


def everything(connection: Connection) -> tuple[list[Any], list[Any]]:
    """Return both tables, to show that nothing changed."""
    return (
        connection.execute("SELECT * FROM extraction_queue ORDER BY id").fetchall(),
        connection.execute("SELECT * FROM ocr_attempt ORDER BY id").fetchall(),
    )


def claim(
    connection: Connection,
    limit: int = 1,
    *,
    sources: Sequence[str] = ("index",),
    worker_id: str = "ocr-monitor-1",
    run_id: str | None = None,
    position: ClaimPosition | None = None,
) -> list[Claim]:
    """Claim with a lease that outlasts the test."""
    return claims.claim_documents(
        connection,
        limit=limit,
        sources=sources,
        worker_id=worker_id,
        run_id=run_id,
        lease=LEASE,
        position=position,
    )


def claim_one(connection: Connection) -> Claim:
    """Claim the one document that is ready."""
    [only] = claim(connection)
    return only


def record_failure(
    connection: Connection,
    held: Claim,
    failure: Failure = TIMEOUT,
    *,
    retry_base_seconds: float = 30.0,
    mirror_errors: bool = True,
    exhausted_status: int = 3,
) -> Recording:
    """Record a failure under the default settings."""
    return outcomes.record_failure(
        connection,
        held,
        failure,
        error=ERROR_PREFIX + failure.sentence,
        fetch_seconds=0.5,
        source_bytes=2048,
        retry_base_seconds=retry_base_seconds,
        mirror_errors=mirror_errors,
        exhausted_status=exhausted_status,
    )


def succeed(connection: Connection, held: Claim, reading: OcrResult = READING) -> bool:
    """Record a text, again while its row is locked; return whether it was accepted."""
    return _unlocked(lambda: outcomes.record_texts(connection, [(held, reading)])[held.token])


def fail(connection: Connection, held: Claim, failure: Failure = TIMEOUT, **options: Any) -> bool:
    """Record a failure, again while its row is locked; return whether it was accepted."""
    return _unlocked(lambda: record_failure(connection, held, failure, **options))


def _unlocked(record: Callable[[], Recording]) -> bool:
    recording = Recording.LOCKED

    def is_decided() -> bool:
        nonlocal recording
        recording = record()
        return recording is not Recording.LOCKED

    wait_until(is_decided)
    return recording is Recording.RECORDED


def recover_all(connection: Connection, *, mirror_errors: bool = True, exhausted_status: int = 3) -> RecoveryResult:
    """Recover under the default settings."""
    return recover(
        connection,
        RecoveryTerms(["index"], STUCK_AFTER, mirror_errors=mirror_errors, exhausted_status=exhausted_status),
    )


def rows_to_recover(connection: Connection) -> int:
    """Return how many rows `recover_all` would change."""
    return count_needing_recovery(connection, sources=["index"], stuck_after=STUCK_AFTER)


def requeue(connection: Connection, filters: ExhaustedFilter, **options: Any) -> list[ExhaustedDocument]:
    """Requeue exhausted documents; return them as they were before."""
    requeued: list[ExhaustedDocument] = []
    changed = requeue_exhausted(connection, filters, on_requeued=requeued.extend, **options)
    assert changed == ChangeResult(len(requeued))
    return requeued


def reread(connection: Connection, **options: Any) -> list[UUID]:
    """Have documents of the source index read again; return which."""
    requested: list[UUID] = []
    changed = request_reread(connection, **{"sources": ["index"], **options}, on_requested=requested.extend)
    assert changed == ChangeResult(len(requested))
    return requested


def repaired(**numbers: int) -> RecoveryResult:
    """Return the result of `recover_all` for these repairs."""
    counts: dict[str, int] = {**dict.fromkeys(Repair, 0), **numbers}
    return RecoveryResult(**counts)  # type: ignore[arg-type]  # the other fields have defaults


def expire(connection: Connection, held: Claim) -> None:
    """Let the lease of a claim expire."""
    change(connection, "ocr_attempt", held.token, lease_expires_at=ago("1 second"))
