"""A small file system for the temporary files of the workers, which becomes full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SPACE_BYTES = 8 * 1024**2
LARGE_BYTES = 12 * 1024**2
"""A document of this size fits into no temporary folder of the run."""


@contextmanager
def small_folder(place: Path) -> Iterator[Path | None]:
    """Mount a small file system in memory at `place`; None if that is not allowed."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SPACE_BYTES},mode=1777", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        print("no full temporary folder: a file system cannot be mounted here (it needs root)", flush=True)
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
