"""Renders the report as one HTML file: charts, tables and texts in both languages; it loads nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from notaflow_pipeline.reporting.report.chart_marks import LAYERS
from notaflow_pipeline.reporting.report.charts import (
    HEIGHT_PIXELS,
    VEGA_LITE,
    chart,
    data_sets,
    drawn_kinds,
    period_parameters,
)
from notaflow_pipeline.reporting.report.locale_format import LANGUAGES, Language, LocaleFormat
from notaflow_pipeline.reporting.report.periods import Period, periods_of, whole_range
from notaflow_pipeline.reporting.report.report_data import ReportData
from notaflow_pipeline.reporting.report.tables import (
    chart_tables,
    failing_documents,
    lowest_confidence_documents,
    missing_days_notice,
    queue_tiles,
    total_tiles,
)
from notaflow_pipeline.reporting.report.translations import texts_in

_PACKAGE = "notaflow_pipeline.reporting.report"


def render_page(figures: ReportData, *, language: Language | None = None) -> str:
    """Return the report as an HTML page that needs no other file.

    Args:
        figures: what to show.
        language: in which it opens; the reader's browser decides when it is None. Either can be chosen on the page.
    """
    scripts = (_bundle(), _file("page.js"))
    periods, kinds = periods_of(figures), drawn_kinds(figures)
    report = {
        "language": language,
        "height": HEIGHT_PIXELS,
        "periods": {
            period.span: {"parameters": period_parameters(period), "data": data_sets(period, kinds)}
            for period in periods
        },
        "languages": {one: _script_data(figures, periods, one) for one in LANGUAGES},
    }
    return _template().render(
        first_language=language or LANGUAGES[0],
        policy=_policy(scripts),
        style=Markup(_file("page.css")),  # noqa: S704 - a file of this package
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - files of packages
        report=report,
        spans=[period.span for period in periods],
        sources=figures.sources,
        editions=[_edition(figures, one) for one in LANGUAGES],
    )


def _script_data(figures: ReportData, periods: Sequence[Period], language: Language) -> dict[str, Any]:
    """Return what the page's script needs in a language."""
    formats = LocaleFormat(language)
    return {
        "title": texts_in(language)["title"],
        "numbers": formats.chart_numbers(),
        "dates": formats.chart_dates(),
        "charts": {name: chart(name, figures, language) for name in LAYERS},
        "views": {
            period.span: {
                "period": _period_text(period.report, language),
                "bins": _bins_text(period, language),
                "notice": missing_days_notice(period.report, language),
                "sources": {source: _view(period, language, source) for source in figures.sources},
            }
            for period in periods
        },
    }


def _view(period: Period, language: Language, source: str) -> dict[str, Any]:
    """Return the tiles and tables of a period and a source."""
    return {
        "tiles": [[tile.value, tile.note] for tile in total_tiles(period.report, language, source)],
        "tables": {one.name: [one.columns, one.rows] for one in chart_tables(period, language, source)},
    }


def _period_text(figures: ReportData, language: Language) -> str:
    formats = LocaleFormat(language)
    days = {"since": formats.day(figures.since), "until": formats.day(figures.until)}
    return texts_in(language)["period"].format(**days)


def _bins_text(period: Period, language: Language) -> str:
    return texts_in(language)["by_days" if period.bin_days == 1 else "by_weeks"]


def _edition(figures: ReportData, language: Language) -> dict[str, Any]:
    """Return what the template shows in one language, of the whole range and all sources."""
    texts, formats, period = texts_in(language), LocaleFormat(language), whole_range(figures)
    return {
        "language": language,
        "texts": texts,
        "period": _period_text(figures, language),
        "bins": _bins_text(period, language),
        "written": texts["written"].format(
            moment=formats.moment(figures.written_at, figures.timezone), timezone=figures.timezone
        ),
        "notice": missing_days_notice(figures, language),
        "queue": queue_tiles(figures, language),
        "totals": total_tiles(figures, language),
        "charts": chart_tables(period, language),
        "lists": [failing_documents(figures, language), lowest_confidence_documents(figures, language)],
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
