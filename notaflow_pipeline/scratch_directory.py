"""Creates private temporary folders, and removes those of processes that were killed.

Fetched files and page images are personal data, and a process killed by SIGKILL cannot remove them. A process locks a file in
its folder; the kernel releases the lock when the process ends. Unlike a PID, a lock is valid in all containers that share the
disk.
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
LOCK_NAME = "held"
UNLOCKED_NAME = "new"
"""Name of the lock file until it is locked, so that no process finds it unlocked; permanent on disks without locks."""

MAX_CREATION_SECONDS = 3600.0
"""An older folder without a lock file is not being created: its removal was incomplete."""


class ScratchDirectory:
    """A folder that only this user can access, until `remove` is called, or a later process finds that this one has ended.

    `within` is its parent, by default the system's temporary folder. Creating one removes the folders of killed processes of
    this user. Raises OSError if no folder can be created.
    """

    def __init__(self, within: Path | None = None) -> None:
        parent = within or Path(tempfile.gettempdir())
        remove_abandoned_directories(parent)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._locks = ExitStack()
        with suppress(OSError):  # the next write reports a full disk; without locks others never remove it
            lock = self._locks.enter_context((self.path / UNLOCKED_NAME).open("x"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            (self.path / UNLOCKED_NAME).rename(self.path / LOCK_NAME)

    def remove(self) -> None:
        """Remove the folder and its content; the next process removes what could not be removed."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._locks.close()


def remove_abandoned_directories(parent: Path) -> None:
    """Remove the folders of this user's processes that have ended."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if _is_ours(folder) and not _is_held(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_held(folder: Path) -> bool:
    try:
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return (folder / UNLOCKED_NAME).exists() or time.time() - folder.stat().st_mtime < MAX_CREATION_SECONDS
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
