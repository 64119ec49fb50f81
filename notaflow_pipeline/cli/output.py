"""What a command needs to be heard: the application it belongs to, the screen, JSON for scripts, a progress bar.

What does not belong here: any command, and anything that the settings decide (`context`).
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="What the Dagster UI does to the queue, for a terminal and for scripts.",
)
screen = Console()
aside = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@contextmanager
def progress_bar(as_json: bool) -> Iterator[Bar]:
    """Yield a progress bar that shows only when a person is watching."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} documents"))
    with Bar(
        *columns,
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=aside,
        disable=as_json or not aside.is_terminal,
        transient=True,
    ) as bar:
        yield bar


def say(text: str) -> None:
    """Print a line as it is: nothing in it is markup, and a terminal may break it where it likes."""
    screen.print(text, markup=False, highlight=False, soft_wrap=True)


def say_aside(text: str) -> None:
    """Print a line to people alone, where scripts do not read: `notaflow: ` and the text as it is."""
    aside.print(f"notaflow: {text}", markup=False, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")
