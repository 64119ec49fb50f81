"""A fixture of report tests: a function that reads report data."""

from datetime import date

import pytest
from psycopg import Connection

from notaflow_pipeline.reporting.report.report_data import QueueSnapshot, ReportData, read_report_data
from notaflow_pipeline_tests.reporting.gathering import UNTIL, Gather

EMPTY_QUEUE = QueueSnapshot(0, 0, 0, 0, 0, 0, None)


@pytest.fixture
def gather(connection: Connection) -> Gather:
    """ReportData of this test's database, of a month unless told."""

    def figures(since: date = date(2026, 10, 24), queue: QueueSnapshot = EMPTY_QUEUE) -> ReportData:
        return read_report_data(connection, queue=queue, since=since, until=UNTIL, timezone="America/Toronto")

    return figures
