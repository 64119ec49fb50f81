"""Checks whether this login can claim and finish a document, and rolls everything back.

Triggers of other programs may refuse what the privileges allow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from psycopg import Connection, sql

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.claiming import claims, outcomes, releases
from notaflow_pipeline.job_queue.claiming.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.claiming.claim_statements import claimable
from notaflow_pipeline.job_queue.database.chunks import DROPPED
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused, OutcomeRefused
from notaflow_pipeline.job_queue.database.foreign_triggers import TriggerLacksPrivilege, explaining_triggers
from notaflow_pipeline.job_queue.database.transient import is_transient
from notaflow_pipeline.job_queue.enqueue import NewDocument, enqueue_document
from notaflow_pipeline.job_queue.model import Claim, Failure, OcrResult, Outcome, Recording
from notaflow_pipeline.job_queue.refusals import record_refusals
from notaflow_pipeline.job_queue.started_at import CLAIM_ENDED

_WORKER = "notaflow doctor"

_RESULT = OcrResult(
    text="", pages=1, mean_confidence=None, fetch_seconds=0.0, ocr_seconds=0.0, source_bytes=0, engine=_WORKER
)

_FAILURE = Failure(FailureKind.ENGINE, "Tried by notaflow doctor.")

_RELEASE_REASON = "tried by notaflow doctor"


UNCLAIMABLE = (
    "no ready document can be claimed: other sessions have locked all of them, or a row-level security policy keeps this "
    "login from changing them"
)


@dataclass(frozen=True)
class ClaimCheck:
    """Whether a document could be claimed and finished, and what was found."""

    ok: bool
    detail: str


def check_claim(connection: Connection, sources: Sequence[str]) -> ClaimCheck:
    """Claim a document, finish it in each way, and roll everything back; one token of the sequence is used up.

    If no document is ready, the transaction makes one ready, or adds one if this login may.
    """
    try:
        with explaining_triggers(), connection.transaction(force_rollback=True):
            return _claim_and_finish(connection, sources)
    except OutcomeRefused as refused:
        return ClaimCheck(ok=False, detail=f"a document was claimed, but not finished: {refused}")
    except ClaimsRefused as refused:
        return ClaimCheck(ok=False, detail=str(refused))
    except psycopg.Error as error:
        return _describe_claim_error(error)


def find_refusal(connection: Connection, sources: Sequence[str], position: ClaimPosition) -> str | None:
    """Claim a document and roll that back; return why no ready one can be claimed, and record that, or None."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            claim = _claim(connection, sources, position)
    except ClaimsRefused as refused:
        record_refusals(connection, refused.documents, refused.reason)
        return str(refused)
    return None if claim else UNCLAIMABLE


# deferred constraint triggers would never run: nothing is committed
_BEGIN = """
SET CONSTRAINTS ALL IMMEDIATE;
SET LOCAL lock_timeout = '2s';
DELETE FROM ocr_pause;
"""


def _claim_and_finish(connection: Connection, sources: Sequence[str]) -> ClaimCheck:
    connection.execute(_BEGIN)
    claim = _claim(connection, sources) or _claim_prepared(connection, sources)
    if claim is None and _has_ready(connection, sources):
        return ClaimCheck(ok=True, detail=f"not checked: {UNCLAIMABLE}")
    if claim is None:
        return ClaimCheck(ok=True, detail="not checked: there is no document to claim, and this login may not add one")
    for outcome, works in (
        (Outcome.RELEASED, _can_release(connection, claim)),
        (Outcome.FAILED, _can_record_failure(connection, claim)),
        (Outcome.SUCCEEDED, _can_record_text(connection, claim)),
    ):
        if not works:
            return ClaimCheck(
                ok=False,
                detail=f"a document was claimed, but could not be recorded as {outcome}: {DROPPED}. No row was changed.",
            )
    return ClaimCheck(ok=True, detail="a document was claimed and finished, and everything was rolled back")


def _claim(connection: Connection, sources: Sequence[str], position: ClaimPosition | None = None) -> Claim | None:
    lease = timedelta(minutes=1)
    claimed = claims.claim_documents(
        connection, limit=1, sources=sources, worker_id=_WORKER, run_id=None, lease=lease, position=position
    )
    return claimed[0] if claimed else None


_HAS_READY = sql.SQL("""
SELECT EXISTS (
    SELECT
    FROM extraction_queue
    WHERE {claimable}
      AND ocr_next_attempt_at IS NULL
)
""")


def _has_ready(connection: Connection, sources: Sequence[str]) -> bool:
    return any(
        connection.execute(_HAS_READY.format(claimable=claimable(source))).fetchone() == (True,) for source in sources
    )


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
    FOR NO KEY UPDATE SKIP LOCKED
)
"""


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


def _can_release(connection: Connection, claim: Claim) -> bool:
    with connection.transaction(force_rollback=True):
        return releases.release(connection, [claim.token], reason=_RELEASE_REASON) == 1 and _has_ended(
            connection, claim
        )


def _can_record_failure(connection: Connection, claim: Claim) -> bool:
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
        return recording is Recording.RECORDED and _has_ended(connection, claim)


def _can_record_text(connection: Connection, claim: Claim) -> bool:
    with connection.transaction(force_rollback=True):
        recorded = outcomes.record_texts(connection, [(claim, _RESULT)])
        return recorded[claim.token] is Recording.RECORDED and _has_ended(connection, claim)


_HAS_ENDED = sql.SQL("""
SELECT {ended}
FROM extraction_queue AS q
WHERE q.id = %(id)s
""").format(ended=CLAIM_ENDED)


def _has_ended(connection: Connection, claim: Claim) -> bool:
    """Whether the row is as the outcome left it: a trigger can change an accepted update, also after it."""
    return connection.execute(_HAS_ENDED, {"id": claim.document_id}).fetchone() == (True,)


def _describe_claim_error(error: psycopg.Error) -> ClaimCheck:
    """Describe the error; of a server error only its class, because its text can contain values of a row."""
    if error.diag.sqlstate is None:
        return ClaimCheck(ok=False, detail=str(error))
    advice = " Try again." if is_transient(error) else ""
    return ClaimCheck(
        ok=False, detail=f"claiming fails with {type(error).__name__} (SQLSTATE {error.sqlstate}).{advice}"
    )
