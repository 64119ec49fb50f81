"""Describes the allowed values of an option or argument whose value is invalid, as `settings` does for settings."""

from datetime import datetime
from typing import Any

import typer
from typer.core import TyperGroup

INTEGER_EXAMPLE = 10
"""Shown where an option has no default, if its limits allow it."""


class Commands(TyperGroup):
    """The commands. An error about a value says what its option takes, with an example."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # not a subclass, such as that of a missing argument
            values = allowed_values(error.param) if type(error) is typer.BadParameter and error.param else None
            if values is not None:
                error.message = f"it takes {values}"
            raise


def allowed_values(parameter: Any) -> str | None:
    """Return in words what a parameter takes, with an example; None if its type does not say it."""
    kind = parameter.type_descriptor
    if kind.is_choice:
        names = [str(getattr(one, "value", one)) for one in kind.choices]
        return f"one of {', '.join(names)}; such as {names[0]}"
    if kind.annotation is datetime:
        days_alone = kind.parameter_info.formats == ["%Y-%m-%d"]
        return "a day, such as 2025-11-01" if days_alone else "a time, such as 2025-11-01 or 2025-11-01 14:30"
    if kind.annotation in {int, float}:
        return _number(parameter, "a whole number" if kind.annotation is int else "a number")
    return None


def _number(parameter: Any, what: str) -> str:
    low, high = parameter.min, parameter.max
    limits = [f"at least {low:,}"] if low is not None else []
    limits += [f"at most {high:,}"] if high is not None else []
    return f"{what}{' of ' if limits else ''}{' and '.join(limits)}, such as {_example(parameter.default, low, high)}"


def _example(default: float | None, low: float | None, high: float | None) -> float:
    if default is not None:
        return default
    if high is not None and high <= 1:
        return high / 2
    return min(max(INTEGER_EXAMPLE, low or 0), high or INTEGER_EXAMPLE)
