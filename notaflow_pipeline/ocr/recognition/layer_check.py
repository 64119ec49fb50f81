"""Compares a sample of a text layer with a reading of its image: a font may map its characters to wrong ones."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from notaflow_pipeline.ocr.engines.interface import Engine, Segmentation, WordEngine
from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.text_layer.layer_sample import SAMPLE_DPI, LayerSample, SampledWord
from notaflow_pipeline.ocr.recognition.words.language import leading_language

MIN_CONFIDENCE = 80.0
"""Words read with less are no evidence against a text layer."""

MIN_TIMES, MIN_SHARE = 2, 0.2
"""Number of times that a character must be read as the same other one, and the share of all times that it was read. A font
may map two characters to one, so the share can be low."""

MAX_SECONDS = 5.0

MIN_LONGER, MIN_LONGER_BY = 1.2, 3
"""Ratio of the characters read to those of the layer, and number of further ones, at which the glyphs are not letters but
pictures of words."""


def is_contradicted(sample: LayerSample, engine: Engine) -> bool:
    """Returns whether the image of a sample shows other characters than the text layer has."""
    if not isinstance(engine, WordEngine):
        return False
    try:
        found = engine.find_words(
            sample.image, SAMPLE_DPI, MAX_SECONDS, leading_language(engine.languages), Segmentation.SINGLE_BLOCK
        )
    except DocumentFailure:
        return False
    read = [(word, _read_at(word, found)) for word in sample.words]
    return _has_wrong_character(read) or _has_pictures(read)


def _read_at(sampled: SampledWord, found: Sequence[Word]) -> str:
    """Returns the letters and digits that were read with confidence in the box of a sampled word."""
    left, top, right, bottom = sampled.box
    return "".join(
        _comparable(word.text)
        for word in found
        if word.confidence >= MIN_CONFIDENCE
        and left <= word.left + word.width / 2 < right
        and top <= word.middle < bottom
    )


def _has_wrong_character(read: Sequence[tuple[SampledWord, str]]) -> bool:
    """Returns whether a character of a font was repeatedly read as the same other digit or letter."""
    counts: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for word, text in read:
        expected = _comparable(word.text)
        if len(expected) == len(text):
            for one, other in zip(expected, text, strict=True):
                counts[word.font, one][other] += 1
    return any(
        other != one and other.isdigit() == one.isdigit() and count >= max(MIN_TIMES, MIN_SHARE * others.total())
        for (_, one), others in counts.items()
        for other, count in others.items()
    )


def _has_pictures(read: Sequence[tuple[SampledWord, str]]) -> bool:
    """Returns whether the words of a font show many more characters than they have: its glyphs are pictures of words."""
    expected: Counter[int] = Counter()
    found: Counter[int] = Counter()
    for word, text in read:
        expected[word.font] += len(_comparable(word.text))
        found[word.font] += len(text)
    return any(found[font] >= MIN_LONGER * count + MIN_LONGER_BY for font, count in expected.items())


def _comparable(text: str) -> str:
    """Returns the letters and digits in lower case and without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(ALIKE.get(one, one) for one in plain if one.isalnum())


ALIKE = {"l": "i", "j": "i"}
"""Letters that look alike in many fonts: `Il` is often read as `ll`."""
