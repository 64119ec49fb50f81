"""Tests of numbers whose ink has gaps between thousands: they get spaces, and no other word changes."""

from dataclasses import replace

import pytest
from PIL import Image, ImageDraw, ImageFont

from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.recognition.words.thousands_separators import with_thousands_separated

FONT = ImageFont.load_default(size=21)  # ten points at 150 dpi


def drawn(said: str, space: float = 6.0, between: float = 0.0, blurred: bool = False) -> tuple[Image.Image, Word]:
    """Returns a page with this text, and the word that was read: without its spaces, each `space` pixels wide."""
    page = Image.new("L", (400, 60), 235)
    draw, x = ImageDraw.Draw(page), 20.0
    for sign in said:
        if sign == " ":
            x += space
        else:
            draw.text((x, 15), sign, fill=40, font=FONT)
            x += FONT.getlength(sign) + between
    _, top, _, bottom = draw.textbbox((20, 15), "0", font=FONT)
    word = Word(said.replace(" ", ""), 90, 1, 1, 1, 18, round(top), round(x) - 16, round(bottom - top))
    return page.reduce(2).resize(page.size) if blurred else page, word


def read(said: str, **drawing: float) -> str:
    page, word = drawn(said, **drawing)  # type: ignore[arg-type]
    (found,) = with_thousands_separated(page, [word])
    return found.text


@pytest.mark.parametrize(
    "said", ["10 118 204", "3 770 292", "14 208", "75 000,00", "1 250,00$", "1 111 111", "100 000"]
)
@pytest.mark.parametrize("blurred", [False, True])
def test_gaps_between_thousands_are_spaces(said: str, blurred: bool) -> None:
    assert read(said, blurred=blurred) == said


@pytest.mark.parametrize("said", ["42 000,00 $", "1 250,00 $", "10 118 204 $"])
def test_currency_sign_is_separated_like_thousands(said: str) -> None:
    assert read(said) == said


def test_narrow_space_counts_before_the_last_three_digits() -> None:
    page, word = drawn("10 972", space=3.0)
    last = replace(word, text="817", left=word.right + 6, width=40)
    assert [w.text for w in with_thousands_separated(page, [word, last])] == ["10 972", "817"]
    elsewhere = replace(last, left=word.right + 60)
    assert [w.text for w in with_thousands_separated(page, [word, elsewhere])] == ["10972", "817"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1o", "573", "603"], ["10", "573", "603"]),
        (["1O4", "573", "603,00$"], ["104", "573", "603,00$"]),
        (["1o", "500", "actions"], ["1o", "500", "actions"]),
    ],
)
def test_letter_before_two_groups_of_digits_is_a_zero(texts: list[str], expected: list[str]) -> None:
    words = [Word(text, 90, 1, 1, 1, 20 + 50 * place, 5, 40, 20) for place, text in enumerate(texts)]
    assert [w.text for w in with_thousands_separated(Image.new("L", (300, 30), 255), words)] == expected


def test_thousands_are_separated_if_digits_touch() -> None:
    assert read("10 118 204", between=-2.0) == "10 118 204"


@pytest.mark.parametrize("said", ["10118204", "3770292", "75000,00", "111111", "811180", "20486159"])
def test_number_without_gaps_gets_no_spaces(said: str) -> None:
    assert read(said) == said


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("101 18204", id="not after every third"),
        pytest.param("10 118204", id="one of two"),
        pytest.param("2 001", id="four digits can be a year"),
        pytest.param("1358 176x", id="no number"),
    ],
)
def test_other_gaps_are_not_thousands(said: str) -> None:
    assert read(said) == said.replace(" ", "")


def test_word_without_ink_is_unchanged() -> None:
    word = Word("10118204", 90, 1, 1, 1, 5, 5, 80, 15)
    assert with_thousands_separated(Image.new("L", (100, 30), 255), [word]) == [word]
    assert with_thousands_separated(Image.new("L", (3, 3), 255), [word]) == [word]
