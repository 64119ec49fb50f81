"""Evaluates the samples of a soak: a chart of every part over time, and the growth of each figure."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert

VEGA_LITE = "6.4"
WARM_UP_SHARE = 0.25
"""The first quarter of a phase loads modules and fills caches; growth is measured after it."""

MEMORY_PARTS = ("notaflow dev", "webserver", "daemon", "code server", "runs", "postgres")
MEMORY = tuple((f"{part}: pss", part) for part in MEMORY_PARTS)
DISK = tuple(
    (f"disk {name}: bytes", name) for name in ("home", "tables", "write-ahead log", "server's log", "temporary")
)
SCHEMAS = (("schema public: bytes", "queue and attempts"), ("schema dagster: bytes", "Dagster's tables"))
CONNECTIONS = (("connections: most", "most in a second"), ("connections: fewest", "fewest in a second"))
ROWS = (
    ("events", "Dagster's events"),
    ("runs", "Dagster's runs"),
    ("ticks", "ticks"),
    ("attempts", "attempts"),
)
DESCRIPTORS = tuple((f"{part}: descriptors", part) for part in MEMORY_PARTS)

MEBIBYTE = 2**20
CHARTS: tuple[tuple[str, tuple[tuple[str, str], ...], float], ...] = (
    ("memory by part, MiB (shared pages divided)", MEMORY, MEBIBYTE),
    ("database connections", CONNECTIONS, 1),
    ("disk, MiB", DISK, MEBIBYTE),
    ("tables and their indexes, MiB", SCHEMAS, MEBIBYTE),
    ("rows", ROWS, 1),
    ("open descriptors by part", DESCRIPTORS, 1),
)

OWN_MEMORY = tuple((f"{part}: uss", part) for part in ("webserver", "daemon", "code server"))
NOT_DRAWN: tuple[tuple[str, tuple[tuple[str, str], ...], float], ...] = (
    ("memory that is shared with no other process, MiB", OWN_MEMORY, MEBIBYTE),
    ("sensors", (("evaluations", "evaluated"),), 1),
)


def report(samples: Path, picture: Path | None) -> None:
    """Prints each phase and the effect of housekeeping; draws the charts if a file for them is given.

    Args:
        samples: the JSON lines that a soak has written, complete or interrupted.
        picture: the PNG file to write.
    """
    lines = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    taken = [line for line in lines if line["kind"] == "sample"]
    if not taken:
        print(f"{samples} holds no sample")
        return
    for phase in dict.fromkeys(line["phase"] for line in taken):
        _print_phase(phase, [line for line in taken if line["phase"] == phase])
    for line in lines:
        if line["kind"] == "housekeeping":
            _print_housekeeping(line)
    if picture is not None:
        picture.write_bytes(vl_convert.vegalite_to_png(_specification(taken), vl_version=VEGA_LITE, scale=1.5))
        print(f"drawn in {picture}")


def _print_phase(phase: str, taken: list[dict[str, Any]]) -> None:
    figures = pd.DataFrame([line["figures"] for line in taken], index=[line["seconds"] for line in taken])
    minutes = (figures.index[-1] - figures.index[0]) / 60
    read = figures["documents_read"].iloc[-1] - figures["documents_read"].iloc[0]
    print(
        f"\n{phase}: {minutes:.0f} minutes, {len(figures)} samples, {taken[-1]['enqueued']} enqueued, {read:.0f} read"
    )
    print(f"  most processes without a parent of ours: {figures['orphans: processes'].max():.0f}")
    settled = figures[figures.index >= figures.index[0] + WARM_UP_SHARE * 60 * minutes]
    print(f"  {'':46}{'start':>9}{'median':>9}{'most':>9}{'an hour':>10}")
    for _, lines, unit in (*CHARTS, *NOT_DRAWN):
        for name, _ in lines:
            if name in figures:
                of = settled[name].dropna() / unit
                growth = f"{_slope_an_hour(of):+10.1f}" if len(of) > 2 else f"{'':10}"
                known = figures[name].dropna() / unit
                print(f"  {_title(name, unit):46}{known.iloc[0]:9.1f}{of.median():9.1f}{known.max():9.1f}{growth}")


def _title(name: str, unit: float) -> str:
    return f"{name.removesuffix(': bytes')}, MiB" if unit == MEBIBYTE else name


def _slope_an_hour(values: "pd.Series[float]") -> float:
    """Returns the growth of values per hour: the median slope of all pairs (Theil and Sen), which single peaks do not
    affect.
    """
    seconds = values.index.to_numpy(dtype=float)
    slopes = [
        (values.iloc[late] - values.iloc[early]) / (seconds[late] - seconds[early])
        for late in range(len(values))
        for early in range(late)
    ]
    return 3600 * float(pd.Series(slopes).median())


def _print_housekeeping(line: dict[str, Any]) -> None:
    print(f"\nhousekeeping of a year-old history: {line['status']}")
    print(f"  {'':46}{'before':>10}{'after':>10}")
    for name in ("runs", "events", "check_results", "ticks", "attempts", "documents_read"):
        print(f"  {name:46}{line['before'][name]:10.0f}{line['after'][name]:10.0f}")
    for name, _ in SCHEMAS + DISK[:1]:
        before, after = (line[moment][name] / MEBIBYTE for moment in ("before", "after"))
        print(f"  {_title(name, MEBIBYTE):46}{before:10.1f}{after:10.1f}")


def _specification(taken: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns six charts over minutes; a vertical line marks the beginning of the second phase."""
    began = taken[0]["at"]
    minutes = [(line["at"] - began) / 60 for line in taken]
    changes = [minutes[n] for n in range(1, len(taken)) if taken[n]["phase"] != taken[n - 1]["phase"]]
    phases = [{"minute": minute} for minute in changes]
    charts = []
    for title, lines, unit in CHARTS:
        values = [
            {"minute": minute, "part": word, "value": line["figures"][name] / unit}
            for minute, line in zip(minutes, taken, strict=True)
            for name, word in lines
            if name in line["figures"]
        ]
        charts.append(_chart(title, values, [word for _, word in lines], phases))
    return {
        "config": {"view": {"stroke": None}, "background": "white"},
        "vconcat": [{"hconcat": charts[n : n + 2], "resolve": {"scale": {"color": "independent"}}} for n in (0, 2, 4)],
        "resolve": {"scale": {"color": "independent"}},
    }


def _chart(
    title: str, values: list[dict[str, Any]], words: list[str], phases: list[dict[str, float]]
) -> dict[str, Any]:
    minute = {"field": "minute", "type": "quantitative", "title": "minutes"}
    return {
        "title": {"text": title, "anchor": "start"},
        "width": 420,
        "height": 180,
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "line", "strokeWidth": 1.2},
                "encoding": {
                    "x": minute,
                    "y": {"field": "value", "type": "quantitative", "title": None},
                    "color": {"field": "part", "type": "nominal", "title": None, "scale": {"domain": words}},
                },
            },
            {"data": {"values": phases}, "mark": {"type": "rule", "strokeDash": [4, 3]}, "encoding": {"x": minute}},
        ],
    }
