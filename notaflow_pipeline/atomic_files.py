"""Writes a file completely or not at all, so that no reader sees a part of it."""

import os
import tempfile
from pathlib import Path

PRIVATE = 0o600
"""The mode of a file that only this user can read."""


def write_atomically(text: str, path: Path, mode: int | None = None) -> None:
    """Write a file, and create its folder; an existing file is replaced.

    Args:
        text: its content; characters that UTF-8 does not have become `?`.
        path: where it is written.
        mode: its permissions, which it has before it has any content; None for those of the umask.

    Raises:
        OSError: it cannot be written there; an existing file is not changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # created with the mode PRIVATE
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", errors="replace", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        written = Path(file.name)
        try:
            written.chmod(0o666 & ~_umask() if mode is None else mode)
            file.write(text)
            file.close()
            written.replace(path)
        except BaseException:
            written.unlink(missing_ok=True)
            raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
