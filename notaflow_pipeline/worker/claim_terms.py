"""The terms of a worker's claims: its identity, the lease, and how failures are handled.

Apart from `assembly`, which imports OCR: commands that only look at the queue start in half the time.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

from notaflow_pipeline.job_queue.maintenance.recovery import RecoveryTerms
from notaflow_pipeline.settings import Settings


@dataclass(frozen=True)
class ClaimTerms:
    """What a worker passes with its claims and outcomes: its identity, the lease, and how failures are handled."""

    worker_id: str
    run_id: str | None
    sources: tuple[str, ...]
    lease: timedelta
    retry_base_seconds: float
    stuck_after: timedelta
    mirror_errors: bool = True
    exhausted_status: int = 3
    instance: UUID = field(default_factory=uuid4)
    """Identifies this process's claims: two workers may share a worker id, but never an instance."""

    @property
    def recovery(self) -> RecoveryTerms:
        """The terms of recovery by this worker."""
        return RecoveryTerms(self.sources, self.stuck_after, self.mirror_errors, self.exhausted_status)


def configured_terms(settings: Settings, run_id: str | None) -> ClaimTerms:
    """Return the terms of claims that the settings describe; `run_id` is the Dagster run, None outside Dagster."""
    return ClaimTerms(
        worker_id=settings.worker_id,
        run_id=run_id,
        sources=settings.sources,
        lease=settings.lease,
        retry_base_seconds=settings.retry_base_seconds,
        stuck_after=timedelta(minutes=settings.stuck_minutes),
        mirror_errors=settings.mirror_errors,
        exhausted_status=settings.exhausted_status,
    )
