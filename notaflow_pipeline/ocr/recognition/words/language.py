"""Detects the language of a page from the most common words in a first pass.

It distinguishes only French and English, the languages of Quebec's acts and indexes. With another set of languages, pages
are read with all of them at once, which costs Tesseract 1.5 to 1.8 times as much as one language.
"""

import re
from collections.abc import Sequence

from notaflow_pipeline.ocr.engines.words import Word

FRENCH = "fra"
ENGLISH = "eng"


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


COMMON_WORDS = {
    FRENCH: _word_set(
        "le la les de des du et un une est au aux en dans par pour sur que qui ne pas il elle se ce cette son sa ses "
        "avec ou dit dite lot rang vente acte notaire numéro comme été sont entre"
    ),
    ENGLISH: _word_set(
        "the of and to in is for by this that with on as be at from or it not are was which has have been his her its "
        "said hereby between before me township sale deed"
    ),
}
"""Words that are frequent in one of the two languages and absent from the other."""

MIN_COMMON_WORDS = 5
"""Fewer common words of the other language decide nothing: a name or a quotation can hold as many."""

MIN_COMMON_WORDS_RATIO = 2
"""The minimum ratio of common words of one language to those of the other."""


def leading_language(languages: str) -> str:
    """Returns the language of the first pass: the first of French and English. Another set of languages is returned
    whole.
    """
    codes = languages.split("+")
    return codes[0] if set(codes) == {FRENCH, ENGLISH} else languages


def is_in_other_language(words: Sequence[Word], languages: str) -> bool:
    """Returns whether a page that was read in the leading language is in the other one."""
    codes = languages.split("+")
    if set(codes) != {FRENCH, ENGLISH}:
        return False
    page_words = [part for word in words for part in re.findall(r"[^\W\d_]+", word.text.lower())]
    first, second = (sum(part in COMMON_WORDS[code] for part in page_words) for code in codes)
    return second >= MIN_COMMON_WORDS and second >= MIN_COMMON_WORDS_RATIO * first
