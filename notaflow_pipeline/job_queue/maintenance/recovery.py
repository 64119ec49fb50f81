"""Recovers rows whose worker is lost, and rows that appear in no list.

Expired leases, stuck claims of other programs, open attempts, texts without their status, missing maxima: `repairs` has the
statements. Each repair of an attempt records its reason, and a repair that fails does not prevent the others. `requeue`
requeues exhausted documents.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta

import psycopg
from psycopg import Connection

from notaflow_pipeline.job_queue.database.chunks import Refusals, describe_error
from notaflow_pipeline.job_queue.maintenance.repairs import Repair, repair_rows


@dataclass(frozen=True)
class RecoveryTerms:
    """Which rows are recovered, and how failures are recorded."""

    sources: Sequence[str]
    """Enabled document sources."""

    stuck_after: timedelta
    """How long a row without a lease may stay at 6 (`OCR_STUCK_MINUTES`)."""

    mirror_errors: bool = True
    """Whether the error is written to `error_message` too."""

    exhausted_status: int = 3
    """Status of an exhausted document, 3 or 4 (`OCR_EXHAUSTED_STATUS`)."""


@dataclass(frozen=True)
class RecoveryResult:
    """How many rows each kind of repair changed, and which repairs failed."""

    expired_leases: int = 0
    orphaned_attempts: int = 0
    stuck_elsewhere: int = 0
    texts_without_status: int = 0
    missing_maxima: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    """Kinds of repair that the database refused, for all or for some rows, with the reason."""

    complete: bool = True
    """Whether every row was checked within the given time."""

    @property
    def counts(self) -> dict[str, int]:
        """The repaired rows by kind of repair."""
        return {name: count for name, count in asdict(self).items() if name in set(Repair)}

    @property
    def total(self) -> int:
        """The number of repaired rows."""
        return sum(self.counts.values())

    def __add__(self, other: "RecoveryResult") -> "RecoveryResult":
        """Return the sum of both."""
        counts = {name: count + other.counts[name] for name, count in self.counts.items()}
        failed = {**self.failed, **other.failed}
        return RecoveryResult(**counts, failed=failed, complete=self.complete and other.complete)


def recover(
    connection: Connection,
    terms: RecoveryTerms,
    *,
    repairs: Iterable[Repair] = tuple(Repair),
    seconds: float | None = None,
    on_progress: Callable[[str, int], None] = lambda _name, _rows: None,
) -> RecoveryResult:
    """Return every row of a lost worker to ready, or to exhausted if its attempts are used up.

    Each kind of repair is made in short transactions. What one call does not reach, the next call finds.

    Args:
        connection: outside any transaction.
        terms: which rows are recovered, and how failures are recorded.
        repairs: the kinds of repair to make, in the order of `Repair`.
        seconds: each kind of repair ends with the chunk that exceeds this time; None checks all rows.
        on_progress: is called after each chunk with the kind of repair and the number of rows repaired so far.

    Raises:
        psycopg.Error: the connection is lost. Every other error is in the result.
    """
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    arguments = {
        "sources": list(terms.sources),
        "stuck_after": terms.stuck_after,
        "mirror": terms.mirror_errors,
        "exhausted_status": terms.exhausted_status,
    }
    counts = dict.fromkeys(map(str, Repair), 0)
    failed: dict[str, str] = {}
    complete = True
    for kind in repairs:
        refusals = Refusals()
        try:
            for repaired in repair_rows(connection, kind, arguments, refusals):
                counts[kind] += repaired
                on_progress(kind, counts[kind])
                if time.monotonic() > deadline:
                    complete = False
                    break
        except psycopg.Error as error:
            if connection.closed:
                raise
            failed[kind] = describe_error(error)
        if refusals.rows:
            failed.setdefault(kind, refusals.describe())
    return RecoveryResult(**counts, failed=failed, complete=complete)
