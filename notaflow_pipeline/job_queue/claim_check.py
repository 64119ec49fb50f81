"""Tries whether this login can claim a document and finish it, and undoes it: triggers of other programs may forbid it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from psycopg import Connection

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue import claims, outcomes, releases
from notaflow_pipeline.job_queue.database.connections import OutcomeRefused, is_transient
from notaflow_pipeline.job_queue.database.foreign_triggers import TriggerLacksPrivilege, explaining_triggers
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.model import Claim, Failure, OcrResult, Recording

_WORKER = "notaflow doctor"

_READING = OcrResult(
    text="", pages=1, mean_confidence=None, fetch_seconds=0.0, ocr_seconds=0.0, source_bytes=0, engine=_WORKER
)

_FAILURE = Failure(FailureKind.ENGINE, "Tried by notaflow doctor.")

_RELEASE_REASON = "tried by notaflow doctor"

# constraint triggers that wait for a commit would never run
_BEGIN = """
SET CONSTRAINTS ALL IMMEDIATE;
SET LOCAL lock_timeout = '2s';
DELETE FROM ocr_pause;
"""

_MAKE_READY = """
UPDATE extraction_queue
SET status_id = 3,
    file_content = NULL,
    ocr_attempts = 0,
    ocr_max_attempts = 3,
    ocr_next_attempt_at = NULL
WHERE id = (
    SELECT id
    FROM extraction_queue
    WHERE status_id IN (3, 5)
      AND document_source = ANY(%(sources)s)
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
"""


@dataclass(frozen=True)
class ClaimCheck:
    """Whether a document could be claimed and finished."""

    ok: bool
    detail: str


def check_claim(connection: Connection, sources: Sequence[str]) -> ClaimCheck:
    """Claim a document, finish it in each way, and roll everything back; a token of the sequence is used up.

    Where no document is ready, one that is not is made so, or one is added where this login may: all inside the transaction.
    """
    try:
        with explaining_triggers(), connection.transaction(force_rollback=True):
            return _try(connection, sources)
    except OutcomeRefused as refused:
        return ClaimCheck(ok=False, detail=f"a document was claimed, but not finished: {refused}")
    except psycopg.Error as error:
        return _failed(error)


def _try(connection: Connection, sources: Sequence[str]) -> ClaimCheck:
    connection.execute(_BEGIN)
    claim = _claim(connection, sources) or _claim_prepared(connection, sources)
    if claim is None:
        return ClaimCheck(
            ok=True, detail="not tried: no document is there to be claimed, and this login may not add one"
        )
    for name, works in (
        ("released", _releases(connection, claim)),
        ("failed", _fails(connection, claim)),
        ("succeeded", _succeeds(connection, claim)),
    ):
        if not works:
            return ClaimCheck(
                ok=False,
                detail=f"a document was claimed, but could not be recorded as {name}: a trigger that is not this project's "
                "changes or drops the update. No row was changed.",
            )
    return ClaimCheck(ok=True, detail="a document was claimed and finished, and all of it undone")


def _claim(connection: Connection, sources: Sequence[str]) -> Claim | None:
    claimed = claims.claim_documents(
        connection, limit=1, sources=sources, worker_id=_WORKER, run_id=None, lease=timedelta(minutes=1)
    )
    return claimed[0] if claimed else None


def _claim_prepared(connection: Connection, sources: Sequence[str]) -> Claim | None:
    if not connection.execute(_MAKE_READY, {"sources": list(sources)}).rowcount:
        try:
            with explaining_triggers(), connection.transaction():
                enqueue_document(connection, NewDocument(sources[0], "0", "notaflow-doctor.pdf"))
        except TriggerLacksPrivilege:
            raise
        except psycopg.errors.InsufficientPrivilege:
            return None
    return _claim(connection, sources)


def _releases(connection: Connection, claim: Claim) -> bool:
    with connection.transaction(force_rollback=True):
        return releases.release(connection, [claim.token], reason=_RELEASE_REASON) == 1 and _has_moved(
            connection, claim
        )


def _fails(connection: Connection, claim: Claim) -> bool:
    with connection.transaction(force_rollback=True):
        recording = outcomes.record_failure(
            connection,
            claim,
            _FAILURE,
            error=_FAILURE.sentence,
            fetch_seconds=0.0,
            source_bytes=0,
            retry_base_seconds=30.0,
            mirror_errors=True,
            exhausted_status=3,
        )
        return recording is Recording.RECORDED and _has_moved(connection, claim)


def _succeeds(connection: Connection, claim: Claim) -> bool:
    with connection.transaction(force_rollback=True):
        recorded = outcomes.record_texts(connection, [(claim, _READING)])
        return recorded[claim.token] is Recording.RECORDED and _has_moved(connection, claim)


def _has_moved(connection: Connection, claim: Claim) -> bool:
    """Whether the row is no longer under OCR: a trigger can change what an accepted update writes."""
    row = connection.execute("SELECT status_id FROM extraction_queue WHERE id = %(id)s", {"id": claim.document_id})
    return row.fetchone() != (6,)


def _failed(error: psycopg.Error) -> ClaimCheck:
    """Say what failed; of an error that is the server's own nothing but its class, since its text can repeat a row."""
    if error.diag.sqlstate is None:
        return ClaimCheck(ok=False, detail=str(error))
    passing = " Try again." if is_transient(error) else ""
    return ClaimCheck(
        ok=False, detail=f"claiming fails with {type(error).__name__} (SQLSTATE {error.sqlstate}).{passing}"
    )
