"""The local folder returns no file outside it, and no half-written file."""

import os
from pathlib import Path

import pytest

from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageUnavailable
from notaflow_pipeline.documents.local import LocalFolder
from notaflow_pipeline.documents.location import Location

PLENTY_BYTES = 1_000_000


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    (tmp_path / "documents" / "index").mkdir(parents=True)
    (tmp_path / "secret.pdf").write_bytes(b"secret")
    return LocalFolder(tmp_path / "documents")


def test_link_that_leads_out_is_refused(folder: LocalFolder, tmp_path: Path) -> None:
    (folder.root / "index" / "a.pdf").symlink_to(tmp_path / "secret.pdf")
    with pytest.raises(DocumentUnavailable) as failure:
        folder.fetch(Location("index", "a.pdf"), tmp_path / "destination", PLENTY_BYTES)
    assert failure.value.kind == "refused_location"
    assert str(tmp_path) not in failure.value.sentence
    assert not (tmp_path / "destination").exists()


def test_bucket_that_is_a_link_out_is_neither_read_nor_written(folder: LocalFolder, tmp_path: Path) -> None:
    (folder.root / "actes").symlink_to(tmp_path)
    with pytest.raises(DocumentUnavailable, match="refused"):
        folder.fetch(Location("actes", "secret.pdf"), tmp_path / "destination", PLENTY_BYTES)
    with pytest.raises(DocumentUnavailable, match="refused"):
        folder.store(Location("actes", "new.pdf"), tmp_path / "secret.pdf")
    assert not (tmp_path / "new.pdf").exists()


def test_link_that_stays_inside_is_followed(folder: LocalFolder, tmp_path: Path) -> None:
    (folder.root / "index" / "a.pdf").write_bytes(b"inside")
    (folder.root / "index" / "b.pdf").symlink_to("a.pdf")
    folder.fetch(Location("index", "b.pdf"), tmp_path / "destination", PLENTY_BYTES)
    assert (tmp_path / "destination").read_bytes() == b"inside"


def test_folder_that_is_itself_behind_a_link_is_used(folder: LocalFolder, tmp_path: Path) -> None:
    (folder.root / "index" / "a.pdf").write_bytes(b"inside")
    (tmp_path / "mount").symlink_to(folder.root)
    LocalFolder(tmp_path / "mount").fetch(Location("index", "a.pdf"), tmp_path / "destination", PLENTY_BYTES)
    assert (tmp_path / "destination").read_bytes() == b"inside"


def test_loop_of_links_is_refused(folder: LocalFolder, tmp_path: Path) -> None:
    (folder.root / "index" / "a.pdf").symlink_to("a.pdf")
    with pytest.raises(DocumentUnavailable):
        folder.fetch(Location("index", "a.pdf"), tmp_path / "destination", PLENTY_BYTES)


def test_pipe_is_not_waited_for(folder: LocalFolder, tmp_path: Path) -> None:
    os.mkfifo(folder.root / "index" / "a.pdf")
    with pytest.raises(DocumentUnavailable) as failure:
        folder.fetch(Location("index", "a.pdf"), tmp_path / "destination", PLENTY_BYTES)
    assert failure.value.kind == "not_found"


@pytest.mark.parametrize("name", ["folder", "file.pdf/below.pdf", "x" * 300])
def test_name_at_which_no_file_can_be_is_the_documents_failure(folder: LocalFolder, tmp_path: Path, name: str) -> None:
    (folder.root / "index" / "folder").mkdir()
    (folder.root / "index" / "file.pdf").write_bytes(b"inside")
    with pytest.raises(DocumentUnavailable):
        folder.fetch(Location("index", name), tmp_path / "destination", PLENTY_BYTES)


def test_storing_leaves_no_part_behind(folder: LocalFolder, tmp_path: Path) -> None:
    folder.store(Location("index", "2025/a.pdf"), tmp_path / "secret.pdf")
    assert [path.name for path in (folder.root / "index" / "2025").iterdir()] == ["a.pdf"]


def test_storing_that_fails_leaves_no_part_behind(folder: LocalFolder, tmp_path: Path) -> None:
    (folder.root / "index" / "a.pdf").mkdir()
    with pytest.raises(DocumentUnavailable, match="refused"):
        folder.store(Location("index", "a.pdf"), tmp_path / "secret.pdf")
    assert [path.name for path in (folder.root / "index").iterdir()] == ["a.pdf"]


def test_empty_folder_is_taken_for_a_share_that_is_not_mounted(tmp_path: Path) -> None:
    root = tmp_path / "mount"
    root.mkdir()
    with pytest.raises(StorageUnavailable, match=r"it is empty.*is mounted"):
        LocalFolder(root).fetch(Location("index", "act.pdf"), tmp_path / "copy", max_bytes=100)
    (root / "index").mkdir()
    with pytest.raises(DocumentUnavailable):
        LocalFolder(root).fetch(Location("index", "act.pdf"), tmp_path / "copy", max_bytes=100)
