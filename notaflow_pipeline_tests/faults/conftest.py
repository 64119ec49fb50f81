"""Fixtures of the fault tests."""

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The documents' folder, with a bucket for the source `index`."""
    place = tmp_path / "documents"
    (place / "index").mkdir(parents=True)
    return place
