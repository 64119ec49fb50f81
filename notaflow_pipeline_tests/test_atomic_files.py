"""A file is written completely or not at all."""

from pathlib import Path

import pytest

from notaflow_pipeline.atomic_files import write_atomically


def test_file_is_written_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "reports" / "page.html"
    write_atomically("first", target)

    def refuse(*_arguments: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="the disk is gone"):
        write_atomically("second", target)
    assert [one.name for one in target.parent.iterdir()] == ["page.html"]
    assert target.read_text() == "first"
