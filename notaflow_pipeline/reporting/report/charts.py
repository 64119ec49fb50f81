"""The charts of a report, as Vega-Lite specifications, which a browser or this process draws.

Every chart reads the data set `days` or `kinds`, and follows the parameters of `period_parameters` and `source`. Times are
milliseconds since 1970 in UTC. A row of the data stands for a bin: a day, or a week where the period is long.
"""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

import pandas as pd
import vl_convert
from PIL import Image

from notaflow_pipeline.reporting.daily_tables.daily import ALL
from notaflow_pipeline.reporting.report.chart_marks import (
    BIN_LABEL,
    BIN_WIDTH,
    KIND_COLOURS,
    LAYERS,
    OTHER_KINDS,
    ChartContext,
    Spec,
    bin_of_tooltip,
)
from notaflow_pipeline.reporting.report.locale_format import Language, LocaleFormat, unit_of
from notaflow_pipeline.reporting.report.periods import Period, rows_of_period, whole_range
from notaflow_pipeline.reporting.report.report_data import ReportData
from notaflow_pipeline.reporting.report.translations import failure_kind_in, texts_in

VEGA_LITE = "6.4"
"""The version of the language that the specifications are written in, and that is bundled into the page."""

HEIGHT_PIXELS = 220
PICTURE_WIDTH_PIXELS = 560

MAX_TICKS = 8
"""The most labels on the axis of days."""

DAY_MILLISECONDS = 86_400_000

MIN_CONFIDENCE_RANGE = 10
"""The axis of confidence spans at least so much of its 100."""

Format = Literal["number", "decimal", "percent", "seconds"]

_D3_FORMATS: Mapping[Format, str] = {"number": ",.0f", "decimal": ",.1f", "percent": ".1%", "seconds": ",.2~f"}


@dataclass(frozen=True)
class Column:
    """A figure of a day: its name in the data, the name of its label, and its format."""

    name: str
    label: str
    format: Format = "number"


CHART_COLUMNS: Mapping[str, Sequence[Column]] = {
    "throughput": (
        Column("documents", "documents"),
        Column("pages", "pages"),
        Column("pages_per_minute", "pages_per_minute", "decimal"),
    ),
    "failure_rate": (
        Column("attempt_failure_rate", "rate", "percent"),
        Column("failure_rate_low", "low", "percent"),
        Column("failure_rate_high", "high", "percent"),
        Column("attempts", "attempts"),
    ),
    "wait": (Column("wait_seconds_p50", "p50", "seconds"), Column("wait_seconds_p95", "p95", "seconds")),
    "duration": (Column("duration_seconds_p50", "p50", "seconds"), Column("duration_seconds_p95", "p95", "seconds")),
    "attempts": (
        Column("attempts_succeeded", "succeeded"),
        Column("attempts_failed", "attempts_failed"),
        Column("attempts_stuck", "attempts_stuck"),
        Column("attempts_avg", "attempts_avg", "decimal"),
    ),
    "confidence": (
        Column("mean_confidence", "mean_confidence", "decimal"),
        Column("low_confidence_documents", "low_confidence_documents"),
        Column("mean_coverage", "mean_coverage", "percent"),
        Column("low_coverage_documents", "low_coverage_documents"),
    ),
}
"""The charts of days with the figures that they show, in tooltip and table; `kinds` has rows of another shape."""


