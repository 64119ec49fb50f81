"""The doctor's check of disk space; `cli` tests the command."""

from pathlib import Path

from notaflow_pipeline.local.doctor import check_space


def test_free_space_is_checked_for_each_folder_even_a_missing_one(tmp_path: Path) -> None:
    found = check_space([tmp_path, tmp_path / "home" / "postgres"], min_bytes=1)
    assert found.ok
    assert found.detail.count("MiB free for") == 2
    assert str(tmp_path / "home" / "postgres") in found.detail


def test_too_little_room_says_how_much_is_needed_and_what_to_do(tmp_path: Path) -> None:
    found = check_space([tmp_path], min_bytes=2**60)
    assert not found.ok
    assert "documents need 1,099,511,627,776 MiB: free disk space, or set TMPDIR" in found.detail
