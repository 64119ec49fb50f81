"""The charts of a report, as Vega-Lite specifications: small declarations that a browser draws, and this process too.

Every chart reads the data set `days` or `kinds`, and follows two parameters: `first_day` (milliseconds since 1970 in UTC)
and `source`. What does not belong here: what is drawn above each day (`chart_marks`), and the page around the charts
(`html_page`).
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

import pandas as pd
import vl_convert
from PIL import Image

from notaflow_pipeline.reporting.chart_marks import KIND_COLOURS, LAYERS, OTHER_KINDS, Drawing, Spec, day_of_tooltip
from notaflow_pipeline.reporting.daily import ALL
from notaflow_pipeline.reporting.locale_format import Language, LocaleFormat, unit_of
from notaflow_pipeline.reporting.report_data import ReportData
from notaflow_pipeline.reporting.translations import failure_kind_in, texts_in

VEGA_LITE = "6.4"
"""The version of the language that the specifications are written in, and that is bundled into the page."""

HEIGHT_PIXELS = 220

MIN_CONFIDENCE_RANGE = 10
"""The axis of confidence spans at least so much of its 100."""

Format = Literal["number", "decimal", "percent", "seconds"]

_D3_FORMATS: Mapping[Format, str] = {"number": ",.0f", "decimal": ",.1f", "percent": ".1%", "seconds": ",.2~f"}


@dataclass(frozen=True)
class Column:
    """A figure of a day: its name in the data, its word, and how it is written."""

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


def daily_rows(figures: ReportData) -> pd.DataFrame:
    """Return a row per day and source with every figure, days without any included, so that gaps are seen as gaps."""
    keys = ["day", "document_source"]
    known = figures.performance.merge(figures.failure_rate, on=keys, how="outer")
    days = [figures.since + timedelta(days=n) for n in range((figures.until - figures.since).days + 1)]
    every = pd.MultiIndex.from_product([days, figures.sources], names=keys)
    rows = known.set_index(keys).reindex(every).reset_index()
    rows["attempts_succeeded"] = rows["attempts"] - rows["attempts_failed"] - rows["attempts_stuck"]
    return rows


def data_sets(figures: ReportData) -> dict[str, dict[str, list[Any]]]:
    """Return what the charts read, `days` and `kinds`, each as lists of JSON values by column."""
    rows = daily_rows(figures)
    names = dict.fromkeys(column.name for columns in CHART_COLUMNS.values() for column in columns)
    days = {
        "day": [milliseconds(day) for day in rows["day"]],
        "source": rows["document_source"].tolist(),
        **{name: [_rounded(value) for value in rows[name]] for name in names},
    }
    failed = figures.failures_by_kind
    drawn = {kind: rank for rank, (kind, _, _) in enumerate(figures.kinds()[: len(KIND_COLOURS)])}
    kinds = {
        "day": [milliseconds(day) for day in failed["day"]],
        "source": failed["document_source"].tolist(),
        "kind": [kind if kind in drawn else OTHER_KINDS for kind in failed["failure_kind"]],
        "rank": [drawn.get(kind, len(drawn)) for kind in failed["failure_kind"]],
        "attempts": failed["attempts"].tolist(),
    }
    return {"days": days, "kinds": kinds}


def records(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return a data set as Vega-Lite takes it: an object per row."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def chart(name: str, figures: ReportData, language: Language) -> Spec:
    """Return one chart's specification, without its data."""
    texts = texts_in(language)
    drawing = _drawing(name, figures, language)
    layers = LAYERS[name](drawing)
    if name in CHART_COLUMNS:
        layers.append(_pointed_day(CHART_COLUMNS[name], drawing))
    day, month = LocaleFormat(language).tick_days
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE.partition('.')[0]}.json",
        "description": f"{texts[f'{name}_title']}. {texts[f'{name}_text']}",
        "width": "container",
        "height": HEIGHT_PIXELS,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": [
            {"name": "first_day", "value": milliseconds(figures.since)},
            {"name": "last_day", "value": milliseconds(figures.until + timedelta(days=1))},
            {"name": "source", "value": ALL},
        ],
        "data": {"name": "days" if name in CHART_COLUMNS else "kinds"},
        "transform": [{"filter": "datum.source === source && datum.day >= first_day"}],
        "encoding": {
            "x": {
                "field": "day",
                "type": "temporal",
                "timeUnit": "utcyearmonthdate",
                "bandPosition": 0.5,
                "title": None,
                "scale": {"type": "utc", "domain": [{"expr": "first_day"}, {"expr": "last_day"}]},
                "axis": {
                    "grid": False,
                    "tickCount": {"expr": "max(2, min(8, max(3, floor(width / 80)), (last_day - first_day) / 864e5))"},
                    "labelExpr": f"utcFormat(datum.value, last_day - first_day > 1.2e10 ? '{month}' : '{day}')",
                    "labelOverlap": True,
                    "labelFlush": True,
                },
            }
        },
        "layer": layers,
        "config": _CONFIG,
    }


