"""Fixtures of the schema's tests."""

import pytest

from notaflow_pipeline_tests.job_queue.schema.databases import NOTAFLOW_TABLES, on


@pytest.fixture
def notaflow_url(empty_database_url: str) -> str:
    """A database with NotaFlow's tables and rows, before the migrations of this project."""
    with on(empty_database_url) as connection:
        connection.execute(NOTAFLOW_TABLES)
    return empty_database_url
