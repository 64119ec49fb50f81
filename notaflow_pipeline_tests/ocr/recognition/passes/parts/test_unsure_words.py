"""Tests of low-confidence words: they are read again, and replaced if the second reading has higher confidence."""

from dataclasses import replace

from PIL import Image

from notaflow_pipeline.ocr.cpu_time import cpu_seconds
from notaflow_pipeline.ocr.engines.interface import Recognition, Segmentation
from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.preprocessing.preprocess import prepare
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.passes.parts.unsure_words import (
    MAX_LINES,
    with_signs_of_the_typescript_model,
    with_unsure_numbers_read_again,
)
from notaflow_pipeline.ocr.recognition.passes.pass_result import DEFAULT_POLICY, PassResult, Policy
from notaflow_pipeline.ocr.recognition.passes.pass_runner import PassRunner
from notaflow_pipeline_tests.ocr.samples import act_page

FIRST_PASS_ALONE = replace(
    DEFAULT_POLICY,
    cut_lines=False,
    missed_lines=False,
    filled_in_values=False,
    strip=False,
    plain_pass=False,
    good_confidence=60.0,
)


class TwoReadingsEngine:
    """Finds some words on the page, others in each line that it reads again, and maybe others on a strip of the page."""

    languages = "fra+eng"
    name = "two looks"

    def __init__(self, page: list[Word], again: list[Word], strip: list[Word] | None = None) -> None:
        self._page = page
        self._again = again
        self._strip = page if strip is None else strip
        self.looks: list[str | None] = []

    def check(self) -> None: ...

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:  # noqa: ARG002
        raise AssertionError("an engine with word positions is called through find_words")

    def find_words(
        self,
        image: Image.Image,
        dpi: int | None,  # noqa: ARG002
        timeout_seconds: float,  # noqa: ARG002
        languages: str | None = None,
        segmentation: Segmentation = Segmentation.AUTOMATIC,
    ) -> list[Word]:
        if segmentation is not Segmentation.SINGLE_BLOCK:
            return self._page if image.height == act_page().height else self._strip
        self.looks.append(languages)
        return self._again


def line(*said: tuple[str, float], number: int = 1, left: int = 200, top: int = 300) -> list[Word]:
    """Returns words side by side, with their confidences."""
    return [
        Word(text, confidence, 1, 1, number, left + 120 * place, top, 100, 20)
        for place, (text, confidence) in enumerate(said)
    ]


def read(engine: TwoReadingsEngine, policy: Policy = FIRST_PASS_ALONE) -> list[str]:
    return read_page(act_page(), 150, engine, 60, policy).text.split()


PAGE = line(("analvses", 72), ("rapport", 70), ("lecture", 96), ("75000", 40), ("du", 30), ("notaire", 95))
AGAIN = [("analyses", 92), ("rappert", 75), ("lectare", 99), ("75008", 90), ("da", 90), ("notoire", 99)]


def test_unsure_word_is_replaced_by_a_more_confident_reading() -> None:
    # the strip that is read again begins a word's height to the left, and a quarter of one above
    engine = TwoReadingsEngine(PAGE, line(*AGAIN, left=20, top=5))
    assert read(engine) == ["analyses", "rapport", "lecture", "75000", "du", "notaire"]
    assert engine.looks == ["fra-typescript-1+eng"]


def test_word_in_another_place_does_not_replace_it() -> None:
    engine = TwoReadingsEngine(PAGE, line(*AGAIN, left=80, top=5))
    assert read(engine)[0] == "analvses"


def test_page_of_many_unsure_words_has_few_lines_read_again() -> None:
    page = [word for number in range(1, 9) for word in line(("lecturc", 79), number=number, top=60 * number)]
    engine = TwoReadingsEngine([*page, *line(*[("lecture", 96)] * 5, number=9, top=600)], [])
    read(engine)
    assert len(engine.looks) == MAX_LINES


def test_unsure_words_stay_if_the_policy_disables_the_step() -> None:
    engine = TwoReadingsEngine(PAGE, line(*AGAIN, left=20, top=5))
    assert read(engine, replace(FIRST_PASS_ALONE, unsure_words=False))[0] == "analvses"
    assert engine.looks == []


def test_doubtful_page_is_not_read_again_word_by_word() -> None:
    engine = TwoReadingsEngine(PAGE, line(*AGAIN, left=20, top=5))
    doubtful = replace(FIRST_PASS_ALONE, good_confidence=99.0)
    assert "analvses" in read(engine, doubtful)
    assert engine.looks == []


def test_unsure_words_of_a_page_that_was_read_as_a_table_are_not_read_again() -> None:
    engine = TwoReadingsEngine(PAGE, PAGE, strip=line(*[("118204", 97)] * 6))
    assert read(engine, replace(FIRST_PASS_ALONE, strip=True))[0] == "analvses"
    assert engine.looks == ["fra-typescript-1+eng"], "of the rows of the whole page"


NUMBERS = line(("5", 96), ("350.00", 75), ("10", 80), ("118", 97), ("2001-11-12", 70))
OTHER_NUMBERS = [("5", 97), ("350,00", 92), ("104", 99), ("113", 99), ("[2001-11-12", 90)]


def test_unsure_number_of_a_table_is_replaced_by_a_surer_one_of_as_many_digits() -> None:
    found = read_numbers(NUMBERS, line(*OTHER_NUMBERS))
    assert [word.text for word in found] == ["5", "350,00", "10", "118", "2001-11-12"]


def test_unsure_sign_behind_an_amount_is_replaced_by_a_surer_sign() -> None:
    page = line(("22", 96), ("000,00", 95), ("#", 62), ("Radiee", 85))
    found = read_numbers(page, line(("22", 97), ("000,00", 97), ("$", 88), ("Radiée", 96)))
    assert [word.text for word in found] == ["22", "000,00", "$", "Radiee"]


def test_table_with_few_unsure_numbers_is_not_read_again() -> None:
    sure = line(*[("118", 97)] * 60, number=2, top=600)
    assert read_numbers([*NUMBERS, *sure], line(*OTHER_NUMBERS))[1].text == "350.00"


def read_numbers(page: list[Word], again: list[Word]) -> list[Word]:
    engine = TwoReadingsEngine(again, [])
    runner = PassRunner(engine, cpu_seconds() + 60, DEFAULT_POLICY)
    return with_unsure_numbers_read_again(runner, PassResult(page, prepare(act_page(), 150))).words


TYPED = line(("500,00", 95), ("¢", 89), ("Radiee", 60), ("-", 85), ("$", 92))
TYPED_AGAIN = line(("500.00", 96), ("$", 88), ("Radiée", 96), ("9", 95), ("#", 40))


def test_signs_of_a_typed_table_are_those_of_the_typescript_model_if_it_is_about_as_sure() -> None:
    assert read_signs("fra+eng") == (["500,00", "$", "Radiee", "-", "$"], ["fra-typescript-1"])


def test_signs_are_not_read_again_without_a_typescript_model() -> None:
    assert read_signs("eng") == ([word.text for word in TYPED], [])


def read_signs(languages: str) -> tuple[list[str], list[str | None]]:
    """Returns the words, and the languages of each line-by-line reading."""
    engine = TwoReadingsEngine([], TYPED_AGAIN)
    engine.languages = languages
    runner = PassRunner(engine, cpu_seconds() + 60, DEFAULT_POLICY)
    found = with_signs_of_the_typescript_model(runner, PassResult(TYPED, prepare(act_page(), 150)))
    return [word.text for word in found.words], engine.looks
