"""Counts the documents and pages of a batch."""

from collections import Counter
from dataclasses import dataclass, field

from notaflow_pipeline.plurals import count_of


@dataclass
class Progress:
    """Counts of documents, and of pages where the name has `pages`."""

    claimed: int = 0
    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    pages: int = 0
    """Pages of documents that succeeded."""

    pages_in_progress: int = 0
    """Pages already read of documents that are not finished."""

    @property
    def finished(self) -> int:
        """Documents that ended, including those whose outcome came too late."""
        return self.succeeded + self.failed.total() + self.lost

    def describe(self, total: int, elapsed_seconds: float) -> str:
        """Return `2 of 32 documents, about 4 min left`.

        Args:
            total: expected documents; more may follow.
            elapsed_seconds: since the work began; the rate so far is expected for the rest.
        """
        total = max(total, self.claimed, self.finished)
        done = f"{self.finished:,} of {count_of(total, 'document')}"
        if self.finished == 0 or self.finished >= total:
            return done
        left = elapsed_seconds * (total - self.finished) / self.finished
        if left < 90:
            return f"{done}, about {left:.0f} s left"
        return f"{done}, about {left / 60:.0f} min left" if left < 5400 else f"{done}, about {left / 3600:.1f} h left"

    def __add__(self, other: "Progress") -> "Progress":
        """Return the sum of both."""
        return Progress(
            claimed=self.claimed + other.claimed,
            succeeded=self.succeeded + other.succeeded,
            failed=self.failed + other.failed,
            lost=self.lost + other.lost,
            pages=self.pages + other.pages,
            pages_in_progress=self.pages_in_progress + other.pages_in_progress,
        )
