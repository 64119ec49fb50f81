"""The time of day, for tests that count days."""

from datetime import UTC, datetime

from notaflow_pipeline_tests.testing.waiting import wait_until

MARGIN_SECONDS = 20
"""Longer than a test during which the day or hour must not change."""


def wait_past_full_hour() -> None:
    """Wait for the next hour if this one is about to end, and with it perhaps the day of some time zone."""
    wait_until(lambda: datetime.now(UTC).minute < 59 or datetime.now(UTC).second < 60 - MARGIN_SECONDS)


def zone_at_noon() -> str:
    """Return a time zone in which it is noon or a little later, so that no day ends during the longest test."""
    hours_ahead = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-hours_ahead:+d}"  # these names count westwards
