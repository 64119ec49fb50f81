"""The marks of each chart: bars, lines and bands as Vega-Lite layers, one for each bin (a day or a week) of the x axis.

Colours are those of Okabe and Ito, "Color Universal Design" (2008), which colour-blind readers can distinguish; lines
that cross also differ in their dashes. Values of rows are passed as data only, never in an expression.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
GREY, BLACK = "#767676", "#000000"

OTHER_KINDS = ""
"""The kind for all failures whose kind has no colour of its own."""

KIND_COLOURS = (VERMILLION, BLUE, ORANGE, GREEN, PURPLE)
"""Colours of the most frequent kinds of failure; more could not be distinguished."""

Spec = dict[str, Any]

_BIN_PIXELS = "width * 864e5 * bin_days / (last_day - first_day)"

_BAND_WIDTH = {"expr": f"max(1, min(12, 0.7 * {_BIN_PIXELS}))"}
"""The width of an interval: most of its bin."""

BIN_WIDTH: Spec = {"expr": "width * (datum.day_end - datum.day) / (last_day - first_day)"}
"""The full width of a bin; the first and last week of a period may be shorter."""

_BAR: Spec = {
    "type": "bar",
    "width": BIN_WIDTH,
    "aria": False,
    "binSpacing": 0,
    "stroke": "#ffffff",
    "strokeWidth": {"expr": f"{_BIN_PIXELS} > 6 ? 1 : 0"},
}
"""Bars have gaps where bins are wide, and none where they are narrow."""

_LINE: Spec = {
    "type": "line",
    "aria": False,
    "strokeWidth": {"expr": f"{_BIN_PIXELS} > 4 ? 2 : 1.2"},
    "point": {"filled": True, "size": {"expr": f"{_BIN_PIXELS} > 4 ? 28 : 3"}},
}
"""Lines with points, so that a bin between bins without figures is visible."""

BIN_LABEL: Spec = {
    "calculate": "utcFormat(datum.day, '%Y-%m-%d')"
    " + (bin_days > 1 ? ' – ' + utcFormat(datum.day_end - 864e5, '%Y-%m-%d') : '')",
    "as": "shown_bin",
}
"""Writes the day of a bin, or the first and the last one."""

_WHOLE: Spec = {"format": ",.0f", "labelExpr": "datum.value % 1 ? '' : datum.label"}
"""The axis of a count: halves of a document are not labelled."""

_LEGEND: Spec = {"symbolType": "stroke", "symbolOpacity": 1, "symbolSize": 200}


@dataclass(frozen=True)
class ChartContext:
    """Texts, units and scales of a chart's layers.

    Attributes:
        texts: the texts of the language.
        unit: name of the unit in which durations are drawn.
        unit_seconds: its length.
        confidence: lowest and highest confidence on the axis.
        kinds: the kinds of failure that are drawn, and their names, the most frequent first.
    """

    texts: Mapping[str, str]
    unit: str
    unit_seconds: int
    confidence: tuple[float, float]
    kinds: Sequence[tuple[str, str]]


def throughput(_context: ChartContext) -> list[Spec]:
    """Return a bar per bin."""
    return [{"mark": _BAR | {"color": BLUE}, "encoding": {"y": _y("documents", _WHOLE)}}]


def failure_rate(context: ChartContext) -> list[Spec]:
    """Return the observed rate as a line above its interval."""
    rate, interval = context.texts["rate"], context.texts["interval"]
    colours = {"domain": [rate, interval], "range": [VERMILLION, ORANGE]}
    axis = {"format": ".1~%"}
    return [
        {
            "mark": {"type": "rule", "aria": False, "opacity": 0.4, "strokeWidth": _BAND_WIDTH},
            "encoding": {
                "y": _y("failure_rate_low", axis),
                "y2": {"field": "failure_rate_high"},
                "color": _constant(interval, colours),
            },
        },
        {
            "mark": _LINE,
            "encoding": {"y": _y("attempt_failure_rate", axis), "color": _constant(rate, colours)},
        },
    ]


def wait(context: ChartContext) -> list[Spec]:
    """Return the median and the 95th percentile of waits."""
    return _percentiles("wait_seconds", context)


def duration(context: ChartContext) -> list[Spec]:
    """Return the median and the 95th percentile of durations."""
    return _percentiles("duration_seconds", context)


def confidence(context: ChartContext) -> list[Spec]:
    """Return the mean confidence, on an axis that shows small changes and does not magnify noise."""
    scale = {"domain": list(context.confidence), "zero": False, "nice": False}
    mark = _LINE | {"color": GREEN, "point": _LINE["point"] | {"color": GREEN}}
    return [{"mark": mark, "encoding": {"y": _y("mean_confidence", {"format": ",.0f"}) | {"scale": scale}}}]


def attempts(context: ChartContext) -> list[Spec]:
    """Return the attempts of each bin, stacked by outcome."""
    fields = ["attempts_succeeded", "attempts_failed", "attempts_stuck"]
    labels = [context.texts[word] for word in ("succeeded", "attempts_failed", "attempts_stuck")]
    return [
        {
            "transform": [
                {"fold": fields, "as": ["outcome", "count"]},
                _lookup("outcome", list(zip(fields, labels, strict=True))),
                {"calculate": f"indexof({fields}, datum.outcome)", "as": "rank"},
            ],
            "mark": _BAR,
            "encoding": {
                "y": _y("count", _WHOLE),
                "color": _nominal(labels, [SKY, VERMILLION, BLACK]),
                "order": {"field": "rank"},
            },
        }
    ]


def kinds(context: ChartContext) -> list[Spec]:
    """Return the failed attempts of each bin, stacked by kind."""
    labels = [label for _, label in context.kinds]
    colours = [GREY if kind == OTHER_KINDS else KIND_COLOURS[rank] for rank, (kind, _) in enumerate(context.kinds)]
    return [
        {
            "transform": [
                _lookup("kind", context.kinds),
                {
                    "aggregate": [{"op": "sum", "field": "attempts", "as": "attempts"}],
                    "groupby": ["day", "middle", "day_end", "label", "rank"],
                },
                BIN_LABEL,
            ],
            "mark": _BAR,
            "encoding": {
                "y": _y("attempts", _WHOLE),
                "color": _nominal(labels, colours),
                "order": {"field": "rank"},
                "tooltip": [
                    bin_of_tooltip(context.texts),
                    {"field": "label", "type": "nominal", "title": context.texts["kind"]},
                    {"field": "attempts", "type": "quantitative", "title": context.texts["attempts"], "format": ",.0f"},
                ],
            },
        }
    ]


def bin_of_tooltip(texts: Mapping[str, str]) -> Spec:
    """Return the first line of a tooltip: the day, or the first and last day of a week."""
    return {"field": "shown_bin", "type": "nominal", "title": texts["date"]}


LAYERS: Mapping[str, Callable[[ChartContext], list[Spec]]] = {
    "throughput": throughput,
    "failure_rate": failure_rate,
    "kinds": kinds,
    "wait": wait,
    "duration": duration,
    "attempts": attempts,
    "confidence": confidence,
}
"""What is drawn in each chart, in the order of the page."""


def _percentiles(field: str, context: ChartContext) -> list[Spec]:
    """Return both lines, and the band between them, in the context's unit."""
    parts = {"p50": context.texts["p50"], "p95": context.texts["p95"]}
    colours = {"domain": list(parts.values()), "range": [BLUE, VERMILLION]}
    dashes = {"domain": list(parts.values()), "range": [[1, 0], [5, 3]]}
    axis = {"title": context.unit, "format": ",.1~f"}
    in_unit = [
        {
            "calculate": f"isValid(datum.{field}_{part}) ? datum.{field}_{part} / {context.unit_seconds} : null",
            "as": part,
        }
        for part in parts
    ]
    band: Spec = {
        "mark": {"type": "rule", "aria": False, "color": BLUE, "opacity": 0.18, "strokeWidth": _BAND_WIDTH},
        "encoding": {"y": _y("p50", axis), "y2": {"field": "p95"}},
    }
    lines: list[Spec] = [
        {
            "mark": _LINE,
            "encoding": {
                "y": _y(part, axis),
                "color": _constant(label, colours),
                "strokeDash": _constant(label, dashes),
            },
        }
        for part, label in parts.items()
    ]
    return [{"transform": in_unit, "layer": [band, *lines]}]


def _y(field: str, axis: Spec) -> Spec:
    return {"field": field, "type": "quantitative", "title": None, "axis": axis}


def _constant(label: str, scale: Spec) -> Spec:
    return {"datum": label, "title": None, "scale": scale, "legend": _LEGEND}


def _nominal(labels: Sequence[str], colours: Sequence[str]) -> Spec:
    scale = {"domain": list(labels), "range": list(colours)}
    return {"field": "label", "type": "nominal", "title": None, "scale": scale}


def _lookup(field: str, pairs: Sequence[tuple[str, str]]) -> Spec:
    """Return the transform that gives each value its name, as `label`."""
    values = [{"key": value, "label": label} for value, label in pairs]
    return {"lookup": field, "from": {"data": {"values": values}, "key": "key", "fields": ["label"]}}
