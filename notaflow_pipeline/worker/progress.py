"""How far the work on documents has come."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Progress:
    """How far the work has come, in documents unless it says pages."""

    claimed: int = 0
    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    pages: int = 0
    """Of documents that were read."""

    pages_in_progress: int = 0
    """Pages that are read already of documents that are not."""

    @property
    def finished(self) -> int:
        """Documents that ended, with an outcome that was accepted or one that came too late."""
        return self.succeeded + self.failed.total() + self.lost

    def __add__(self, other: "Progress") -> "Progress":
        """Return both together."""
        return Progress(
            claimed=self.claimed + other.claimed,
            succeeded=self.succeeded + other.succeeded,
            failed=self.failed + other.failed,
            lost=self.lost + other.lost,
            pages=self.pages + other.pages,
            pages_in_progress=self.pages_in_progress + other.pages_in_progress,
        )
