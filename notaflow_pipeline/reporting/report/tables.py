"""Formats the report's figures in a language: tiles, the tables of the charts, and lists of documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd

from notaflow_pipeline.reporting.daily_tables.daily import ALL
from notaflow_pipeline.reporting.report.chart_marks import LAYERS
from notaflow_pipeline.reporting.report.charts import CHART_COLUMNS, Column
from notaflow_pipeline.reporting.report.locale_format import Language, LocaleFormat
from notaflow_pipeline.reporting.report.periods import MIN_ATTEMPTS_FOR_RATE, Period, rows_of_period
from notaflow_pipeline.reporting.report.report_data import ReportData
from notaflow_pipeline.reporting.report.translations import failure_kind_in, texts_in

MAX_DAYS_NAMED = 10
"""The most days that the notice about missing tables names."""


@dataclass(frozen=True)
class Tile:
    """One large figure; an alarming one needs a person's attention."""

    label: str
    value: str
    note: str
    alarming: bool = False


@dataclass(frozen=True)
class Table:
    """A titled table of written values, beside a chart of this name or alone."""

    name: str
    title: str
    text: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def queue_tiles(figures: ReportData, language: Language) -> list[Tile]:
    """Return the queue as it is now."""
    texts, formats, queue = texts_in(language), LocaleFormat(language), figures.queue
    tiles = [
        Tile(
            texts[state],
            formats.number(getattr(queue, state)),
            texts[f"{state}_note"],
            alarming=state in {"refused", "stuck", "exhausted"} and getattr(queue, state) > 0,
        )
        for state in ("ready", "refused", "active", "stuck", "backing_off", "exhausted", "done")
        if state != "refused" or queue.refused
    ]
    oldest = queue.oldest_waiting_seconds
    waiting = texts["nothing_waits"] if oldest is None else texts["oldest_note"]
    return [*tiles, Tile(texts["oldest"], formats.seconds(oldest), waiting)]


def total_tiles(figures: ReportData, language: Language, source: str = ALL) -> list[Tile]:
    """Return the sums of a source in the range."""
    texts, formats, totals = texts_in(language), LocaleFormat(language), figures.totals(source)
    written = {name: formats.number(value) for name, value in totals.items()}
    return [
        Tile(
            texts["documents_read"], written["documents"], texts["documents_read_note"].format(pages=written["pages"])
        ),
        _failed_tile(texts, formats, totals),
        Tile(texts["given_up"], written["documents_exhausted"], texts["given_up_note"]),
        Tile(
            texts["confidence"],
            formats.number(totals["mean_confidence"], 1),
            texts["confidence_note"].format(low=written["low_confidence_documents"]),
        ),
        Tile(
            texts["coverage"],
            formats.percent(totals["mean_coverage"]),
            texts["coverage_note"].format(low=written["low_coverage_documents"]),
        ),
    ]


def _failed_tile(texts: Mapping[str, str], formats: LocaleFormat, totals: Mapping[str, float | None]) -> Tile:
    """Return the failure rate with its interval; the count alone when there are too few attempts for a rate."""
    failed, attempts = formats.number(totals["attempts_failed"]), formats.number(totals["attempts"])
    if not totals["attempts"]:
        return Tile(texts["failed_attempts"], formats.number(None), texts["no_attempts_note"])
    if totals["attempts"] < MIN_ATTEMPTS_FOR_RATE:
        counted = texts["failed_of"].format(failed=failed, attempts=attempts)
        return Tile(texts["failed_attempts"], counted, texts["too_few_note"])
    note = texts["failed_attempts_note"].format(
        failed=failed,
        attempts=attempts,
        low=formats.percent(totals["failure_rate_low"]),
        high=formats.percent(totals["failure_rate_high"]),
    )
    return Tile(texts["failed_attempts"], formats.percent(totals["attempt_failure_rate"]), note)


def chart_tables(period: Period, language: Language, source: str = ALL) -> list[Table]:
    """Return the charts of a source with their figures as tables; none when no attempt ended in the period."""
    totals = period.report.totals(source)
    if not (totals["attempts"] or totals["documents"]):
        return []
    rows = rows_of_period(period).dropna(how="all", subset=["documents", "attempts"])
    bins = rows[rows["document_source"] == source].iloc[::-1]
    return [
        _bins_table(name, bins, period, language)
        if name in CHART_COLUMNS
        else _kinds_table(period.report, language, source)
        for name in LAYERS
    ]


