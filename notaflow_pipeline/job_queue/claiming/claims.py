"""Claims documents for OCR.

A claim is one short transaction; times are those of the database. `lease_renewal` renews claims, `outcomes` and `releases`
end them. A document that the database refuses to claim, because of a constraint, trigger or policy of another program, is
left out.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import class_row, scalar_row

from notaflow_pipeline.job_queue.claiming.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.claiming.claim_preparation import end_backoff, skip_used_tokens, write_missing_maxima
from notaflow_pipeline.job_queue.claiming.claim_statements import ClaimScope, claim_statement, reread_statement
from notaflow_pipeline.job_queue.claiming.ready_rows import find_hidden
from notaflow_pipeline.job_queue.database.chunks import Refusals, change_at_once, change_rows, describe_error
from notaflow_pipeline.job_queue.database.connections import ClaimsRefused
from notaflow_pipeline.job_queue.database.hidden_rows import HIDDEN
from notaflow_pipeline.job_queue.database.sessions import short_statement
from notaflow_pipeline.job_queue.model import Claim, storable
from notaflow_pipeline.job_queue.refusals import record_refusals
from notaflow_pipeline.plurals import count_of

log = logging.getLogger(__name__)

MAX_REFUSED_IN_SUCCESSION = 1000
"""A claim ends after this number of refused documents, because the documents are not the cause. Each takes about a
millisecond."""

_Statement = Callable[[int, ClaimScope], bytes]
"""Returns the statement for a number of documents and a scope."""


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
        connection: outside any transaction, except to try a claim and roll it back.
        limit: documents, at least 1.
        sources: enabled document sources.
        worker_id: `OCR_WORKER_ID`.
        run_id: the Dagster run, or None outside Dagster.
        lease: how long the claim holds without a renewal.
        instance: identifies the claiming process, so that it can release claims whose commit it did not see.
        position: where the worker's last claim ended, from which the next claim may continue, and which documents it
            leaves out; without it, or if too few documents follow, the claim starts at the head of the queue.

    Raises:
        SchemaMismatch: the token sequence is too far behind the table for a worker to advance it.
        ClaimsRefused: the database refuses to claim any of the ready documents.
    """
    position = position or ClaimPosition()
    enabled = tuple(sources)
    arguments = {
        "worker_id": storable(worker_id),
        "run_id": run_id and storable(run_id),
        "lease": lease,
        "instance": instance,
    }
    claimer = _Claimer(connection, arguments, limit, position)

    def unread(limit: int, scope: ClaimScope) -> bytes:
        return claim_statement(enabled, limit, scope)

    def to_reread(limit: int, scope: ClaimScope) -> bytes:
        return reread_statement(enabled, limit, scope)

    try:
        after = position.after
        if after is not None:
            claimer.claim(unread, ClaimScope.AFTER, after=after)
        from_head = claimer.remaining > 0
        if from_head:
            end_backoff(connection, position, claimer.refusals)
            claimer.claim(unread)
        if claimer.remaining and write_missing_maxima(connection, sources, position, claimer.refusals):
            claimer.claim(unread)
        position.note_claims(claimer.claimed, limit=limit, from_head=from_head)
        if claimer.remaining:
            claimer.claim(to_reread)
        if not claimer.claimed:
            claimer.note_hidden(sources)
        claimer.record_refusals()
    except psycopg.Error as error:
        # what was claimed before the error must be read
        if not claimer.claimed:
            raise
        log.warning("fewer documents were claimed than are ready (%s)", describe_error(error))
    claimer.report_refusals()
    return claimer.claimed


class _Claimer:
    """Claims documents with several statements, one after another."""

    def __init__(
        self, connection: Connection, arguments: Mapping[str, object], limit: int, position: ClaimPosition
    ) -> None:
        self._connection = connection
        self._arguments = arguments
        self._limit = limit
        self._position = position
        self.refusals = Refusals(max_in_succession=MAX_REFUSED_IN_SUCCESSION + 1)
        self.claimed: list[Claim] = []

    @property
    def remaining(self) -> int:
        """How many documents are still wanted."""
        return self._limit - len(self.claimed)

    def claim(self, statement: _Statement, scope: ClaimScope = ClaimScope.HEAD, **more: object) -> None:
        """Claim the wanted documents at once, or one by one if the database refuses."""
        arguments = {**self._arguments, "left_out": self._position.left_out, **more}

        def claim_at_once() -> None:
            self.claimed += _claim(self._connection, statement(self.remaining, scope), arguments)

        change_at_once(self._connection, claim_at_once, lambda: self._claim_singly(statement))

    def note_hidden(self, sources: Sequence[str]) -> None:
        """Count the ready documents that a policy hides from claims as refused."""
        hidden = find_hidden(self._connection, sources, self._position.left_out)
        self.refusals.note(hidden, HIDDEN)
        self._position.leave_out(hidden)

    def record_refusals(self) -> None:
        """Record the refused documents in `ocr_refusal`."""
        if self.refusals.rows:
            with short_statement(self._connection):
                record_refusals(self._connection, self.refusals.keys, self.refusals.reason)

    def report_refusals(self) -> None:
        """Log that documents were left out.

        Raises:
            ClaimsRefused: no other document was claimed.
        """
        if not self.refusals.rows:
            return
        message = (
            f"the database refuses to claim {count_of(self.refusals.rows, 'ready document')}, such as "
            f"{self.refusals.keys[0]} ({self.refusals.reason})"
        )
        if not self.claimed:
            raise ClaimsRefused(message, self.refusals.keys, self.refusals.reason)
        log.warning("%s; others were claimed", message)

    def _claim_singly(self, statement: _Statement) -> None:
        """Claim one document after another from the head; those that the database refuses to claim are left out."""
        skip_used_tokens(self._connection)
        tried = self._position.left_out
        while self.remaining and self.refusals.in_succession < MAX_REFUSED_IN_SUCCESSION:
            candidates = self._candidates(statement(self.remaining, ClaimScope.CANDIDATES), tried)
            if not candidates:
                break
            tried += candidates
            for document in candidates:
                self.claimed += change_rows(
                    self._connection,
                    [document],
                    partial(self._claim_only, statement(1, ClaimScope.ONLY)),
                    self.refusals,
                )
        self._position.leave_out(self.refusals.keys)

    def _candidates(self, statement: bytes, tried: list[UUID]) -> list[UUID]:
        with short_statement(self._connection), self._connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(statement, {"left_out": tried}).fetchall()

    def _claim_only(self, statement: bytes, documents: Sequence[UUID]) -> list[Claim]:
        [document] = documents
        return _claim_once(self._connection, statement, {**self._arguments, "left_out": [], "only": document})


def _claim(connection: Connection, statement: bytes, arguments: Mapping[str, object]) -> list[Claim]:
    """Run one claim; a second time if the token sequence was behind the table."""
    try:
        return _claim_once(connection, statement, arguments)
    except psycopg.errors.UniqueViolation as used:
        if used.diag.constraint_name != "ocr_attempt_pkey":
            raise
    skip_used_tokens(connection)
    return _claim_once(connection, statement, arguments)


def _claim_once(connection: Connection, statement: bytes, arguments: Mapping[str, object]) -> list[Claim]:
    with short_statement(connection), connection.cursor(row_factory=class_row(Claim)) as cursor:
        return cursor.execute(statement, arguments).fetchall()
