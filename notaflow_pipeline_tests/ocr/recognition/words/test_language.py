"""Tests of the detection of a page's language from its most common words."""

import pytest

from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.recognition.words.language import is_in_other_language, leading_language

ENGLISH = "the vendor by these presents doth sell to the purchaser that certain lot of land in the Township of Brome"
FRENCH = "le vendeur par les présentes vend à l'acquéreur un certain lot de terre situé dans la paroisse de Beauport"


def words(text: str) -> list[Word]:
    return [Word(part, 90, 1, 1, 1, 0, 0, 10, 10) for part in text.split()]


@pytest.mark.parametrize(
    ("text", "languages", "other"),
    [
        (ENGLISH, "fra+eng", True),
        (FRENCH, "fra+eng", False),
        (FRENCH, "eng+fra", True),
        (ENGLISH, "eng+fra", False),
        (f"{FRENCH} The Royal Trust Company of Canada", "fra+eng", False),
        ("Lot 3 770 292 the", "fra+eng", False),
        (ENGLISH, "fra", False),
        (ENGLISH, "fra+eng+deu", False),
    ],
)
def test_page_in_the_other_language_is_detected(text: str, languages: str, other: bool) -> None:
    assert is_in_other_language(words(text), languages) is other


@pytest.mark.parametrize(
    ("languages", "first"), [("fra+eng", "fra"), ("eng+fra", "eng"), ("fra", "fra"), ("a+b", "a+b")]
)
def test_first_of_french_and_english_leads_and_other_sets_stay_together(languages: str, first: str) -> None:
    assert leading_language(languages) == first
