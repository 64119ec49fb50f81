"""Claims documents for OCR.

A claim is one short transaction; times are those of the database. `lease_renewal` renews claims, `outcomes` and `releases`
end them.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import class_row

from notaflow_pipeline.job_queue.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.claim_preparation import end_backoff, skip_used_tokens, write_missing_maxima
from notaflow_pipeline.job_queue.claim_statements import claim_statement, reread_statement
from notaflow_pipeline.job_queue.database.sessions import short_statement
from notaflow_pipeline.job_queue.model import Claim, storable


def claim_documents(
    connection: Connection,
    *,
    limit: int,
    sources: Sequence[str],
    worker_id: str,
    run_id: str | None,
    lease: timedelta,
    instance: UUID | None = None,
    position: ClaimPosition | None = None,
) -> list[Claim]:
    """Claim up to `limit` documents, highest priority first, then oldest; an empty list when none is ready.

    Documents to be reread follow after all that were never read. The attempt is counted at the claim, so that a document
    that kills its worker runs out of attempts.

    Args:
        connection: outside any transaction.
        limit: documents, at least 1.
        sources: enabled document sources.
        worker_id: `OCR_WORKER_ID`.
        run_id: the Dagster run, or None outside Dagster.
        lease: how long the claim holds without a renewal.
        instance: identifies the claiming process, so that it can release claims whose commit it did not see.
        position: where the worker's last claim ended, from which the next claim may continue; without it, or if too few
            documents follow, the claim starts at the head of the queue.

    Raises:
        SchemaMismatch: the token sequence is too far behind the table for a worker to advance it.
    """
    arguments = {
        "worker_id": storable(worker_id),
        "run_id": run_id and storable(run_id),
        "lease": lease,
        "instance": instance,
    }
    enabled = tuple(sources)
    claimed: list[Claim] = []

    def claim(statement: bytes, **more: object) -> None:
        claimed.extend(_claim(connection, statement, {**arguments, **more}))

    after = position.after if position else None
    if after is not None:
        claim(claim_statement(enabled, limit, after=True), after=after)
    from_head = len(claimed) < limit
    if from_head:
        end_backoff(connection)
        claim(claim_statement(enabled, limit - len(claimed)))
    if len(claimed) < limit and write_missing_maxima(connection, sources):
        claim(claim_statement(enabled, limit - len(claimed)))
    if position:
        position.note_claims(claimed, limit=limit, from_head=from_head)
    if len(claimed) < limit:
        claim(reread_statement(enabled, limit - len(claimed)))
    return claimed


def _claim(connection: Connection, statement: bytes, arguments: dict[str, object]) -> list[Claim]:
    """Run one claim; a second time if the token sequence was behind the table."""
    try:
        return _claim_once(connection, statement, arguments)
    except psycopg.errors.UniqueViolation as used:
        if used.diag.constraint_name != "ocr_attempt_pkey":
            raise
    skip_used_tokens(connection)
    return _claim_once(connection, statement, arguments)


def _claim_once(connection: Connection, statement: bytes, arguments: dict[str, object]) -> list[Claim]:
    with short_statement(connection), connection.cursor(row_factory=class_row(Claim)) as cursor:
        return cursor.execute(statement, arguments).fetchall()