def data_sets(period: Period, drawn_kinds: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    """Return what the charts of a period read, `days` and `kinds`, each as lists of JSON values by column.

    Args:
        period: what is shown.
        drawn_kinds: kinds of failure that have a colour of their own, the most frequent first.
    """
    rows = rows_of_period(period)
    names = dict.fromkeys(column.name for columns in CHART_COLUMNS.values() for column in columns)
    days = {
        **_bin_columns(period, rows["day"]),
        "source": rows["document_source"].tolist(),
        **{name: [_rounded(value) for value in rows[name]] for name in names},
    }
    ranks = {kind: rank for rank, kind in enumerate(drawn_kinds)}
    failed = period.report.failures_by_kind
    failed = failed.assign(
        day=[period.bin_start(day) for day in failed["day"]],
        rank=[ranks.get(kind, len(ranks)) for kind in failed["failure_kind"]],
    )
    failed = failed.groupby(["day", "document_source", "rank"])["attempts"].sum().reset_index()
    kinds = {
        **_bin_columns(period, failed["day"]),
        "source": failed["document_source"].tolist(),
        "kind": [drawn_kinds[rank] if rank < len(ranks) else OTHER_KINDS for rank in failed["rank"]],
        "rank": failed["rank"].tolist(),
        "attempts": failed["attempts"].tolist(),
    }
    return {"days": days, "kinds": kinds}


def period_parameters(period: Period) -> dict[str, Any]:
    """Return the values that a period gives to the parameters of every chart."""
    since, end = period.report.since, period.report.until + timedelta(days=1)
    by_months = period.bin_days > 1
    return {
        "period": period.span,
        "first_day": milliseconds(since),
        "last_day": milliseconds(end),
        "bin_days": period.bin_days,
        "by_months": by_months,
        "ticks": _month_ticks(since, end) if by_months else _day_ticks(since, end),
    }


def drawn_kinds(figures: ReportData) -> list[str]:
    """Return the kinds of failure that have a colour of their own, the most frequent first."""
    return [kind for kind, _, _ in figures.kinds()[: len(KIND_COLOURS)]]


def records(columns: Mapping[str, Sequence[Any]], span: int) -> list[dict[str, Any]]:
    """Return a data set of a period as Vega-Lite takes it: an object per row."""
    return [dict(zip(columns, row, strict=True), period=span) for row in zip(*columns.values(), strict=True)]


def chart(name: str, figures: ReportData, language: Language) -> Spec:
    """Return one chart's specification, without its data."""
    texts = texts_in(language)
    context = _context(name, figures, language)
    layers = LAYERS[name](context)
    if name in CHART_COLUMNS:
        layers.append(_bin_tooltip(CHART_COLUMNS[name], context))
    day, month = LocaleFormat(language).tick_days
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE.partition('.')[0]}.json",
        "description": f"{texts[f'{name}_title']}. {texts[f'{name}_text']}",
        "width": "container",
        "height": HEIGHT_PIXELS,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": [
            *({"name": name, "value": value} for name, value in period_parameters(whole_range(figures)).items()),
            {"name": "source", "value": ALL},
        ],
        "data": {"name": "days" if name in CHART_COLUMNS else "kinds"},
        "transform": [{"filter": "datum.period === period && datum.source === source"}],
        "encoding": {
            "x": {
                "field": "middle",
                "type": "temporal",
                "title": None,
                "scale": {"type": "utc", "domain": [{"expr": "first_day"}, {"expr": "last_day"}]},
                "axis": {
                    "grid": False,
                    "values": {"expr": "ticks"},
                    "labelExpr": f"utcFormat(datum.value, by_months ? '{month}' : '{day}')",
                    "labelOverlap": True,
                },
            }
        },
        "layer": layers,
        "config": _CONFIG,
    }


def picture(name: str, figures: ReportData, language: Language) -> bytes:
    """Draw a chart here, without a browser, and return it as PNG."""
    formats = LocaleFormat(language)
    period = whole_range(figures)
    data = {one: records(columns, period.span) for one, columns in data_sets(period, drawn_kinds(figures)).items()}
    drawn = vl_convert.vegalite_to_png(
        chart(name, figures, language) | {"width": PICTURE_WIDTH_PIXELS, "datasets": data},
        vl_version=VEGA_LITE,
        format_locale=formats.chart_numbers(),
        time_format_locale=formats.chart_dates(),
    )
    # without this it has a quarter of a megabyte; the octree method keeps a chart's few colours, the default one mixes them
    small, image = io.BytesIO(), Image.open(io.BytesIO(drawn)).convert("RGB")
    image.quantize(256, method=Image.Quantize.FASTOCTREE).save(small, "PNG", optimize=True)
    return small.getvalue()


def milliseconds(day: date) -> int:
    """Return the midnight in UTC of a day, in milliseconds since 1970."""
    return int(datetime.combine(day, time(), UTC).timestamp() * 1000)


