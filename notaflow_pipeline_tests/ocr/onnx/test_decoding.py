"""Tests of decoding: the text of a line's steps, with and without the dictionary."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from notaflow_pipeline.ocr.engines.onnx.decoding.words import ReadWord, read_words
from notaflow_pipeline.ocr.engines.onnx.model.session import LineModel, load_model
from notaflow_pipeline.ocr.engines.onnx.unit_reader import alphabet_of

NULL, SPACE = "", " "
SURE = 0.9999


@dataclass
class Line:
    """A line that is written step by step."""

    model: LineModel

    def __post_init__(self) -> None:
        self.alphabet = alphabet_of(self.model)

    def read(self, *steps: dict[str, float]) -> list[ReadWord]:
        """Returns the words of steps that each give the probabilities of some characters; the rest is spread over all
        classes.
        """
        classes = len(self.model.charset.texts)
        rows = np.zeros((len(steps), classes), np.float32)
        for row, likely in zip(rows, steps, strict=True):
            row[:] = (1 - sum(likely.values())) / classes
            for text, probability in likely.items():
                row[self._class(text)] += probability
        return read_words(rows, self.alphabet)

    def _class(self, text: str) -> int:
        number = self.model.null_class if text == NULL else self.model.charset.class_of(text)
        assert number is not None
        return number


def spelled(text: str) -> list[dict[str, float]]:
    """Returns three steps per character, the first of which is the null class."""
    return [step for letter in text for step in ({NULL: SURE}, {letter: SURE}, {letter: SURE})]


def texts(words: list[ReadWord]) -> list[str]:
    return [word.text for word in words]


@pytest.fixture(scope="module")
def line() -> Line:
    return Line(load_model("fra"))


def test_confident_steps_are_read_unchanged(line: Line) -> None:
    words = line.read(*spelled("vente du 1952"))
    assert texts(words) == ["vente", "du", "1952"]
    assert [word.is_word for word in words] == [True, True, False]
    assert words[0].confidence == pytest.approx(100 - 35 * 0.085, abs=0.1)


def test_word_outside_the_dictionary_is_less_sure_by_a_ratio(line: Line) -> None:
    [word] = line.read(*spelled("vxnte"))
    assert not word.is_word
    assert word.confidence == pytest.approx(100 - 2.25 * 35 * 0.085, abs=0.1)


@pytest.mark.parametrize("space", [0.6, SURE])
@pytest.mark.parametrize("before", ["lot", ""])
def test_doubtful_sign_that_stands_alone_is_read(line: Line, before: str, space: float) -> None:
    mark = [{NULL: SURE}, {"/": 0.5, NULL: 0.45}, {NULL: SURE}]
    gap = [{SPACE: space, NULL: 1 - space}, {SPACE: SURE if space == SURE else 0.8, NULL: 0.2 if space != SURE else 0}]
    first = [*spelled(before), {NULL: SURE}, *gap] if before else []
    words = line.read(*first, *mark, *gap, *spelled("du"))
    assert texts(words) == [*([before] if before else []), "/", "du"]


def test_doubtful_letter_that_is_alone_in_a_line_is_read(line: Line) -> None:
    """The probabilities are those of a mark that tesserocr reads as an L with a confidence of 0."""
    [word] = line.read({NULL: 0.97}, {NULL: 0.543, "L": 0.043}, {":": 0.118, "L": 0.117, NULL: 0.113}, {NULL: 0.997})
    assert word.text in {"L", ":"}
    assert word.confidence < 20


def test_dictionary_decides_between_letters_that_look_alike(line: Line) -> None:
    steps = spelled("quittance")
    steps[16:18] = [{"b": 0.6, "a": 0.4}] * 2
    [word] = line.read(*steps)
    assert word.text == "quittance"
    assert word.is_word
    # its own certainty, not that of the letter that was more likely
    assert word.certainty == pytest.approx(7 * (math.log(0.4) - 0.085), abs=0.05)


def test_unlikely_letter_is_not_taken_for_the_dictionary(line: Line) -> None:
    steps = spelled("vxnte")
    steps[4:6] = [{"x": 0.98, "e": 0.02}] * 2
    assert texts(line.read(*steps)) == ["vxnte"]


def test_step_between_letter_and_nothing_lowers_no_certainty(line: Line) -> None:
    steps = spelled("vente")
    steps[3] = {NULL: 0.5, "e": 0.4999}
    [word] = line.read(*steps)
    assert word.text == "vente"
    assert word.certainty == pytest.approx(7 * -0.085, abs=0.05)


def test_same_letter_twice_needs_nothing_between(line: Line) -> None:
    assert texts(line.read(*spelled("elle"))) == ["elle"]
    steps = [{"e": SURE}, {NULL: SURE}, {"l": SURE}, {"l": SURE}, {NULL: SURE}, {"e": SURE}]
    assert texts(line.read(*steps)) == ["ele"]


def test_space_of_low_probability_is_found_between_words(line: Line) -> None:
    steps = spelled("vente du lot")
    steps[16:18] = [{NULL: 0.55, SPACE: 0.45}] * 2
    assert texts(line.read(*steps)) == ["vente", "du", "lot"]


def test_weak_space_makes_the_words_beside_it_less_sure(line: Line) -> None:
    steps = spelled("vente du lot")
    steps[16:18] = [{NULL: 0.45, SPACE: 0.55}] * 2
    certainties = [word.certainty for word in line.read(*steps)]
    assert certainties[0] == certainties[1] < -2
    assert certainties[2] > -1


def confidence(probability: float, factor: float = 1.0) -> object:
    """Returns Tesseract's confidence in a step, which counts 2.25 times outside of the dictionary."""
    return pytest.approx(100 + 35 * factor * (math.log(probability) - 0.085), abs=0.2)