def picture(name: str, figures: ReportData, language: Language, *, width_pixels: int = 560) -> bytes:
    """Draw a chart here, without a browser, and return it as PNG."""
    formats = LocaleFormat(language)
    data = {one: records(columns) for one, columns in data_sets(figures).items()}
    drawn = vl_convert.vegalite_to_png(
        chart(name, figures, language) | {"width": width_pixels, "datasets": data},
        vl_version=VEGA_LITE,
        format_locale=formats.chart_numbers(),
        time_format_locale=formats.chart_dates(),
    )
    # as it comes it is a quarter of a megabyte; an octree keeps a chart's few colours, where the default mixes them
    small, image = io.BytesIO(), Image.open(io.BytesIO(drawn)).convert("RGB")
    image.quantize(256, method=Image.Quantize.FASTOCTREE).save(small, "PNG", optimize=True)
    return small.getvalue()


def milliseconds(day: date) -> int:
    """Return a day as charts know it: its midnight in UTC."""
    return int(datetime.combine(day, time(), UTC).timestamp() * 1000)


def _drawing(name: str, figures: ReportData, language: Language) -> Drawing:
    texts = texts_in(language)
    durations = [column.name for column in CHART_COLUMNS.get(name, ()) if column.format == "seconds"]
    longest = figures.performance[durations].max().max() if durations else math.nan
    unit, unit_seconds = unit_of(0.0 if pd.isna(longest) else float(longest))
    kinds = [kind for kind, _, _ in figures.kinds()]
    drawn = [(kind, failure_kind_in(language, kind)) for kind in kinds[: len(KIND_COLOURS)]]
    others = [(OTHER_KINDS, texts["other"])] if len(kinds) > len(drawn) else []
    return Drawing(texts, LocaleFormat(language).unit(unit), unit_seconds, _confidence_axis(figures), [*drawn, *others])


def _confidence_axis(figures: ReportData) -> tuple[float, float]:
    known = figures.performance["mean_confidence"].dropna()
    if known.empty:
        return 0.0, 100.0
    low, high = math.floor(known.min() - 1), math.ceil(known.max() + 1)
    spread = max(0, MIN_CONFIDENCE_RANGE - (high - low)) / 2
    return max(0.0, low - spread), min(100.0, high + spread)


def _pointed_day(columns: Sequence[Column], drawing: Drawing) -> Spec:
    """Return the invisible column of each day, which shows the day's figures wherever it is pointed at."""
    written, tooltip = [], [day_of_tooltip(drawing.texts)]
    for column in columns:
        in_unit = column.format == "seconds"
        value = f"datum.{column.name}" + (f" / {drawing.unit_seconds}" if in_unit else "")
        text = f"isValid(datum.{column.name}) ? format({value}, '{_D3_FORMATS[column.format]}') : '–'"
        title = drawing.texts[column.label] + (f" ({drawing.unit})" if in_unit else "")
        written.append({"calculate": text, "as": f"shown_{column.name}"})
        tooltip.append({"field": f"shown_{column.name}", "type": "nominal", "title": title})
    return {
        "transform": written,
        "params": [{"name": "pointed", "select": {"type": "point", "on": "pointerover", "clear": "pointerout"}}],
        "mark": {"type": "rect", "color": "#000000", "aria": False, "cursor": "default"},
        "encoding": {
            "y": {"value": 0},
            "y2": {"value": {"expr": "height"}},
            "opacity": {"condition": {"param": "pointed", "empty": False, "value": 0.08}, "value": 0},
            "tooltip": tooltip,
        },
    }


def _rounded(figure: float) -> float | None:
    """Six significant digits are more than a chart shows, and half of the bytes."""
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
