"""Where the pages lie: a folder that only this user can open, and for a day at most."""

import stat
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

KEPT = timedelta(days=1)
"""A page holds a document's text and images, and `notaflow view` makes it again at any time."""


def page_file(home: Path, document_id: UUID) -> Path:
    """Return where the page of a document lies."""
    return home.absolute() / "views" / f"{document_id}.html"


def write_private(page: str, path: Path) -> None:
    """Write a page that only this user can read (mode 0600), whole or not at all.

    Raises:
        OSError: it cannot be written there; what was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    # made with mode 0600, which it keeps
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="replace", dir=path.parent, delete=False) as file:
        try:
            file.write(page)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def remove_old_pages(home: Path) -> int:
    """Remove pages that are older than `KEPT`, and what interrupted commands left; return how many were removed."""
    removed = 0
    before = time.time() - KEPT.total_seconds()
    folder = home.absolute() / "views"
    if not folder.is_dir():
        return 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process removed it
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_mtime < before:
                path.unlink()
                removed += 1
    return removed
