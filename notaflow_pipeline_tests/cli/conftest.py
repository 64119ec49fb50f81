"""Fixtures of the tests of `notaflow`."""

from pathlib import Path

import pytest

from notaflow_pipeline_tests.cli import Terminal, open_terminal


@pytest.fixture
def terminal(tmp_path: Path, database_url: str) -> Terminal:
    """A terminal on this test's database."""
    return open_terminal(tmp_path, database_url)
