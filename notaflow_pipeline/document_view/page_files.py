"""Stores the pages for at most a day, in a folder that only this user can open."""

import stat
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from notaflow_pipeline.atomic_files import PRIVATE, write_atomically

MAX_AGE = timedelta(days=1)
"""A page contains a document's text and images, and `notaflow view` can make it again at any time."""


def page_file(home: Path, document_id: UUID) -> Path:
    """Return the path of the page of a document."""
    return home.absolute() / "views" / f"{document_id}.html"


def write_private(page: str, path: Path) -> None:
    """Write a page that only this user can read (mode 0600), whole or not at all.

    Raises:
        OSError: it cannot be written there; an existing file is not changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    write_atomically(page, path, PRIVATE)


def remove_old_pages(home: Path) -> int:
    """Remove pages that are older than `MAX_AGE`, and incomplete files of interrupted commands; return how many."""
    removed = 0
    before = time.time() - MAX_AGE.total_seconds()
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
