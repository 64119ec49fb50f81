"""Folders for what a process has in hand, which the next process removes if that one was killed.

What is fetched and what pages look like are personal data, and nobody cleans up after SIGKILL. A folder is held by a lock on
a file in it, which the kernel lets go of with the process, whichever way it ends; unlike a process's number, a lock means
the same in all containers that share a disk. What lies in the folders belongs to `batch` and `ocr`.
"""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

PREFIX = "notaflow-held-"
LOCK = "held"
UNNAMED = "new"
"""What the lock is called until it is held, so that nobody finds it free; and for ever on a disk that knows no locks."""

MAKING_SECONDS = 3600.0
"""After which a folder without either is not just being made, but what could not all be removed at once."""


class ScratchDirectory:
    """A folder that no other user can look into, there until `remove`, or until this process ends and another one comes.

    `within` is where it lies, by default among the system's temporary files. Making one removes what killed processes of
    this user left there. Raises OSError where no folder can be made.
    """

    def __init__(self, within: Path | None = None) -> None:
        parent = within or Path(tempfile.gettempdir())
        remove_abandoned_directories(parent)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._locks = ExitStack()
        with suppress(OSError):  # a full disk is told by what is written next; a disk without locks keeps what is left
            lock = self._locks.enter_context((self.path / UNNAMED).open("x"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            (self.path / UNNAMED).rename(self.path / LOCK)

    def remove(self) -> None:
        """Remove it with all that is in it; what cannot be removed is left to the next process."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._locks.close()


def remove_abandoned_directories(parent: Path) -> None:
    """Remove the folders of this user's processes that are no more; nothing that a living one holds, or that is another's."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if _is_ours(folder) and not _is_held(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_held(folder: Path) -> bool:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return (folder / UNNAMED).exists() or time.time() - folder.stat().st_mtime < MAKING_SECONDS
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