def _bins_table(name: str, bins: pd.DataFrame, period: Period, language: Language) -> Table:
    texts, formats, columns = texts_in(language), LocaleFormat(language), CHART_COLUMNS[name]
    values = [
        [formats.day(row["day"]), *(_write(row[column.name], column, formats) for column in columns)]
        for row in bins.to_dict("records")
    ]
    titles = [texts["day" if period.bin_days == 1 else "week"], *(texts[column.label] for column in columns)]
    return Table(name, texts[f"{name}_title"], texts[f"{name}_text"], titles, values)


def _kinds_table(figures: ReportData, language: Language, source: str) -> Table:
    texts, formats, kinds = texts_in(language), LocaleFormat(language), figures.kinds(source)
    total = sum(attempts for _, attempts, _ in kinds)
    values = [
        [
            failure_kind_in(language, kind),
            formats.number(attempts),
            formats.percent(attempts / total),
            formats.number(documents),
        ]
        for kind, attempts, documents in kinds
    ]
    titles = [texts["kind"], texts["attempts"], texts["share"], texts["documents"]]
    return Table("kinds", texts["kinds_title"], texts["kinds_text"], titles, values)


def _write(value: float, column: Column, formats: LocaleFormat) -> str:
    match column.format:
        case "percent":
            return formats.percent(value)
        case "seconds":
            return formats.seconds(value)
        case "decimal":
            return formats.number(value, 1)
        case "number":
            return formats.number(value)


def failing_documents(figures: ReportData, language: Language) -> Table:
    """Return the documents whose attempts failed most often."""
    texts, formats = texts_in(language), LocaleFormat(language)
    rows = [
        [
            one.document_number,
            formats.number(one.failures),
            failure_kind_in(language, one.failure_kind),
            texts[f"state_{one.state}"],
            _day(one.last_failed_at, figures),
        ]
        for one in figures.failing_documents
    ]
    titles = [texts[name] for name in ("number", "failures", "last_kind", "state", "last_failed")]
    return Table("failing", texts["failing_title"], _since(figures, language, rows, "none_failing"), titles, rows)


def lowest_confidence_documents(figures: ReportData, language: Language) -> Table:
    """Return the documents whose text is least certain."""
    texts, formats = texts_in(language), LocaleFormat(language)
    rows = [
        [
            one.document_number,
            formats.number(one.mean_confidence, 1),
            formats.percent(one.coverage),
            formats.number(one.pages),
            _day(one.read_at, figures),
        ]
        for one in figures.lowest_confidence_documents
    ]
    titles = [texts[name] for name in ("number", "mean_confidence", "mean_coverage", "pages", "read_at")]
    text = _since(figures, language, rows, "none_read")
    text = f"{text} {texts['lowest_confidence_view']}" if rows else text
    return Table("lowest_confidence", texts["lowest_confidence_title"], text, titles, rows)


def _day(moment: datetime, figures: ReportData) -> str:
    """Write a day in the short form that both languages use."""
    return moment.astimezone(ZoneInfo(figures.timezone)).date().isoformat()


def _since(figures: ReportData, language: Language, rows: Sequence[object], none: str) -> str:
    texts, formats = texts_in(language), LocaleFormat(language)
    since = texts["documents_since"].format(since=formats.day(figures.documents_since))
    return since if rows else f"{since} {texts[none]}"


def missing_days_notice(figures: ReportData, language: Language) -> str | None:
    """Return a sentence that names the days without daily tables; None when there is none."""
    days = figures.days_not_computed
    if not days:
        return None
    texts, formats = texts_in(language), LocaleFormat(language)
    named = ", ".join(formats.day(day) for day in days[:MAX_DAYS_NAMED])
    if len(days) > MAX_DAYS_NAMED:
        named += texts["more_days"].format(count=formats.number(len(days) - MAX_DAYS_NAMED))
    return texts["day_not_computed" if len(days) == 1 else "days_not_computed"].format(days=named)
