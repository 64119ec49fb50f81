"""The report as one file: charts, tables and words in both languages, nothing fetched from anywhere.

What does not belong here: what a chart looks like (`charts`), and where the file lies.
"""

import base64
import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from notaflow_pipeline.reporting.charts import COLUMNS, VEGA_LITE, Column, chart, daily_rows, data_sets, milliseconds
from notaflow_pipeline.reporting.figures import ALL_SOURCES, Figures
from notaflow_pipeline.reporting.locales import LANGUAGES, Language, Writing
from notaflow_pipeline.reporting.marks import LAYERS
from notaflow_pipeline.reporting.words import kind_in, words

SPANS = (7, 30, 90, 365)
"""How many days a reader can look at, as far as the report has more."""

_PACKAGE = "notaflow_pipeline.reporting"


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


def render_page(figures: Figures, *, language: Language | None = None) -> str:
    """Return the report as an HTML page that needs no other file.

    Args:
        figures: what to show.
        language: in which it opens; the reader's browser decides when it is None. Either can be chosen on the page.
    """
    scripts = (_bundle(), _file("page.js"))
    report = {
        "language": language,
        "first_day": milliseconds(figures.since),
        "last_day": milliseconds(figures.until + timedelta(days=1)),
        "data": data_sets(figures),
        "languages": {one: _drawing(figures, one) for one in LANGUAGES},
    }
    days = (figures.until - figures.since).days + 1
    return _template().render(
        first_language=language or LANGUAGES[0],
        policy=_policy(scripts),
        style=Markup(_file("page.css")),  # noqa: S704 - a file of this package
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - files of packages
        report=report,
        spans=[*(span for span in SPANS if span < days), 0],
        sources=figures.sources,
        editions=[_edition(figures, one) for one in LANGUAGES],
    )


def write_page(page: str, path: Path) -> None:
    """Put a page where it is read, whole or not at all.

    Raises:
        OSError: it cannot be written there; what was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(page)
            file.close()
            Path(file.name).chmod(0o666 & ~_umask())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _drawing(figures: Figures, language: Language) -> dict[str, Any]:
    writing = Writing(language)
    return {
        "title": words(language)["title"],
        "numbers": writing.chart_numbers(),
        "dates": writing.chart_dates(),
        "charts": {name: chart(name, figures, language) for name in LAYERS},
    }


def _edition(figures: Figures, language: Language) -> dict[str, Any]:
    """Return what the template shows in one language."""
    said, writing = words(language), Writing(language)
    days = {"since": writing.day(figures.since), "until": writing.day(figures.until)}
    return {
        "language": language,
        "said": said,
        "writing": writing,
        "period": said["period"].format(**days),
        "written": said["written"].format(
            moment=writing.moment(figures.written_at, figures.timezone), timezone=figures.timezone
        ),
        "queue": queue_tiles(figures, language),
        "totals": _total_tiles(figures, language),
        "charts": _chart_tables(figures, language),
        "lists": [_failing(figures, language), _unsure(figures, language)],
    }


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


def _total_tiles(figures: Figures, language: Language) -> list[Tile]:
    said, writing, totals = words(language), Writing(language), figures.totals()
    written = {name: writing.number(value) for name, value in totals.items()}
    return [
        Tile(said["documents_read"], written["documents"], said["documents_read_note"].format(pages=written["pages"])),
        Tile(
            said["failed_attempts"],
            writing.percent(totals["attempt_failure_rate"]),
            said["failed_attempts_note"].format(failed=written["attempts_failed"], attempts=written["attempts"]),
        ),
        Tile(said["given_up"], written["documents_exhausted"], said["given_up_note"]),
        Tile(
            said["confidence"],
            writing.number(totals["mean_confidence"], 1),
            said["confidence_note"].format(low=written["low_confidence_documents"]),
        ),
    ]


def _chart_tables(figures: Figures, language: Language) -> list[Table]:
    """Return the charts with their figures as tables; none when no attempt ended in the range."""
    totals = figures.totals()
    if not (totals["attempts"] or totals["documents"]):
        return []
    rows = daily_rows(figures).dropna(how="all", subset=["documents", "attempts"])
    days = rows[rows["document_source"] == ALL_SOURCES].iloc[::-1]
    return [_days_table(name, days, language) if name in COLUMNS else _kinds_table(figures, language) for name in LAYERS]


def _days_table(name: str, days: pd.DataFrame, language: Language) -> Table:
    said, writing, columns = words(language), Writing(language), COLUMNS[name]
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
        [kind_in(language, kind), writing.number(attempts), writing.percent(attempts / total), writing.number(documents)]
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


def _failing(figures: Figures, language: Language) -> Table:
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


def _unsure(figures: Figures, language: Language) -> Table:
    said, writing = words(language), Writing(language)
    rows = [
        [
            one.document_number,
            writing.number(one.mean_confidence, 1),
            writing.number(one.pages),
            _day(one.read_at, figures),
        ]
        for one in figures.unsure_documents
    ]
    titles = [said[name] for name in ("number", "mean_confidence", "pages", "read_at")]
    return Table("unsure", said["unsure_title"], _since(figures, language, rows, "none_unsure"), titles, rows)


def _day(moment: datetime, figures: Figures) -> str:
    """Write a day as narrowly as both languages do."""
    return moment.astimezone(ZoneInfo(figures.timezone)).date().isoformat()


def _since(figures: Figures, language: Language, rows: Sequence[object], none: str) -> str:
    said, writing = words(language), Writing(language)
    since = said["documents_since"].format(since=writing.day(figures.documents_since))
    return since if rows else f"{since} {said[none]}"


def _policy(scripts: Sequence[str]) -> str:
    """Return a content security policy: these scripts run and no others, and nothing is loaded from anywhere."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@cache
def _bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script; making it takes seconds."""
    script: str = vl_convert.javascript_bundle(vl_version=VEGA_LITE)
    return script.replace("</script", "<\\/script")


@cache
def _template() -> Any:
    environment = Environment(loader=PackageLoader(_PACKAGE, ""), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html")


def _file(name: str) -> str:
    return files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")
