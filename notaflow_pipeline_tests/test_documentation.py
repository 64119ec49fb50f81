"""README, docs and CONTRIBUTING compared with the project: names, links, commands, defaults and length."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import typer.main

from notaflow_pipeline.cli.output import app
from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.settings import Settings
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, PROJECT, defs

pytestmark = pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}")

PAGES = sorted(
    path
    for path in (*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("[!.]*/README.md"))
    # it names what things were called
    if path.name != "CHANGELOG.md"
)

MAX_README_WORDS = 1000

OTHER_VARIABLES = "## Variables that are not settings of this project"

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FIRST_CELL = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
SETTING_ROW = re.compile(r"^\| `([A-Z_]+)` \| (.+?) \|", re.MULTILINE)
NOTAFLOW_COMMAND = re.compile(r"\bnotaflow ([a-z]+)")
MAKE_COMMAND = re.compile(r"(?:`|^|&& )make ([a-z][a-z0-9-]*)", re.MULTILINE)

IN_FOLDERS = re.compile(
    r"`((?:notaflow_pipeline|notaflow_pipeline_tests|migrations|benchmarks|deploy|docs|scripts)/[\w./-]*)[` ]"
)
MADE_ON_USE = ("benchmarks/results/", "benchmarks/NAME.py", "deploy/.env", "deploy/proxy")

COMMANDS = typer.main.get_group(app).commands
OPTIONS = {name for command in COMMANDS.values() for parameter in command.params for name in parameter.opts}
OTHER_OPTIONS = {"--help", "--install-completion", "--profile", "--build-arg"}


def page(name: str) -> str:
    """Return the text of a page."""
    return (PROJECT / name).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = HEADING.findall(CODE_BLOCK.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(text: str, heading: str) -> str:
    """Return what stands under a heading of the second level."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def code_in(text: str) -> Iterator[str]:
    """Yield what stands between backticks and in blocks of code."""
    yield from CODE_BLOCK.findall(text)
    yield from re.findall(r"`[^`\n]+`", CODE_BLOCK.sub("", text))


def written_default(field: str) -> str:
    """Return the default of a setting as the page of the settings writes it."""
    default = Settings.model_fields[field].default
    if field == "workers":
        return "all cores"
    if default is None or default == ():
        return "none"
    if isinstance(default, tuple):
        return f"`{','.join(default)}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


class TestReadme:
    def test_it_has_at_most_a_thousand_words(self) -> None:
        assert len(page("README.md").split()) <= MAX_README_WORDS

    def test_it_has_one_picture(self) -> None:
        assert page("README.md").count("![") == 1

    def test_it_names_every_command(self) -> None:
        named = set(re.findall(r"`([a-z]+)[ `]", section(page("README.md"), "Commands")))
        assert COMMANDS.keys() - named == set()

    def test_it_gives_the_time_of_every_nightly_schedule(self) -> None:
        table = section(page("README.md"), "What runs by itself")
        for schedule in defs.get_repository_def().schedule_defs:
            minute, hour, *_ = str(schedule.cron_schedule).split()
            assert "*" in hour or f"| {hour}:{minute:>02} | `{schedule.name}`" in table, schedule.name


class TestSettings:
    TEXT = page("docs/settings.md")
    ROWS: ClassVar = dict(SETTING_ROW.findall(TEXT.partition(OTHER_VARIABLES)[0]))

    def test_every_setting_is_listed_and_no_other(self) -> None:
        assert OTHER_VARIABLES in self.TEXT
        assert set(self.ROWS) == {str(field.validation_alias) for field in Settings.model_fields.values()}

    def test_every_default_is_that_of_the_code(self) -> None:
        defaults = {str(field.validation_alias): written_default(name) for name, field in Settings.model_fields.items()}
        assert defaults == self.ROWS

    @pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
    def test_no_page_names_a_variable_that_does_not_exist(self, path: Path) -> None:
        named = set(re.findall(r"\b(?:OCR|NOTAFLOW)_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8")))
        assert sorted(name for name in named if f"`{name}`" not in self.TEXT) == []


class TestAlerts:
    TEXT = page("docs/alerts.md")

    def test_every_check_has_a_section_and_no_other(self) -> None:
        sections = set(re.findall(r"^#### (\w+)$", self.TEXT, re.MULTILINE))
        assert sections == {key.name for key in defs.resolve_asset_graph().asset_check_keys}

    def test_every_job_that_can_fail_is_listed(self) -> None:
        jobs = {job.name for job in defs.get_repository_def().get_all_jobs() if not job.name.startswith("__")}
        assert jobs == set(re.findall(r"`(\w+_job)`", section(self.TEXT, "Failed runs")))


class TestRunbook:
    def test_every_kind_of_failure_is_listed(self) -> None:
        listed = set(FIRST_CELL.findall(section(page("docs/operations.md"), "Kinds of failure")))
        assert {str(kind) for kind in FailureKind} - listed == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
class TestEveryPage:
    def test_links_lead_to_files_and_headings_that_exist(self, path: Path) -> None:
        for link in LINK.findall(CODE_BLOCK.sub("", path.read_text(encoding="utf-8"))):
            if "://" in link:
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link

    def test_commands_exist(self, path: Path) -> None:
        make = set(re.findall(r"^([a-z][a-z0-9-]*):", page("Makefile"), re.MULTILINE))
        for code in code_in(path.read_text(encoding="utf-8")):
            assert set(NOTAFLOW_COMMAND.findall(code)) <= COMMANDS.keys(), code
            assert set(MAKE_COMMAND.findall(code)) <= make, code

    def test_options_of_commands_exist(self, path: Path) -> None:
        if "benchmarks" not in str(path.relative_to(PROJECT)):
            named = set(re.findall(r"`(--[a-z][a-z-]*)", CODE_BLOCK.sub("", path.read_text(encoding="utf-8"))))
            assert named - OPTIONS - OTHER_OPTIONS == set()

    def test_files_that_are_named_exist(self, path: Path) -> None:
        for name in IN_FOLDERS.findall(path.read_text(encoding="utf-8")):
            assert name.startswith(MADE_ON_USE) or (PROJECT / name).exists(), name
