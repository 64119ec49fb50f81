"""The report as one file: charts, tables and words in both languages, nothing fetched from anywhere.

What does not belong here: what a chart looks like (`charts`), what stands beside it (`tables`), and where the file lies.
"""

import base64
import hashlib
import os
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from notaflow_pipeline.reporting.chart_marks import LAYERS
from notaflow_pipeline.reporting.charts import HEIGHT_PIXELS, VEGA_LITE, chart, data_sets, milliseconds
from notaflow_pipeline.reporting.locale_format import LANGUAGES, Language, LocaleFormat
from notaflow_pipeline.reporting.report_data import ReportData
from notaflow_pipeline.reporting.tables import (
    chart_tables,
    failing_documents,
    least_confident_documents,
    queue_tiles,
    total_tiles,
)
from notaflow_pipeline.reporting.translations import texts_in

SPANS = (7, 30, 90, 365)
"""How many days a reader can look at, as far as the report has more."""

_PACKAGE = "notaflow_pipeline.reporting"


def render_page(figures: ReportData, *, language: Language | None = None) -> str:
    """Return the report as an HTML page that needs no other file.

    Args:
        figures: what to show.
        language: in which it opens; the reader's browser decides when it is None. Either can be chosen on the page.
    """
    scripts = (_bundle(), _file("page.js"))
    report = {
        "language": language,
        "height": HEIGHT_PIXELS,
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
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
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


def _drawing(figures: ReportData, language: Language) -> dict[str, Any]:
    formats = LocaleFormat(language)
    return {
        "title": texts_in(language)["title"],
        "numbers": formats.chart_numbers(),
        "dates": formats.chart_dates(),
        "charts": {name: chart(name, figures, language) for name in LAYERS},
    }


def _edition(figures: ReportData, language: Language) -> dict[str, Any]:
    """Return what the template shows in one language."""
    texts, formats = texts_in(language), LocaleFormat(language)
    days = {"since": formats.day(figures.since), "until": formats.day(figures.until)}
    return {
        "language": language,
        "texts": texts,
        "formats": formats,
        "period": texts["period"].format(**days),
        "written": texts["written"].format(
            moment=formats.moment(figures.written_at, figures.timezone), timezone=figures.timezone
        ),
        "queue": queue_tiles(figures, language),
        "totals": total_tiles(figures, language),
        "charts": chart_tables(figures, language),
        "lists": [failing_documents(figures, language), least_confident_documents(figures, language)],
    }


def _policy(scripts: Sequence[str]) -> str:
    """Return a content security policy: these scripts run and no others, and nothing is loaded from anywhere."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    rules = (
        "default-src 'none'",
        f"script-src {allowed}",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


@cache
def _bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script; making it takes seconds."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed", vl_version=VEGA_LITE)
    return script.replace("</script", "<\\/script")


@cache
def _template() -> Template:
    environment = Environment(loader=PackageLoader(_PACKAGE, ""), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html")


def _file(name: str) -> str:
    return files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")
