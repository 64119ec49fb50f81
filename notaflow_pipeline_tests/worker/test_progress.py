"""How progress is described, with the time that is left."""

from collections import Counter

import pytest

from notaflow_pipeline.worker.progress import Progress


@pytest.mark.parametrize(
    ("finished", "total", "elapsed", "described"),
    [
        (0, 32, 5, "0 of 32 documents"),
        (2, 32, 16, "2 of 32 documents, about 4 min left"),
        (31, 32, 310, "31 of 32 documents, about 10 s left"),
        (1, 50_001, 1, "1 of 50,001 documents, about 13.9 h left"),
        (1, 1, 10, "1 of 1 document"),
        (40, 32, 10, "40 of 40 documents"),
    ],
)
def test_progress_names_the_total_and_the_time_left(finished: int, total: int, elapsed: float, described: str) -> None:
    progress = Progress(claimed=finished, succeeded=finished - 1, failed=Counter(timeout=1)) if finished else Progress()
    assert progress.describe(total, elapsed) == described
