"""Scratch directories of killed processes are removed; those of running processes and other users are kept."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from notaflow_pipeline.scratch_directory import (
    LOCK_NAME,
    MAX_CREATION_SECONDS,
    PREFIX,
    UNLOCKED_NAME,
    ScratchDirectory,
    remove_abandoned_directories,
)
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

HOLDER = """
import sys, time
from pathlib import Path
from notaflow_pipeline.scratch_directory import ScratchDirectory

held = ScratchDirectory(Path(sys.argv[1]))
(held.path / "document").write_bytes(b"a deed")
print(held.path, flush=True)
time.sleep(600)
"""


def start_holder(within: Path) -> "tuple[subprocess.Popen[str], Path]":
    """Another process that has a document in hand, and the folder in which it has it."""
    project = str(Path(__file__).parents[1])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(within)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": project},
    )
    assert holder.stdout is not None
    return holder, Path(holder.stdout.readline().strip())


def test_folder_is_private_and_can_be_removed(tmp_path: Path) -> None:
    folder = ScratchDirectory(tmp_path)
    assert folder.path.stat().st_mode & 0o777 == 0o700
    (folder.path / "document").write_bytes(b"a deed")
    folder.remove()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_folder_of_a_killed_process_is_removed_by_the_next_one(tmp_path: Path) -> None:
    holder, left = start_holder(tmp_path)
    with holder:
        mine = ScratchDirectory(tmp_path)
        assert (left / "document").read_bytes() == b"a deed", "a living process's is left alone"
        holder.send_signal(signal.SIGKILL)
        holder.wait(HANG_SECONDS)
    assert left.exists(), "nobody cleans up after SIGKILL"
    another = ScratchDirectory(tmp_path)
    assert not left.exists()
    assert mine.path.exists()
    mine.remove()
    another.remove()


def test_folders_that_may_be_in_use_are_kept(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / LOCK_NAME).touch()
    (tmp_path / f"{PREFIX}link").symlink_to(precious)
    (tmp_path / f"{PREFIX}file").touch()
    without_locks = tmp_path / f"{PREFIX}unlocked"
    without_locks.mkdir()
    (without_locks / UNLOCKED_NAME).touch()
    os.utime(without_locks, (0, 0))
    being_made = tmp_path / f"{PREFIX}new"
    being_made.mkdir()
    before = sorted(tmp_path.rglob("*"))
    remove_abandoned_directories(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_incompletely_removed_folder_is_removed_later(tmp_path: Path) -> None:
    rest = tmp_path / f"{PREFIX}rest"
    rest.mkdir()
    (rest / "document").touch()
    remove_abandoned_directories(tmp_path)
    assert rest.exists()
    made = rest.stat().st_mtime - MAX_CREATION_SECONDS - 1
    os.utime(rest, (made, made))
    remove_abandoned_directories(tmp_path)
    assert not rest.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_folder_of_another_user_is_not_removed(tmp_path: Path) -> None:
    folder = tmp_path / f"{PREFIX}other"
    folder.mkdir()
    (folder / LOCK_NAME).touch()
    os.chown(folder, 65534, 65534)
    remove_abandoned_directories(tmp_path)
    assert folder.exists()
    os.chown(folder, 0, 0)
    remove_abandoned_directories(tmp_path)
    assert not folder.exists()
