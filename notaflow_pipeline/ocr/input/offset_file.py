"""An image file that begins behind blank bytes: web servers put line ends, and editors a byte order mark, before it."""

import io
import re
from pathlib import Path
from typing import IO

MAX_BLANK_BYTES = 256

BLANK = re.compile(rb"(?:\xef\xbb\xbf)?[\t\n\r ]*")


def blank_bytes(head: bytes) -> int:
    """How many bytes before a file's first one are blank; 0 if there are more than anybody leaves by mistake."""
    found = BLANK.match(head)
    return found.end() if found and found.end() <= MAX_BLANK_BYTES else 0


def open_behind_blanks(path: Path) -> IO[bytes]:
    """A file from its first byte that is not blank; with blanks it is read into memory, for its offsets count from there."""
    file = path.open("rb")
    skipped = blank_bytes(file.read(MAX_BLANK_BYTES + 16))
    file.seek(skipped)
    if not skipped:
        return file
    with file:
        return io.BytesIO(file.read())
