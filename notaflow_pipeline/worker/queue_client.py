"""One worker's access to the queue: claims documents, records their outcomes, releases claims, recovers rows.

Binds the functions of `job_queue` to one connection pool and one worker's terms, and retries while the database is
briefly unavailable.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool, PoolTimeout

from notaflow_pipeline.job_queue.claiming import claims, outcomes, releases
from notaflow_pipeline.job_queue.claiming.claim_position import ClaimPosition
from notaflow_pipeline.job_queue.claiming.lease_renewal import LeaseRenewal
from notaflow_pipeline.job_queue.database.connections import DatabaseUnavailable
from notaflow_pipeline.job_queue.database.transient import describe_transient, is_transient, lacks_privilege_or_object
from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryResult, recover
from notaflow_pipeline.job_queue.maintenance.repairs import Repair
from notaflow_pipeline.job_queue.model import ERROR_PREFIX, Attempt, Claim, Failure, OcrResult, Recording
from notaflow_pipeline.job_queue.queries import attempts_of_document, has_unfinished
from notaflow_pipeline.job_queue.schema.check import require_schema
from notaflow_pipeline.job_queue.schema.privileges import require_privileges
from notaflow_pipeline.job_queue.unfinished import describe_blocked
from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.worker.claim_terms import ClaimTerms
from notaflow_pipeline.worker.fault_attribution import INFRASTRUCTURE_FAILURE

log = logging.getLogger(__name__)

RECOVER_SECONDS = 10.0
"""How long each kind of repair may take before the worker starts to read; the rest follows when nothing is ready."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class QueueClient:
    """The queue as one worker uses it."""

    pool: ConnectionPool[Connection]
    terms: ClaimTerms
    position: ClaimPosition = field(default_factory=ClaimPosition)
    logged_refusals: dict[str, str] = field(default_factory=dict)
    """Why the last recovery left rows, by kind of repair: what stays so is logged once."""

    def check(self) -> None:
        """Raise unless the database has the schema and this login has the privileges that a worker needs.

        Raises:
            SchemaMismatch, DatabaseUnavailable: the message says what to do; no row was changed.
        """
        with self.pool.connection() as connection:
            require_schema(connection, self.terms.sources)
            require_privileges(connection)

    def claim(self, limit: int) -> list[Claim]:
        """Claim up to `limit` documents."""
        return self.retry_until_available(
            lambda connection: claims.claim_documents(
                connection,
                limit=limit,
                sources=self.terms.sources,
                worker_id=self.terms.worker_id,
                run_id=self.terms.run_id,
                lease=self.terms.lease,
                instance=self.terms.instance,
                position=self.position,
            )
        )

    def lease_renewal(self, on_lost: Callable[[int], None]) -> LeaseRenewal:
        """Return a context manager that renews leases; `on_lost` is called with the token of each lost claim."""
        return LeaseRenewal(self.pool, self.terms.lease, on_lost)

    def attempts(self, claim: Claim) -> list[Attempt]:
        """Return the attempts of a claim's document, oldest first, with the open one."""
        return self.retry_until_available(
            lambda connection: attempts_of_document(connection, claim.document_id), holds_claims=True
        )

    def has_unfinished(self) -> bool:
        """Whether any document is neither done nor exhausted."""
        return self.retry_until_available(lambda connection: has_unfinished(connection, sources=self.terms.sources))

    def describe_blocked(self) -> str | None:
        """Return what is left if none of it will end by itself; see `unfinished`."""
        return self.retry_until_available(
            lambda connection: describe_blocked(
                connection,
                sources=self.terms.sources,
                stuck_after=self.terms.stuck_after,
                exhausted_status=self.terms.exhausted_status,
            )
        )

    def record_texts(self, texts: Sequence[tuple[Claim, OcrResult]]) -> dict[int, Recording]:
        """Record documents' texts; return the result of each by token."""
        return self.retry_until_available(
            lambda connection: outcomes.record_texts(connection, texts), holds_claims=True
        )

    def record_failure(self, claim: Claim, failure: Failure, fetch_seconds: float, source_bytes: int) -> Recording:
        """Record why a document could not be read."""
        return self.retry_until_available(
            lambda connection: outcomes.record_failure(
                connection,
                claim,
                failure,
                error=ERROR_PREFIX + failure.sentence,
                fetch_seconds=fetch_seconds,
                source_bytes=source_bytes,
                retry_base_seconds=self.terms.retry_base_seconds,
                mirror_errors=self.terms.mirror_errors,
                exhausted_status=self.terms.exhausted_status,
            ),
            holds_claims=True,
        )

    def release(self, tokens: Sequence[int], *, reason: str) -> int:
        """Release claims without counting their attempts; return how many were still held."""
        return self.retry_until_available(
            lambda connection: releases.release(connection, tokens, reason=reason), holds_claims=True
        )

    def release_when_stopping(self, held: Sequence[int], failed: Sequence[int]) -> None:
        """Release the claims `held`, and a claim that was committed while the interruption arrived.

        Tried twice, because the connection may break at this moment and a new one can be made at once. If the database is
        unavailable, the leases expire. `failed` are the tokens of failed documents, see `fault_attribution`.
        """
        reason = "the worker stopped or the infrastructure failed"
        for last in (False, True):
            try:
                with self.pool.connection(timeout=5) as connection:
                    releases.release(connection, failed, reason=INFRASTRUCTURE_FAILURE)
                    releases.release(connection, held, reason=reason)
                    releases.release_instance(connection, self.terms.instance, reason=reason)
            except (psycopg.Error, PoolTimeout) as unreachable:
                if last or isinstance(unreachable, PoolTimeout):
                    log.warning(
                        "not released: %s (%s); the leases will expire", count_of(len(held), "claim"), unreachable
                    )
                    return
            else:
                return

    def recover(self) -> RecoveryResult:
        """Make rows of lost workers ready again, for a few seconds; `complete` is true if all rows were checked.

        A repair that the database refuses is logged, and the worker goes on.

        Raises:
            DatabaseUnavailable: the database became unavailable and stayed so.
        """

        def repair(kind: Repair, connection: Connection) -> RecoveryResult:
            return recover(connection, self.terms.recovery, repairs=[kind], seconds=RECOVER_SECONDS)

        # each with its own retries: all repairs together take so many statements that they never finish on a bad network
        recovered = sum((self.retry_until_available(partial(repair, kind)) for kind in Repair), RecoveryResult())
        for what, reason in recovered.failed.items():
            if self.logged_refusals.get(what) != reason:
                log.warning("Recovery left rows as they are (%s): %s.", what.replace("_", " "), reason)
        self.logged_refusals.clear()
        self.logged_refusals.update(recovered.failed)
        return recovered

    def retry_until_available(self, operation: Callable[[Connection], Result], *, holds_claims: bool = False) -> Result:
        """Run `operation` with a connection; retry while the database is unavailable, for at most one lease.

        Args:
            operation: is run again as a whole.
            holds_claims: whether it concerns claimed documents. Then it is retried too while a privilege or a table is
                missing: without them the claims could not be released, and would cost an attempt.

        Raises:
            DatabaseUnavailable: the database stayed unavailable for that time.
            psycopg.Error: another error.
        """
        give_up_at = time.monotonic() + self.terms.lease.total_seconds()
        is_logged = False
        while True:
            try:
                with self.pool.connection() as connection:
                    return operation(connection)
            except (psycopg.Error, PoolTimeout) as error:
                missing = holds_claims and isinstance(error, psycopg.Error) and lacks_privilege_or_object(error)
                if isinstance(error, psycopg.Error) and not is_transient(error) and not missing:
                    raise
                if time.monotonic() > give_up_at:
                    if missing:
                        raise
                    raise DatabaseUnavailable(f"the database became unavailable and stayed so: {error}") from error
                if not is_logged:
                    log.warning("%s; trying again for %.0f s", describe_transient(error), give_up_at - time.monotonic())
                    is_logged = True
                time.sleep(1)
