"""A fixture of these tests: a terminal whose processes end with the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from notaflow_pipeline_tests.cli import Terminal
from notaflow_pipeline_tests.testing.processes import terminal_on


@pytest.fixture
def terminal(tmp_path: Path, database_url: str) -> Iterator[Terminal]:
    """A terminal on this test's database."""
    with terminal_on(tmp_path, database_url) as one:
        yield one
