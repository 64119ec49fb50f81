"""Tests that both languages have every text, and how each writes figures."""

import string

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.reporting.report.chart_marks import LAYERS
from notaflow_pipeline.reporting.report.charts import CHART_COLUMNS
from notaflow_pipeline.reporting.report.locale_format import LANGUAGES, LocaleFormat
from notaflow_pipeline.reporting.report.translations import FAILURE_KINDS, TEXTS, failure_kind_in, texts_in


def fields(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_languages_have_every_text_with_the_same_figures() -> None:
    assert texts_in("fr").keys() == texts_in("en").keys()
    for name, said in (*TEXTS.items(), *FAILURE_KINDS.items()):
        assert said.fr.strip(), name
        assert said.en.strip(), name
        assert fields(said.fr) == fields(said.en), name


def test_every_chart_and_column_has_its_texts() -> None:
    for language in LANGUAGES:
        said = texts_in(language)
        for name in LAYERS:
            assert f"{name}_title" in said
            assert f"{name}_text" in said
        for columns in CHART_COLUMNS.values():
            assert all(column.label in said for column in columns)


def test_every_kind_of_failure_has_a_name_in_both_languages() -> None:
    assert {*FailureKind, "unknown"} <= FAILURE_KINDS.keys()


def test_kinds_of_other_programs_are_shown_unchanged() -> None:
    assert failure_kind_in("fr", "encrypted") == "chiffré"
    assert failure_kind_in("fr", "smudged") == "smudged"


def test_figures_follow_the_conventions_of_each_language() -> None:
    french, english = LocaleFormat("fr"), LocaleFormat("en")
    nbsp = "\N{NO-BREAK SPACE}"
    assert french.number(12_345) == f"12{nbsp}345"
    assert english.number(12_345) == "12,345"
    assert french.percent(0.015) == f"1,5{nbsp}%"
    assert english.percent(0.015) == "1.5%"
    assert french.seconds(200).replace(nbsp, " ") == "3,3 min"
    assert [french.number(None), french.percent(float("nan")), french.seconds(None)] == ["–", "–", "–"]
    assert french.chart_dates()["days"][0] == "dimanche"
    assert french.chart_dates()["shortMonths"][5] == "juin"
