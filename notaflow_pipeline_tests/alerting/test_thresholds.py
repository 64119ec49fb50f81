"""Tests of thresholds: too little data, days that recover, and sentences for one and for many."""

from datetime import date, timedelta

import pytest

from notaflow_pipeline.alerting import thresholds
from notaflow_pipeline.alerting.thresholds import CONFIDENCE, COVERAGE, SLOWNESS, Comparison, Evaluation, Measure, Share

TODAY = date(2026, 3, 8)
YESTERDAY = TODAY - timedelta(days=1)


def of_shares(*days: Share, threshold: float = 0.2, minimum: int = 20) -> Evaluation:
    return thresholds.evaluate_share(
        days, TODAY, what="attempts", threshold=threshold, minimum=minimum, advice="Look at the storage."
    )


def test_large_counts_are_written_with_separators() -> None:
    assert "1,200 of 1,563 attempts failed" in of_shares(Share(TODAY, 1200, 1563)).sentence


def usual(
    values: list[float], judged: float | None, *, documents: int = 50, comparison: Comparison = SLOWNESS
) -> Evaluation:
    history = [Measure(TODAY - timedelta(days=back), value, 50) for back, value in enumerate(values, start=1)]
    days = [Measure(TODAY, judged, documents), *history]
    return thresholds.evaluate_against_usual(comparison, days, TODAY, deviations=4, minimum=20)


def test_three_documents_raise_no_alarm() -> None:
    evaluation = of_shares(Share(TODAY, 3, 3))
    assert not evaluation.alarming
    assert "Not enough data" in evaluation.sentence
    assert not of_shares(Share(TODAY, 1, 3), minimum=1).alarming, "1 of 3 is not certainly more than 20 %"


def test_rate_alarms_only_when_its_lower_bound_is_above_the_threshold() -> None:
    assert not of_shares(Share(TODAY, 27, 100)).alarming, "27 %, but perhaps only 19"
    assert of_shares(Share(TODAY, 28, 100)).alarming
    evaluation = of_shares(Share(TODAY, 40, 100))
    assert evaluation.alarming
    assert evaluation.figures == {
        "day": "2026-03-08",
        "failed": 40,
        "attempts": 100,
        "rate": 0.4,
        "rate_at_least": 0.3094,
        "threshold": 0.2,
    }
    assert evaluation.sentence.endswith("certainly more than 20 %. Look at the storage.")


def test_today_ends_the_alarm_of_yesterday_once_it_has_enough() -> None:
    bad = Share(YESTERDAY, 90, 100)
    assert of_shares(bad).alarming
    assert of_shares(bad, Share(TODAY, 0, 5)).alarming, "five are not enough to say that it is over"
    assert not of_shares(bad, Share(TODAY, 0, 30)).alarming
    assert not of_shares(Share(TODAY - timedelta(days=2), 90, 100)).alarming, "what is longer ago is past"


def test_slow_day_alarms_against_the_fourteen_days_before() -> None:
    even = [10.0, 11.0, 9.0, 10.5, 9.5, 10.0, 10.2]
    assert not usual(even, 12.0).alarming
    evaluation = usual(even, 20.0)
    assert evaluation.alarming
    assert evaluation.figures["usual"] == 10.0
    assert "20.0 s" in evaluation.sentence
    # a spread of 4 x 1.4826 x MAD is usual here
    assert not usual([5.0, 10.0, 15.0, 20.0, 25.0, 30.0], 40.0).alarming


def test_even_history_does_not_make_every_small_change_alarming() -> None:
    assert not usual([10.0] * 14, 12.4).alarming
    assert usual([10.0] * 14, 12.6).alarming
    assert not usual([90.0] * 14, 87.1, comparison=CONFIDENCE).alarming
    assert usual([90.0] * 14, 86.9, comparison=CONFIDENCE).alarming
    assert not usual([90.0] * 14, 99.0, comparison=CONFIDENCE).alarming, "better is not worse"
    assert not usual([95.0] * 14, 90.1, comparison=COVERAGE).alarming
    assert usual([95.0] * 14, 89.9, comparison=COVERAGE).alarming
    assert not usual([90.0] * 14, 100.0, comparison=COVERAGE).alarming, "better is not worse"
    assert not usual([10.0] * 14, 1.0).alarming


def test_one_unusual_day_in_the_history_does_not_hide_a_slow_one() -> None:
    assert usual([10.0, 10.1, 9.9, 10.0, 500.0, 10.0], 30.0).alarming