@pytest.mark.parametrize(("word", "expected"), [("vente", confidence(0.8)), ("vxnte", confidence(SURE, 2.25))])
def test_steps_before_a_space_count_for_known_words_alone(line: Line, word: str, expected: object) -> None:
    words = line.read(*spelled(word), {NULL: 0.8, ".": 0.02}, {SPACE: SURE}, *spelled("du"))
    assert words[0].confidence == expected


@pytest.mark.parametrize(
    ("space", "expected"),
    [((0.8, SURE, SURE), confidence(0.8)), ((SURE, 0.9, SURE), confidence(0.9, 2.25))],
    ids=["its first step is doubtful", "its second step is doubtful"],
)
def test_first_step_of_a_space_behind_a_known_word_counts_once(
    line: Line, space: tuple[float, ...], expected: object
) -> None:
    words = line.read(*spelled("vente"), {NULL: SURE}, *({SPACE: step} for step in space), *spelled("vxnte"))
    assert texts(words) == ["vente", "vxnte"]
    assert words[0].confidence == expected


def test_space_at_the_end_of_a_line_counts_as_before_a_known_word(line: Line) -> None:
    end = {NULL: SURE}, {SPACE: 0.9}, {SPACE: 0.8}, {SPACE: SURE}, {NULL: SURE}
    assert [line.read(*spelled(word), *end)[0].confidence for word in ("vente", "vxnte")] == [
        confidence(0.8),
        confidence(SURE, 2.25),
    ]


def test_borders_of_words_are_in_the_middle_of_their_gaps(line: Line) -> None:
    first, second = line.read(*spelled("du lot"))
    assert (first.begin, second.begin) == (0, second.begin)
    assert first.ends[-1] == 6  # the space stands at 7 and 8
    assert 9 <= second.begin < 11
    assert second.ends[-1] == 18


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_line_without_characters_has_no_words(line: Line, steps: int) -> None:
    assert line.read(*[{NULL: SURE}] * steps) == []


def test_random_steps_are_decoded_without_error(line: Line) -> None:
    random = np.random.default_rng(0)
    classes = len(line.model.charset.texts)
    for _ in range(20):
        scores = random.normal(0, random.uniform(1, 6), (random.integers(1, 60), classes))
        rows = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        for word in read_words(rows.astype(np.float32), line.alphabet):
            assert word.text
            assert word.certainty <= 0
            assert 0 <= word.begin <= word.ends[0] <= word.ends[-1] <= len(rows)
