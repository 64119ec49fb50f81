"""Fixtures of the tests of the Dagster shell."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from notaflow_pipeline_tests.defs import configure


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Path:
    """The documents' folder; the environment names it and this test's database."""
    return configure(monkeypatch, tmp_path, database_url)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory."""
    with dg.DagsterInstance.ephemeral() as one:
        yield one
