"""Detects the language of a page from the commonest words of a first pass.

French and English only, the languages of Quebec's acts and indexes; other sets of languages are read with all of them at
once, which costs Tesseract 1.5 to 1.8 times as much as one.
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
"""Words that one of the two languages uses all the time and the other does not."""

MIN_COMMON_WORDS = 5
"""Fewer of the other language's common words decide nothing: a name or a quotation holds as many."""

MIN_COMMON_WORDS_RATIO = 2
"""So many times as many of one language's common words as of the other's."""


def leading_language(languages: str) -> str:
    """What a page is read with first: the first of French and English; any other set is not to be parted."""
    codes = languages.split("+")
    return codes[0] if set(codes) == {FRENCH, ENGLISH} else languages


def is_in_other_language(words: Sequence[Word], languages: str) -> bool:
    """Whether a page that was read in the leading language turns out to be in the other one."""
    codes = languages.split("+")
    if set(codes) != {FRENCH, ENGLISH}:
        return False
    page_words = [part for word in words for part in re.findall(r"[^\W\d_]+", word.text.lower())]
    first, second = (sum(part in COMMON_WORDS[code] for part in page_words) for code in codes)
    return second >= MIN_COMMON_WORDS and second >= MIN_COMMON_WORDS_RATIO * first
