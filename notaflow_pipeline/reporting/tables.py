"""What the page says beside its charts: large figures, the charts' own tables, lists of documents; all in words.

What does not belong here: HTML (`html_page`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd

from notaflow_pipeline.reporting.chart_marks import LAYERS
from notaflow_pipeline.reporting.charts import CHART_COLUMNS, Column, daily_rows
from notaflow_pipeline.reporting.daily import ALL
from notaflow_pipeline.reporting.locale_format import Language, Writing
from notaflow_pipeline.reporting.report_data import Figures
from notaflow_pipeline.reporting.translations import kind_in, words


@dataclass(frozen=True)
class Tile:
    """One large figure; `alarming` asks a person to look."""

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


def queue_tiles(figures: Figures, language: Language) -> list[Tile]:
    """Return the queue as it is now."""
    said, writing, queue = words(language), Writing(language), figures.queue
    tiles = [
        Tile(
            said[state],
            writing.number(getattr(queue, state)),
            said[f"{state}_note"],
            alarming=state in {"stuck", "exhausted"} and getattr(queue, state) > 0,
        )
        for state in ("ready", "active", "stuck", "backing_off", "exhausted", "done")
    ]
    oldest = queue.oldest_waiting_seconds
    waiting = said["nothing_waits"] if oldest is None else said["oldest_note"]
    return [*tiles, Tile(said["oldest"], writing.seconds(oldest), waiting)]


def total_tiles(figures: Figures, language: Language) -> list[Tile]:
    """Return the sums of the range."""
    said, writing, totals = words(language), Writing(language), figures.totals()
    written = {name: writing.number(value) for name, value in totals.items()}
    return [
        Tile(said["documents_read"], written["documents"], said["documents_read_note"].format(pages=written["pages"])),
        Tile(
            said["failed_attempts"],
            writing.percent(totals["attempt_failure_rate"]),
            _failed_note(said, writing, totals),
        ),
        Tile(said["given_up"], written["documents_exhausted"], said["given_up_note"]),
        Tile(
            said["confidence"],
            writing.number(totals["mean_confidence"], 1),
            said["confidence_note"].format(low=written["low_confidence_documents"]),
        ),
        Tile(
            said["coverage"],
            writing.percent(totals["mean_coverage"]),
            said["coverage_note"].format(low=written["low_coverage_documents"]),
        ),
    ]


def _failed_note(said: Mapping[str, str], writing: Writing, totals: Mapping[str, float | None]) -> str:
    """Return what the rate rests on, with its interval: a few attempts say little."""
    if not totals["attempts"]:
        return said["no_attempts_note"]
    return said["failed_attempts_note"].format(
        failed=writing.number(totals["attempts_failed"]),
        attempts=writing.number(totals["attempts"]),
        low=writing.percent(totals["failure_rate_low"]),
        high=writing.percent(totals["failure_rate_high"]),
    )


def chart_tables(figures: Figures, language: Language) -> list[Table]:
    """Return the charts with their figures as tables; none when no attempt ended in the range."""
    totals = figures.totals()
    if not (totals["attempts"] or totals["documents"]):
        return []
    rows = daily_rows(figures).dropna(how="all", subset=["documents", "attempts"])
    days = rows[rows["document_source"] == ALL].iloc[::-1]
    return [
        _days_table(name, days, language) if name in CHART_COLUMNS else _kinds_table(figures, language)
        for name in LAYERS
    ]


def _days_table(name: str, days: pd.DataFrame, language: Language) -> Table:
    said, writing, columns = words(language), Writing(language), CHART_COLUMNS[name]
    values = [
        [writing.day(row["day"]), *(_write(row[column.name], column, writing) for column in columns)]
        for row in days.to_dict("records")
    ]
    titles = [said["day"], *(said[column.word] for column in columns)]
    return Table(name, said[f"{name}_title"], said[f"{name}_text"], titles, values)


def _kinds_table(figures: Figures, language: Language) -> Table:
    said, writing, kinds = words(language), Writing(language), figures.kinds()
    total = sum(attempts for _, attempts, _ in kinds)
    values = [
        [
            kind_in(language, kind),
            writing.number(attempts),
            writing.percent(attempts / total),
            writing.number(documents),
        ]
        for kind, attempts, documents in kinds
    ]
    titles = [said["kind"], said["attempts"], said["share"], said["documents"]]
    return Table("kinds", said["kinds_title"], said["kinds_text"], titles, values)


def _write(value: float, column: Column, writing: Writing) -> str:
    match column.format:
        case "percent":
            return writing.percent(value)
        case "seconds":
            return writing.seconds(value)
        case "decimal":
            return writing.number(value, 1)
        case "number":
            return writing.number(value)


def failing_documents(figures: Figures, language: Language) -> Table:
    """Return the documents whose attempts failed most often."""
    said, writing = words(language), Writing(language)
    rows = [
        [
            one.document_number,
            writing.number(one.failures),
            kind_in(language, one.failure_kind),
            said[f"state_{one.state}"],
            _day(one.last_failed_at, figures),
        ]
        for one in figures.failing_documents
    ]
    titles = [said[name] for name in ("number", "failures", "last_kind", "state", "last_failed")]
    return Table("failing", said["failing_title"], _since(figures, language, rows, "none_failing"), titles, rows)


def unsure_documents(figures: Figures, language: Language) -> Table:
    """Return the documents whose text is least certain."""
    said, writing = words(language), Writing(language)
    rows = [
        [
            one.document_number,
            writing.number(one.mean_confidence, 1),
            writing.percent(one.coverage),
            writing.number(one.pages),
            _day(one.read_at, figures),
        ]
        for one in figures.unsure_documents
    ]
    titles = [said[name] for name in ("number", "mean_confidence", "mean_coverage", "pages", "read_at")]
    return Table("unsure", said["unsure_title"], _since(figures, language, rows, "none_unsure"), titles, rows)


def _day(moment: datetime, figures: Figures) -> str:
    """Write a day as narrowly as both languages do."""
    return moment.astimezone(ZoneInfo(figures.timezone)).date().isoformat()


def _since(figures: Figures, language: Language, rows: Sequence[object], none: str) -> str:
    said, writing = words(language), Writing(language)
    since = said["documents_since"].format(since=writing.day(figures.documents_since))
    return since if rows else f"{since} {said[none]}"
