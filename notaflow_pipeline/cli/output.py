"""The Typer application, and how commands print: lines, tables, JSON, warnings on stderr, and a progress bar."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from notaflow_pipeline.cli.usage import Commands

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reads the documents of NotaFlow's queue and shows its state, in a terminal and for scripts.",
    epilog="Exit codes: 0 done; 1 not done, not completely done, or a check failed; 2 wrong usage; "
    "128 + N stopped by signal N (130 is Ctrl-C).",
)
console = Console()
stderr_console = Console(stderr=True)

ID_WIDTH = 36
"""Characters of a row's id, which must be printed whole because commands take it."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@contextmanager
def progress_bar(as_json: bool) -> Iterator[Bar]:
    """Yield a progress bar that is shown only on a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=10), MofNCompleteColumn())
    with Bar(
        *columns,
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=stderr_console,
        disable=as_json or not stderr_console.is_terminal,
        transient=True,
    ) as bar:
        yield bar


def print_line(text: str) -> None:
    """Print a line to stdout without markup; the terminal wraps it."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """Print a line to stderr: `notaflow: ` and the text without markup."""
    stderr_console.print(f"notaflow: {text}", markup=False, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")
