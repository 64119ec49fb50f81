"""Decides whether the words of a text layer can be trusted.

Reasons for distrust are fonts without Unicode, foreign encodings and a poor earlier OCR. The decision uses the words
only: visibility is decided in `page_layer`, agreement with the image in `recognition.layered_page`.
"""

import re
from collections.abc import Sequence

from notaflow_pipeline.ocr.input.text_layer.characters import UNKNOWN
from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine

MIN_PLAUSIBLE_SHARE = 0.7
"""Minimum share of plausible words of a trusted page; typed French and English has 0.95 and more."""

MIN_PLAUSIBLE_EARLIER_SHARE = 0.9
"""Minimum share for the invisible text of an earlier OCR; with less, a new recognition is usually better."""

MIN_FUNCTION_WORD_SHARE = 0.2
"""Minimum share of function words in an earlier OCR.

French and English prose has 40 to 60 % of them, and an OCR with one wrong letter in five keeps half of them. Tables
have few, and are recognised again.
"""

MIN_EARLIER_CHARACTERS = 200
"""Minimum number of characters of an earlier OCR. One with fewer may have missed most of a page, and recognition is
then quick."""

MAX_FOREIGN_SHARE = 0.02
"""Share of words with letters that no French or English word has; with more, the accents are in a foreign encoding.

One French word in eight has an accent, so a wrong encoding affects many words; names with foreign letters are rarer.
"""

MIN_FOREIGN_WORDS = 2

MIN_LETTERS_FOR_VOWELS = 20

MIN_VOWELS = 0.25
"""Minimum share of vowels. French and English have 40 %; codes that are shifted by 29, a common fault, give 14 %."""


def is_trusted(lines: Sequence[LayerLine]) -> bool:
    """Whether visible text is used as it is: every character is known, and the words are plausible."""
    words = [word.text for line in lines for word in line.words]
    return not has_unknown_characters(lines) and plausible_share(words) >= MIN_PLAUSIBLE_SHARE and not is_foreign(words)


def is_good_earlier_ocr(lines: Sequence[LayerLine]) -> bool:
    """Whether the text of an earlier OCR is good enough to be compared with its image."""
    words = [word.text for line in lines for word in line.words]
    letters = [word.lower() for word in words if word.isalpha()]
    function_words = sum(word in FUNCTION_WORDS for word in letters)
    return (
        sum(map(len, words)) >= MIN_EARLIER_CHARACTERS
        and not has_unknown_characters(lines)
        and plausible_share(words) >= MIN_PLAUSIBLE_EARLIER_SHARE
        and function_words >= MIN_FUNCTION_WORD_SHARE * len(letters)
        and not is_foreign(words)
    )


def has_unknown_characters(lines: Sequence[LayerLine]) -> bool:
    """Whether there are characters without Unicode other than symbols and bullets alone at the beginning of a line."""
    for line in lines:
        for index, word in enumerate(line.words):
            bullet = len(word.text) == 1 and (word.text != UNKNOWN or (index == 0 and len(line.words) > 1))
            if word.unmapped and not bullet:
                return True
    return False


def is_foreign(words: Sequence[str]) -> bool:
    """Whether the accents of these words are in a foreign encoding: `QuŽbec`, `propriÈtÈ`, `QuÃ©bec`."""
    foreign = sum(FOREIGN.search(word) is not None for word in words)
    return foreign >= max(MIN_FOREIGN_WORDS, MAX_FOREIGN_SHARE * len(words))


def plausible_share(words: Sequence[str]) -> float:
    """Returns the share of `words` that may be words or numbers, from 0 to 1.

    A font whose codes are shifted, or an OCR of dots, gives words without vowels or with signs and digits inside them.
    Words of one or two letters are weak evidence and count as half a word; signs alone count as nothing.
    """
    letters = [letter for word in words for letter in word if letter.isalpha()]
    vowels = sum(VOWEL.match(letter) is not None for letter in letters)
    if len(letters) >= MIN_LETTERS_FOR_VOWELS and vowels < MIN_VOWELS * len(letters):
        return 0.0
    weights = [
        (1.0 if len(word) > 2 else 0.5, _is_plausible(word))
        for word in words
        if any(character.isalnum() for character in word)
    ]
    total = sum(weight for weight, _ in weights)
    return sum(weight for weight, plausible in weights if plausible) / total if total else 0.0


def _is_plausible(word: str) -> bool:
    if NUMBER.fullmatch(word):
        return True
    return WORD.fullmatch(word) is not None and (len(word) < 3 or "." in word or VOWEL.search(word) is not None)


NUMBER = re.compile(
    r"[^\w]*(?:[A-Z]|[a-z]{1,3}[.°º])?[-–.]?\d[\d.,:;/\\°'’\"()\-–—$€£%+*#xX]*(?:[A-Z]|[a-zèéº]{1,4})?[^\w]*"
)
"""`3`, `770`, `75000,00$`, `2024-05-17`, `(1358-176)`, `12e`, `no.4`"""

WORD = re.compile(r"[^\w]*[^\W\d_]+(?:[-'’./&]{1,2}[^\W\d_]+)*[^\w]*")
"""Letters of any alphabet, joined by hyphens and apostrophes, between signs"""

VOWEL = re.compile(r"[aeiouyàâäáæéèêëíîïóôöœúùûüÿ]", re.IGNORECASE)

FOREIGN = re.compile(
    r"[a-z][ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞŠŒŽŸ](?![A-Z])"  # a capital with an accent after a small letter
    r"|[A-Za-z]?[žšýþðÃÂ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œžŸ]"  # UTF-8 read as Latin 1
    r"|[a-z][ŽŠžšýþð\u0080-\u009f¡-©¬-¯±¶·¸×÷‚ƒ„…†‡ˆ‰‹›•˜™][a-z]"  # Macintosh, DOS or Central Europe
    r"|[A-Za-z][ŽŠžšýþð\u0080-\u009f¡-©¬-¯±¶¸×÷‚ƒ„†‡ˆ‰‹˜™](?=[\s,.;:]|$)"
    r"|[ŕů]"
)

FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a à au aux avec ce cette ces d dans de des du elle en est et il ils l la le les leur lui mais n ne nous on ou où
        par pas pour qu que qui sa se ses si son sont sur un une vous y
        an and are as at be by for from had has have he her his in is it its not of on or she that the their they this to
        was were which will with
        """,
    )
)
"""The most frequent words of French and English."""
