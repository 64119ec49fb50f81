"""Opens image files that begin after blank bytes: some web servers add line ends before them, some editors a byte
order mark."""

import io
import re
from pathlib import Path
from typing import IO

MAX_BLANK_BYTES = 256

BLANK = re.compile(rb"(?:\xef\xbb\xbf)?[\t\n\r ]*")


def blank_bytes(head: bytes) -> int:
    """Returns the number of blank bytes at the start of a file; 0 if there are more than a mistake explains."""
    found = BLANK.match(head)
    return found.end() if found and found.end() <= MAX_BLANK_BYTES else 0


def open_after_blank_bytes(path: Path) -> IO[bytes]:
    """Opens a file at its first byte that is not blank.

    A file with blank bytes is read into memory, because its offsets count from the first other byte.
    """
    file = path.open("rb")
    skipped = blank_bytes(file.read(MAX_BLANK_BYTES + 16))
    file.seek(skipped)
    if not skipped:
        return file
    with file:
        return io.BytesIO(file.read())
