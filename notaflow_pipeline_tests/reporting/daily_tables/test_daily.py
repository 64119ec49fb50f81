"""Tests of the daily tables of a few attempts against figures computed by hand."""

from typing import Any

import pandas as pd
import pytest

from notaflow_pipeline.reporting.daily_tables.attempts import ATTEMPT_TYPES
from notaflow_pipeline.reporting.daily_tables.daily import daily_tables, rows_of

READ: dict[str, Any] = {
    "document": 1,
    "document_source": "index",
    "outcome": "succeeded",
    "failure_kind": "",
    "attempt_number": 1,
    "exhausted": False,
    "duration_seconds": 10.0,
    "wait_seconds": 5.0,
    "pages": 2,
    "characters": 1000,
    "mean_confidence": 90.0,
    "coverage": 0.75,
}
FAILED = READ | {
    "outcome": "failed",
    "failure_kind": "timeout",
    "duration_seconds": 99.0,
    "wait_seconds": None,
    "pages": 0,
    "characters": 0,
    "mean_confidence": None,
    "coverage": None,
}
STUCK = FAILED | {"outcome": "stuck", "failure_kind": "lease_expired"}


def tables_of(
    *attempts: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Any], dict[tuple[str, str], tuple[int, int]]]:
    """The rows by source of the first two tables, and attempts and documents by source and kind."""
    frame = pd.DataFrame(list(attempts), columns=list(ATTEMPT_TYPES)).astype(ATTEMPT_TYPES)
    tables = daily_tables(frame, low_confidence=60, low_coverage=0.7)
    performance = {row.pop("document_source"): row for row in rows_of(tables.performance)}
    failure_rate = {row.pop("document_source"): row for row in rows_of(tables.failure_rate)}
    kinds = {
        (row["document_source"], row["failure_kind"]): (row["attempts"], row["documents"])
        for row in rows_of(tables.failures_by_kind)
    }
    return performance, failure_rate, kinds


def test_day_without_attempts_is_a_row_of_zeros() -> None:
    performance, failure_rate, kinds = tables_of()
    counts = {"documents": 0, "pages": 0, "characters": 0, "low_confidence_documents": 0, "low_coverage_documents": 0}
    assert {name: value for name, value in performance["all"].items() if value is not None} == counts
    assert {name: value for name, value in failure_rate["all"].items() if value is not None} == {
        "attempts": 0,
        "attempts_failed": 0,
        "attempts_stuck": 0,
        "documents_finished": 0,
        "documents_exhausted": 0,
    }
    assert list(performance) == list(failure_rate) == ["all"]
    assert kinds == {}


def test_performance_is_that_of_succeeded_attempts() -> None:
    performance, _, _ = tables_of(
        READ,
        READ | {"document": 2, "duration_seconds": 20.0, "wait_seconds": 15.0, "attempt_number": 3, "pages": 7},
        READ
        | {"document": 3, "duration_seconds": 60.0, "wait_seconds": None, "mean_confidence": None, "coverage": None},
        FAILED | {"document": 4},
        READ
        | {
            "document": 5,
            "document_source": "acte",
            "mean_confidence": 59.9,
            "characters": 2_000_000_000,
            "coverage": 0.69,
        },
        READ
        | {
            "document": 6,
            "document_source": "acte",
            "mean_confidence": 60.0,
            "characters": 2_000_000_000,
            "coverage": 0.7,
        },
    )
    assert performance["index"] == {
        "documents": 3,
        "pages": 11,
        "characters": 3000,
        "duration_seconds_avg": 30.0,
        "duration_seconds_min": 10.0,
        "duration_seconds_p50": 20.0,
        "duration_seconds_p95": pytest.approx(56.0),
        "duration_seconds_max": 60.0,
        "wait_seconds_p50": 10.0,
        "wait_seconds_p95": pytest.approx(14.5),
        "attempts_avg": pytest.approx(5 / 3),
        "pages_per_minute": pytest.approx(11 / 1.5),
        "mean_confidence": 90.0,
        "low_confidence_documents": 0,
        "mean_coverage": 0.75,
        "low_coverage_documents": 0,
    }
    assert performance["acte"]["low_confidence_documents"] == 1
    assert performance["acte"]["mean_coverage"] == pytest.approx(0.695)
    assert performance["acte"]["low_coverage_documents"] == 1
    assert performance["acte"]["characters"] == 4_000_000_000
    assert performance["all"]["documents"] == 5
    assert performance["all"]["pages"] == 15


def test_document_that_was_read_twice_is_one_document() -> None:
    performance, failure_rate, _ = tables_of(
        READ, READ | {"attempt_number": 2, "mean_confidence": 10.0, "coverage": 0.1}
    )
    assert performance["all"]["documents"] == 1
    assert performance["all"]["pages"] == 4
    assert performance["all"]["low_confidence_documents"] == 1
    assert performance["all"]["low_coverage_documents"] == 1
    assert failure_rate["all"]["attempts"] == 2
    assert failure_rate["all"]["documents_finished"] == 1


def test_instant_success_has_no_speed() -> None:
    performance, _, _ = tables_of(READ | {"duration_seconds": 0.0})
    assert performance["all"]["pages_per_minute"] is None


def test_rates_of_attempts_and_of_documents_are_different_numbers() -> None:
    used_up = FAILED | {"attempt_number": 3, "exhausted": True}
    _, failure_rate, kinds = tables_of(
        READ,
        READ | {"document": 2},
        FAILED | {"document": 2},
        FAILED | {"document": 3},
        STUCK | {"document": 3, "attempt_number": 2},
        used_up | {"document": 3},
        STUCK | {"document": 4},
        used_up | {"document": 5, "document_source": "acte", "failure_kind": "encrypted"},
        READ | {"document": 5, "document_source": "acte", "attempt_number": 4},
    )
    assert failure_rate["index"] == {
        "attempts": 7,
        "attempts_failed": 3,
        "attempts_stuck": 2,
        "attempt_failure_rate": pytest.approx(5 / 7),
        "documents_finished": 3,
        "documents_exhausted": 1,
        "document_failure_rate": pytest.approx(1 / 3),
        "failure_rate_low": pytest.approx(0.35893, abs=1e-5),
        "failure_rate_high": pytest.approx(0.91778, abs=1e-5),
    }
    assert failure_rate["acte"]["documents_finished"] == 1, "exhausted in the morning, read in the afternoon"
    assert failure_rate["acte"]["document_failure_rate"] == 1.0
    assert failure_rate["all"]["documents_finished"] == 4
    assert kinds == {
        ("index", "timeout"): (3, 2),
        ("index", "lease_expired"): (2, 2),
        ("acte", "encrypted"): (1, 1),
        ("all", "timeout"): (3, 2),
        ("all", "lease_expired"): (2, 2),
        ("all", "encrypted"): (1, 1),
    }
