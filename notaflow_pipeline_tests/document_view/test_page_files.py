"""Tests of page files: only this user can read them, and they are removed after a day."""

import os
import stat
from pathlib import Path

import pytest

from notaflow_pipeline.document_view.page_files import MAX_AGE, page_file, remove_old_pages, write_private
from notaflow_pipeline_tests.document_view import KEY


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_page_and_folder_are_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        path = page_file(tmp_path / "home", KEY)
        write_private("first", path)
        write_private("second \udcff", path)
    finally:
        os.umask(before)
    assert path.read_text() == "second ?"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_page_is_private_before_anything_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    replace = Path.replace

    def look(self: Path, target: Path) -> Path:
        modes.append(stat.S_IMODE(self.stat().st_mode))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", look)
    before = os.umask(0)
    try:
        write_private("text", page_file(tmp_path, KEY))
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_existing_readable_page_becomes_private(tmp_path: Path) -> None:
    path = page_file(tmp_path, KEY)
    path.parent.mkdir(mode=0o755)
    path.write_text("old")
    path.chmod(0o644)
    write_private("new", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    path = page_file(tmp_path, KEY)
    path.mkdir(parents=True)  # so that the page cannot take its place
    with pytest.raises(OSError, match="directory"):
        write_private("text", path)
    assert list(path.parent.iterdir()) == [path]


def test_pages_older_than_a_day_are_removed_and_nothing_else(tmp_path: Path) -> None:
    assert remove_old_pages(tmp_path) == 0
    path = page_file(tmp_path, KEY)
    write_private("young", path)
    outside = tmp_path / "outside.html"
    outside.write_text("not ours")
    old = [path.with_name("old.html"), path.with_name("tmp1234")]
    for one in old:
        one.write_text("old")
    (path.parent / "link.html").symlink_to(outside)
    (path.parent / "folder").mkdir()
    past = path.stat().st_mtime - MAX_AGE.total_seconds() - 60
    for one in (*old, outside, path.parent / "folder"):
        os.utime(one, (past, past))
    assert remove_old_pages(tmp_path) == 2
    assert sorted(one.name for one in path.parent.iterdir()) == sorted([path.name, "link.html", "folder"])
    assert outside.exists()
