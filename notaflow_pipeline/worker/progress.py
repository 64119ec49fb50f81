"""Counts the documents and pages of a batch."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Counts of documents, unless the name says pages."""

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
