"""Tests of help, version, completion and `--json` of every command."""

import re

import pytest
import typer.main
from typer.testing import CliRunner

import notaflow_pipeline.cli  # noqa: F401 - it registers the commands
from notaflow_pipeline import __version__
from notaflow_pipeline.cli.output import app
from notaflow_pipeline.failures import FailureKind

COMMANDS = typer.main.get_group(app).commands
GROUPS = ("Start", "Work", "Inspect", "Repair")


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"})
    assert done.exit_code == 0, done.output
    return done.output


def test_every_command_but_dev_takes_json() -> None:
    without = [name for name, one in COMMANDS.items() if "--json" not in {opt for p in one.params for opt in p.opts}]
    assert without == ["dev"]


def test_help_groups_the_commands_and_names_the_exit_codes() -> None:
    shown = run("-h")
    assert run("--help") == shown
    assert {one.rich_help_panel for one in app.registered_commands} == set(GROUPS)
    assert [shown.index(f"─ {group} ─") for group in GROUPS] == sorted(shown.index(f"─ {group} ─") for group in GROUPS)
    assert "130 is Ctrl-C" in shown
    assert "Usage: " in run("work", "-h")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns_and_breaks_no_value(command: str) -> None:
    shown = run(command, "-h")
    assert max(map(len, shown.splitlines())) <= 80
    assert "%Y" not in shown, "how a day is typed is said by an example"
    (usage,) = re.findall("Usage: .*", shown)
    assert not re.search(r"{[a-z_]+}", usage), "arguments are named as in the README, not as in the code"
    if "--kind" in shown:
        assert all(f" {kind}" in shown for kind in FailureKind)
    if "--limit" in shown:
        assert re.search(r"\[1<=x<=\d+\]", shown)


def test_version_and_completion_are_options() -> None:
    assert run("--version") == f"{__version__}\n"
    assert "--install-completion" in run("-h")
