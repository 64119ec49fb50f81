"""The last day of report tests, and the function with which they read report data."""

from collections.abc import Callable
from datetime import date

from notaflow_pipeline.reporting.report.report_data import ReportData

UNTIL = date(2026, 11, 22)

Gather = Callable[..., ReportData]
