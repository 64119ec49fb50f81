"""Tests of the Wilson interval against published values."""

import pytest

from notaflow_pipeline.proportions import wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # R. G. Newcombe, Two-sided confidence intervals for the single proportion, Stat. Med. 17 (1998), method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_wilson_interval_is_the_published_one(successes: int, trials: int, low: float, high: float) -> None:
    assert [round(bound, 4) for bound in wilson_interval(successes, trials) or ()] == [low, high]


def test_there_is_no_interval_without_trials() -> None:
    assert wilson_interval(0, 0) is None
