"""Limits of a document and of a worker.

Enforced where the work is done: file, pages and pixels in `input.probe` and `input.page_loading`, seconds in
`workers.document_pool`, memory in `workers.resource_limits`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits that a hundred A3 pages of 600 dpi stay well within, and that a bomb does not.

    A3 at 600 dpi is 7,016 x 9,921 = 70 million pixels, two such pages side by side 139 million. As JPEG it has some 10
    to 17 MB, so that a hundred make up to 1.7 GB. Seconds are CPU seconds of the worker and of the programs that it starts,
    so that a busy machine ends with the same text as a quiet one. `page_seconds` bounds rendering and recognition of a
    page together: a dense one takes 1 to 8 s, one of 70 million pixels 3 s more, a page full of print of 4.5 points 43 s.
    `document_seconds` bounds all pages and the opening: 500 pages of 7 s. `idle_seconds` alone are seconds of the clock: a
    worker that uses next to no CPU time for so long hangs. `worker_bytes` is what one worker may allocate; a colour page
    of `page_pixels` with transparency needs 1.1 GB.
    """

    file_bytes: int = 2 * 1024**3
    pages: int = 500
    page_pixels: int = 150_000_000
    page_seconds: float = 120.0
    document_seconds: float = 7200.0
    idle_seconds: float = 120.0
    worker_bytes: int = 2 * 1024**3
