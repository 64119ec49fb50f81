"""Detects truncated PDFs that can be opened: their pages may be intact, while other pages are missing."""

import os
import re
from pathlib import Path

TAIL_BYTES = 4096
"""Number of last bytes in which the end mark is searched; some servers append a web page after it."""

HEAD_BYTES = 2048


def is_cut_short(path: Path) -> bool:
    """Whether a PDF has no end mark near its end, or states a length greater than its size (linearised files do)."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        file.seek(max(0, size_bytes - TAIL_BYTES), os.SEEK_SET)
        tail = file.read()
    stated = LINEARISED.search(head)
    if stated and int(stated[1]) > size_bytes:
        return True
    return b"startxref" not in tail and b"%%EOF" not in tail


LINEARISED = re.compile(rb"/Linearized\b[^>]{0,200}?/L\s+(\d{1,12})\b", re.DOTALL)
