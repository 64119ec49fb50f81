"""Evaluates figures against thresholds; each result has a sentence that says what to do. Pure functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import median
from typing import Literal, TypeVar

from notaflow_pipeline.plurals import count_of
from notaflow_pipeline.proportions import wilson_interval

SIGMAS_PER_MAD = 1.4826
"""The median absolute deviation of a normal distribution, times this, is its standard deviation."""

TRAILING_DAYS = 14

MINUTE_SECONDS = 60

MIN_DAYS = 5
"""With fewer days that have enough documents no usual value is computed."""


Figures = Mapping[str, float | int | str]
"""The figures of an evaluation by name: counts, rates, the threshold, the day."""


@dataclass(frozen=True)
class Evaluation:
    """The result of a check: alarming or not, a sentence, and the figures it rests on."""

    alarming: bool
    sentence: str
    figures: Figures = field(default_factory=dict)


@dataclass(frozen=True)
class Share:
    """A part of a whole on a day of the configured zone."""

    day: date
    part: int
    whole: int


@dataclass(frozen=True)
class Measure:
    """A figure of a day, and how many documents it was taken from."""

    day: date
    value: float | None
    documents: int


@dataclass(frozen=True)
class Comparison:
    """A daily figure that is compared with its usual value."""

    figure: str
    sentence: str
    advice: str
    worse: Literal[1, -1]
    tolerance: Callable[[float], float]
    """The smallest deviation from the usual value that is alarming, however similar the days before were."""


SLOWNESS = Comparison(
    figure="p95_seconds",
    sentence="one document in twenty took {:.1f} s or longer",
    advice=(
        "Check the other load of the machine; `fetch_seconds` and `ocr_seconds` in `ocr_attempt` tell slow storage from slow "
        "reading."
    ),
    worse=1,
    tolerance=lambda usual: 0.25 * usual,
)

CONFIDENCE = Comparison(
    figure="mean_confidence",
    sentence="words were read with a mean confidence of {:.1f}",
    advice=(
        "Compare some of the day's documents with their text: worse scans, another kind of form, or a change of "
        "OCR_LANGUAGES or OCR_DPI. `notaflow reread` reads them again after the cause is removed."
    ),
    worse=-1,
    tolerance=lambda _usual: 3.0,
)

COVERAGE = Comparison(
    figure="coverage_percent",
    sentence="the words of a document accounted for {:.1f} % of the ink on its least read page, on average",
    advice=(
        "Print may not have been recognised: compare some of the day's documents with their text, those with the lowest "
        "`coverage` in `ocr_attempt` first. `notaflow reread --coverage-below 0.8` reads such documents again after the "
        "cause is removed."
    ),
    worse=-1,
    tolerance=lambda _usual: 5.0,
)

OfDay = TypeVar("OfDay", Share, Measure)


def evaluate_share(
    days: Sequence[Share], today: date, *, what: str, threshold: float, minimum: int, advice: str
) -> Evaluation:
    """Evaluate a failure rate by the lower end of its 95 % interval, so that a few documents raise no alarm.

    Args:
        days: today and yesterday; the newest with enough attempts is evaluated, so that a day that recovers ends the alarm.
        today: the date in the configured zone.
        what: the noun of the whole, in the plural.
        threshold: alarming above this share.
        minimum: how many of the whole are needed.
        advice: what to do when it is alarming.
    """
    recent = _recent(days, today)
    enough = next((one for one in recent if one.whole >= minimum), None)
    if enough is None:
        most = max((one.whole for one in recent), default=0)
        had = count_of(most, what.removesuffix("s"))
        return Evaluation(False, f"Not enough data: {had} today or yesterday, {minimum} {_are(minimum)} needed.")
    low, _ = wilson_interval(enough.part, enough.whole) or (0.0, 1.0)
    rate = enough.part / enough.whole
    figures: Figures = {
        "day": enough.day.isoformat(),
        "failed": enough.part,
        what: enough.whole,
        "rate": round(rate, 4),
        "rate_at_least": round(low, 4),
        "threshold": threshold,
    }
    counted = f"{enough.part:,} of {enough.whole:,} {what} failed on {enough.day}: {100 * rate:.1f} %"
    if low > threshold:
        return Evaluation(True, f"{counted}, certainly more than {100 * threshold:g} %. {advice}", figures)
    return Evaluation(False, f"{counted}, not certainly more than {100 * threshold:g} %.", figures)


def evaluate_against_usual(
    comparison: Comparison, days: Sequence[Measure], today: date, *, deviations: float, minimum: int
) -> Evaluation:
    """Compare the newest day with enough documents, today or yesterday, with the fourteen days before it.

    Args:
        comparison: what is compared, and which way is worse.
        days: of the last sixteen days.
        today: the date in the configured zone.
        deviations: how many robust standard deviations (from the median absolute deviation) are alarming.
        minimum: days with fewer documents are ignored.
    """
    enough = [one for one in days if one.value is not None and one.documents >= minimum]
    evaluated = next(iter(_recent(enough, today)), None)
    if evaluated is None or evaluated.value is None:
        return Evaluation(False, f"Not enough data: no day, today or yesterday, has {count_of(minimum, 'document')}.")
    first = evaluated.day - timedelta(days=TRAILING_DAYS)
    usual = [one.value for one in enough if first <= one.day < evaluated.day and one.value is not None]
    if len(usual) < MIN_DAYS:
        return Evaluation(
            False,
            f"Not enough data: {len(usual)} of the {TRAILING_DAYS} days before have {count_of(minimum, 'document')}, "
            f"{MIN_DAYS} are needed.",
        )
    middle = median(usual)
    deviation = SIGMAS_PER_MAD * median(abs(value - middle) for value in usual)
    threshold = middle + comparison.worse * max(deviations * deviation, comparison.tolerance(middle))
    figures: Figures = {
        "day": evaluated.day.isoformat(),
        comparison.figure: round(evaluated.value, 3),
        "usual": round(middle, 3),
        "threshold": round(threshold, 3),
        "documents": evaluated.documents,
    }
    measured = f"On {evaluated.day} {comparison.sentence.format(evaluated.value)}; usual is {middle:.1f}"
    if comparison.worse * (evaluated.value - threshold) > 0:
        return Evaluation(True, f"{measured}, alarming is {threshold:.1f}. {comparison.advice}", figures)
    return Evaluation(False, f"{measured}.", figures)


def evaluate_progress(
    *,
    ready: int,
    idle_seconds: float,
    limit_seconds: float,
    paused: str | None,
    refusal: str | None = None,
    refused: int = 0,
) -> Evaluation:
    """Evaluate whether documents are claimed: some are ready, none is under OCR, and none was claimed for too long.

    Args:
        ready: documents that can be claimed now.
        idle_seconds: for how long that has been so without a claim and without a document under OCR.
        limit_seconds: alarming above this.
        paused: the reason of a pause; None without a pause.
        refusal: why none can be claimed, if a claim was tried; with `refused`, why the database refused the last of them.
        refused: further documents, which the database refused to claim.
    """
    figures = {"ready": ready, "idle_minutes": round(idle_seconds / 60, 1), "threshold": limit_seconds / 60}
    are_ready = f"{count_of(ready, 'document')} {_are(ready)} ready"
    if paused is not None:
        return Evaluation(False, f"{are_ready}, and work is paused: {paused}", figures)
    if refused:
        return Evaluation(
            True,
            f"{are_ready}, and the database refuses to claim {count_of(refused, 'more document')} ({refusal}). "
            "`notaflow list --state refused` names them.",
            {**figures, "refused": refused},
        )
    if ready and idle_seconds > limit_seconds:
        advice = (
            f"A claim was tried: {refusal}."
            if refusal
            else "Is the Dagster daemon running, is ocr_ready_sensor on, do runs start? The ticks and runs in the UI show "
            "why not; `notaflow work` reads the documents in the meantime."
        )
        return Evaluation(True, f"{are_ready}, and{_span('for {}', idle_seconds)} none was claimed. {advice}", figures)
    return Evaluation(False, f"{are_ready}." if ready else "Nothing is ready.", figures)


def evaluate_stuck(*, stuck: int, limit_seconds: float) -> Evaluation:
    """Evaluate how many rows have had no live worker for longer than recovery needs."""
    figures = {"stuck": stuck, "threshold": 0, "stuck_for_minutes": limit_seconds / 60}
    if stuck:
        has_been = "has been" if stuck == 1 else "have been"
        return Evaluation(
            True,
            f"{count_of(stuck, 'document')} {has_been} under OCR without a live worker{_span('for over {}', limit_seconds)}. "
            "Is ocr_recovery_sensor on, and do its runs succeed? `notaflow recover` recovers them, or says what prevents it.",
            figures,
        )
    return Evaluation(False, "Every document under OCR has a live worker, or recovery is not overdue.", figures)


def evaluate_waiting(*, oldest_seconds: float | None, limit_seconds: float) -> Evaluation:
    """Evaluate the age of the document that has waited longest."""
    if oldest_seconds is None:
        return Evaluation(False, "No document waits.", {"threshold": limit_seconds / 3600})
    figures = {"oldest_hours": round(oldest_seconds / 3600, 2), "threshold": limit_seconds / 3600}
    waited = f"The oldest waiting document has waited{_span('for {}', oldest_seconds) or ' for less than a minute'}."
    if oldest_seconds > limit_seconds:
        return Evaluation(
            True,
            f"{waited} More documents arrive than are read, or none is read: `notaflow status --watch` shows which. "
            "Against the first, more cores (OCR_WORKERS), runs (OCR_MAX_RUNS) or machines help.",
            figures,
        )
    return Evaluation(False, waited, figures)


def evaluate_exhausted(*, unacknowledged: int, limit: int, grace_seconds: float) -> Evaluation:
    """Evaluate how many exhausted documents nobody has acknowledged."""
    figures = {"not_acknowledged": unacknowledged, "threshold": limit, "older_than_hours": grace_seconds / 3600}
    if unacknowledged > limit:
        return Evaluation(
            True,
            f"{count_of(unacknowledged, 'document')} failed all attempts{_span('over {} ago', grace_seconds)} "
            f"and {_were(unacknowledged)} not acknowledged. `notaflow list --state exhausted` lists exhausted documents with "
            "their kinds of failure; repair what can be repaired. `notaflow retry` requeues those that another attempt can "
            "help, with `--id` any other, and `notaflow alert --seen` acknowledges them.",
            figures,
        )
    if not unacknowledged:
        return Evaluation(False, "Every exhausted document is acknowledged.", figures)
    return Evaluation(
        False,
        f"{count_of(unacknowledged, 'document')} failed all attempts and {_were(unacknowledged)} not acknowledged.",
        figures,
    )


def evaluate_completeness(missed: Sequence[date], *, days_checked: int) -> Evaluation:
    """Evaluate which ended days the daily tables do not count completely.

    Args:
        missed: such days, of those that had attempts.
        days_checked: how many days were checked.
    """
    figures: Figures = {"days_missed": len(missed), "threshold": 0}
    if not missed:
        return Evaluation(False, f"The daily tables count the last {days_checked} whole days completely.", figures)
    which = f"{missed[0]} is" if len(missed) == 1 else f"{len(missed)} days ({missed[0]} to {missed[-1]}) are"
    return Evaluation(
        True,
        f"{which} over, and the daily tables were not computed since. Is the Dagster daemon running, is ocr_daily_schedule "
        "on, did its run at 0:05 succeed? `notaflow report` computes the missing days, and so does materialising them.",
        {"day": missed[-1].isoformat(), **figures},
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _span(phrase: str, seconds: float) -> str:
    """Return a phrase with a duration in it, after a space; nothing below a minute, which is too short to matter."""
    if seconds < MINUTE_SECONDS:
        return ""
    unit, size, digits = ("hour", 3600, 1) if seconds >= 3600 else ("minute", MINUTE_SECONDS, 0)
    count = round(seconds / size, digits)
    return " " + phrase.format(f"{count:g} {unit}" if count == 1 else f"{count:g} {unit}s")


def _recent(days: Sequence[OfDay], today: date) -> list[OfDay]:
    """Today's and yesterday's, newest first."""
    recent = [one for one in days if today - timedelta(days=1) <= one.day <= today]
    return sorted(recent, key=lambda one: one.day, reverse=True)
