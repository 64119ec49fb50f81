"""Whether a PDF that could be opened ends before its end: its pages may be whole, and others missing."""

import os
import re
from pathlib import Path

TAIL_BYTES = 4096
"""How far before the end of a file its end mark is looked for; some servers add a page of their own behind it."""

HEAD_BYTES = 2048


def is_cut_short(path: Path) -> bool:
    """Whether a PDF has no end mark near its end, or says that it is longer than it is (linearised files do)."""
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