@pytest.mark.parametrize(
    "evaluation",
    [
        usual([10.0] * 4, 100.0),
        usual([10.0] * 14, 100.0, documents=19),
        usual([10.0] * 14, None),
        usual([], 100.0),
        thresholds.evaluate_against_usual(SLOWNESS, [], TODAY, deviations=4, minimum=20),
        of_shares(),
    ],
)
def test_too_little_data_passes_and_says_so(evaluation: Evaluation) -> None:
    assert not evaluation.alarming
    assert evaluation.sentence.startswith(("Not enough data", "On 2026-03-07"))


def test_days_before_the_last_fourteen_are_not_what_is_usual() -> None:
    old = [Measure(TODAY - timedelta(days=back), 10.0, 50) for back in range(15, 30)]
    evaluation = thresholds.evaluate_against_usual(
        SLOWNESS, [Measure(TODAY, 99.0, 50), *old], TODAY, deviations=4, minimum=20
    )
    assert "Not enough data: 0 of the 14 days" in evaluation.sentence


@pytest.mark.parametrize(
    ("ready", "idle", "paused", "alarming"),
    [(5, 901, None, True), (5, 899, None, False), (0, 901, None, False), (5, 901, "mending", False)],
)
def test_ready_documents_without_a_worker_alarm_unless_paused(
    ready: int, idle: float, paused: str | None, alarming: bool
) -> None:
    evaluation = thresholds.evaluate_progress(ready=ready, idle_seconds=idle, limit_seconds=900, paused=paused)
    assert evaluation.alarming is alarming


def test_sentences_fit_one_and_many_and_omit_spans_below_a_minute() -> None:
    one_idle = thresholds.evaluate_progress(ready=1, idle_seconds=59, limit_seconds=3, paused=None).sentence
    assert one_idle.startswith("1 document is ready, and none was claimed. ")
    many_idle = thresholds.evaluate_progress(ready=2, idle_seconds=5400, limit_seconds=3, paused=None).sentence
    assert many_idle.startswith("2 documents are ready, and for 1.5 hours none was claimed. ")
    one_stuck, many_stuck = (thresholds.evaluate_stuck(stuck=n, limit_seconds=60 * (n - 1)).sentence for n in (1, 2))
    assert one_stuck.startswith("1 document has been under OCR without a live worker. ")
    assert many_stuck.startswith("2 documents have been under OCR without a live worker for over 1 minute. ")
    one_gone, many_gone = (
        thresholds.evaluate_exhausted(unacknowledged=n, limit=0, grace_seconds=h * 3600).sentence
        for n, h in ((1, 0), (2, 24))
    )
    assert one_gone.startswith("1 document failed all attempts and was not acknowledged. ")
    assert many_gone.startswith("2 documents failed all attempts over 24 hours ago and were not acknowledged. ")
    waited = thresholds.evaluate_waiting(oldest_seconds=3600, limit_seconds=7200).sentence
    assert waited == "The oldest waiting document has waited for 1 hour."
    assert "1 attempt today or yesterday" in of_shares(Share(TODAY, 0, 1)).sentence
    one_day = thresholds.evaluate_completeness([YESTERDAY], days_checked=3).sentence
    assert one_day.startswith("2026-03-07 is over, and the daily tables were not computed since.")
    two_days = thresholds.evaluate_completeness([YESTERDAY - timedelta(days=1), YESTERDAY], days_checked=3).sentence
    assert two_days.startswith("2 days (2026-03-06 to 2026-03-07) are over")


def test_every_alarm_names_a_remedy() -> None:
    alarms = [
        thresholds.evaluate_progress(ready=1, idle_seconds=2, limit_seconds=1, paused=None),
        thresholds.evaluate_stuck(stuck=1, limit_seconds=60),
        thresholds.evaluate_waiting(oldest_seconds=7201, limit_seconds=7200),
        thresholds.evaluate_exhausted(unacknowledged=1, limit=0, grace_seconds=0),
        thresholds.evaluate_completeness([YESTERDAY], days_checked=3),
        usual([10.0] * 14, 99.0),
        usual([90.0] * 14, 9.0, comparison=CONFIDENCE),
        usual([95.0] * 14, 60.0, comparison=COVERAGE),
    ]
    for evaluation in alarms:
        assert evaluation.alarming
        assert "`" in evaluation.sentence, evaluation.sentence
        assert "threshold" in evaluation.figures
    assert not thresholds.evaluate_exhausted(unacknowledged=5, limit=5, grace_seconds=0).alarming
    assert not thresholds.evaluate_waiting(oldest_seconds=None, limit_seconds=1).alarming
