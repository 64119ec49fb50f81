"""Formats numbers, shares, durations and dates in each language, on the page and in its charts.

The conventions are those of Unicode's CLDR, through Babel.
"""

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_decimal
from babel.units import format_unit

Language = Literal["fr", "en"]

LANGUAGES: tuple[Language, ...] = ("fr", "en")

NOTHING = "–"
"""Shown where there is no figure."""

_UNITS = ((90, "second", 1), (90 * 60, "minute", 60), (36 * 3600, "hour", 3600), (float("inf"), "day", 86_400))


def unit_of(seconds: float) -> tuple[str, int]:
    """Return the usual unit of this duration, and its length in seconds."""
    return next((unit, length) for limit, unit, length in _UNITS if seconds < limit)


@dataclass(frozen=True)
class LocaleFormat:
    """The conventions of a language, French as in Canada; absent figures become a dash."""

    language: Language

    @property
    def locale(self) -> Locale:
        """Babel's data for it."""
        return Locale("fr", "CA") if self.language == "fr" else Locale("en")

    def number(self, value: float | None, decimals: int = 0) -> str:
        """Write a number: `12 345`, `1,5`."""
        pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
        return NOTHING if value is None or math.isnan(value) else format_decimal(value, pattern, locale=self.locale)

    def percent(self, share: float | None) -> str:
        """Write a share of 1: `1,5 %`."""
        space = "\N{NO-BREAK SPACE}" if self.language == "fr" else ""
        return NOTHING if share is None or math.isnan(share) else self.number(100 * share, 1) + space + "%"

    def seconds(self, value: float | None) -> str:
        """Write a duration in the unit that suits it: `4,2 s`, `3,5 min`, `2,1 j`."""
        if value is None or math.isnan(value):
            return NOTHING
        unit, length = unit_of(value)
        pattern = "#,##0.0" if unit != "second" or value < 10 else "#,##0"
        written = format_unit(value / length, f"duration-{unit}", length="short", format=pattern, locale=self.locale)
        return str(written)

    def unit(self, unit: str) -> str:
        """Return a unit's name for an axis: `secondes`, `minutes`."""
        name: str = self.locale.unit_display_names[f"duration-{unit}"]["long"]
        return name

    def day(self, day: date) -> str:
        """Write a day: `3 nov. 2026`."""
        return format_date(day, "medium", locale=self.locale)

    def moment(self, moment: datetime, timezone: str) -> str:
        """Write a moment in a time zone: `3 nov. 2026, 17 h 30`."""
        local = moment.astimezone(ZoneInfo(timezone))
        return f"{self.day(local.date())}, {format_time(local, 'short', locale=self.locale)}"

    @property
    def tick_days(self) -> tuple[str, str]:
        """How an axis writes a day, and a month (d3 formats)."""
        return ("%-d %b", "%b %Y") if self.language == "fr" else ("%b %-d", "%b %Y")

    def chart_numbers(self) -> dict[str, Any]:
        """Return the number format locale of d3, in which charts are drawn."""
        symbols = self.locale.number_symbols["latn"]
        return {
            "decimal": symbols["decimal"],
            "thousands": symbols["group"],
            "grouping": [3],
            "currency": ["", "$"],
            "percent": "\N{NO-BREAK SPACE}%" if self.language == "fr" else "%",
        }

    def chart_dates(self) -> dict[str, Any]:
        """Return the date format locale of d3; weeks begin on Sunday there."""
        days, months = self.locale.days["format"], self.locale.months["format"]
        week = (6, 0, 1, 2, 3, 4, 5)
        return {
            "dateTime": "%Y-%m-%d %H:%M:%S",
            "date": "%Y-%m-%d",
            "time": "%H:%M:%S",
            "periods": ["AM", "PM"],
            "days": [days["wide"][one] for one in week],
            "shortDays": [days["abbreviated"][one] for one in week],
            "months": [months["wide"][one] for one in range(1, 13)],
            "shortMonths": [months["abbreviated"][one] for one in range(1, 13)],
        }