def _bin_columns(period: Period, starts: Iterable[date]) -> dict[str, list[Any]]:
    """Return where each row's bin begins, has its middle, and ends."""
    bins = [(milliseconds(start), milliseconds(period.bin_end(start))) for start in starts]
    return {
        "day": [start for start, _ in bins],
        "middle": [(start + end) // 2 for start, end in bins],
        "day_end": [end for _, end in bins],
    }


def _day_ticks(since: date, end: date) -> list[int]:
    """Return noon of the days that the axis labels, the last day among them."""
    days = (end - since).days
    step = math.ceil(days / MAX_TICKS)
    labelled = [end - timedelta(days=1 + back) for back in range(0, days, step)]
    return [milliseconds(day) + DAY_MILLISECONDS // 2 for day in reversed(labelled)]


def _month_ticks(since: date, end: date) -> list[int]:
    """Return the firsts of the months that the axis labels."""
    months = range(since.year * 12 + since.month, end.year * 12 + end.month)
    firsts = [date(month // 12, month % 12 + 1, 1) for month in months]
    firsts = [first for first in firsts if since <= first < end]
    return [milliseconds(first) for first in firsts[:: math.ceil(len(firsts) / MAX_TICKS) or 1]]


def _context(name: str, figures: ReportData, language: Language) -> ChartContext:
    texts = texts_in(language)
    durations = [column.name for column in CHART_COLUMNS.get(name, ()) if column.format == "seconds"]
    longest = figures.performance[durations].max().max() if durations else math.nan
    unit, unit_seconds = unit_of(0.0 if pd.isna(longest) else float(longest))
    drawn = [(kind, failure_kind_in(language, kind)) for kind in drawn_kinds(figures)]
    others = [(OTHER_KINDS, texts["other"])] if len(figures.kinds()) > len(drawn) else []
    return ChartContext(
        texts, LocaleFormat(language).unit(unit), unit_seconds, _confidence_axis(figures), [*drawn, *others]
    )


def _confidence_axis(figures: ReportData) -> tuple[float, float]:
    known = figures.performance["mean_confidence"].dropna()
    if known.empty:
        return 0.0, 100.0
    low, high = math.floor(known.min() - 1), math.ceil(known.max() + 1)
    spread = max(0, MIN_CONFIDENCE_RANGE - (high - low)) / 2
    return max(0.0, low - spread), min(100.0, high + spread)


def _bin_tooltip(columns: Sequence[Column], context: ChartContext) -> Spec:
    """Return an invisible column over each bin that shows the bin's figures under the pointer."""
    written, tooltip = [], [bin_of_tooltip(context.texts)]
    for column in columns:
        in_unit = column.format == "seconds"
        value = f"datum.{column.name}" + (f" / {context.unit_seconds}" if in_unit else "")
        text = f"isValid(datum.{column.name}) ? format({value}, '{_D3_FORMATS[column.format]}') : '–'"
        title = context.texts[column.label] + (f" ({context.unit})" if in_unit else "")
        written.append({"calculate": text, "as": f"shown_{column.name}"})
        tooltip.append({"field": f"shown_{column.name}", "type": "nominal", "title": title})
    return {
        "transform": [BIN_LABEL, *written],
        "params": [{"name": "pointed", "select": {"type": "point", "on": "pointerover", "clear": "pointerout"}}],
        "mark": {"type": "rect", "width": BIN_WIDTH, "color": "#000000", "aria": False, "cursor": "default"},
        "encoding": {
            "y": {"value": 0},
            "y2": {"value": {"expr": "height"}},
            "opacity": {"condition": {"param": "pointed", "empty": False, "value": 0.08}, "value": 0},
            "tooltip": tooltip,
        },
    }


def _rounded(figure: float) -> float | None:
    """Return a figure with six significant digits: more than a chart shows, in half of the bytes."""
    return None if pd.isna(figure) else float(f"{figure:.6g}")


_CONFIG: Spec = {
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif",
    "background": "#ffffff",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": "#444444",
        "titleColor": "#444444",
        "gridColor": "#e4e7eb",
        "domainColor": "#9aa3ad",
        "tickColor": "#9aa3ad",
    },
    "axisY": {"domain": False, "ticks": False, "tickCount": 5, "labelPadding": 6, "minExtent": 34},
    "legend": {
        "orient": "top",
        "labelFontSize": 12,
        "symbolStrokeWidth": 3,
        "labelColor": "#333333",
        "columns": {"expr": "max(1, floor(width / 115))"},
    },
}
