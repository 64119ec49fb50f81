"""Limits of a document and of a worker.

The limits are enforced where the work is done: file size, pages and pixels in `input.probe` and `input.page_loading`,
seconds in `workers.document_pool`, memory in `workers.resource_limits`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits that accept a hundred A3 pages of 600 dpi and reject decompression bombs.

    An A3 page at 600 dpi has 7,016 x 9,921 = 70 million pixels; two such pages side by side have 139 million. As a JPEG
    such a page has 10 to 17 MB, so a hundred have up to 1.7 GB. Seconds are CPU seconds of the worker and of the
    programs that it starts, so a busy machine produces the same text as an idle one. `page_seconds` limits rendering
    and recognition of a page together: a dense page takes 1 to 8 s, a page of 70 million pixels 3 s more, a page full
    of print of 4.5 points 43 s. `document_seconds` limits all pages and the probe of the file: 500 pages of 7 s.
    `idle_seconds` is the only limit in seconds of wall-clock time: a worker that uses almost no CPU time for so long
    hangs. `worker_bytes` is the memory that one worker may allocate; a colour page of `page_pixels` with transparency
    needs 1.1 GB.
    """

    file_bytes: int = 2 * 1024**3
    pages: int = 500
    page_pixels: int = 150_000_000
    page_seconds: float = 120.0
    document_seconds: float = 7200.0
    idle_seconds: float = 120.0
    worker_bytes: int = 2 * 1024**3
