"""Reads the units of a page, in the language that each of them is in, as Tesseract chooses it.

A unit is read with the model that the last one was best read with. Where not all of its words are surely words of that
language, the others are tried, and the better words are kept, one by one: `Tesseract::classify_word_and_language`
(ccmain/control.cpp).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from notaflow_pipeline.ocr.engines.onnx.decoding.beam import Alphabet
from notaflow_pipeline.ocr.engines.onnx.decoding.choosing_words import are_acceptable, better_words
from notaflow_pipeline.ocr.engines.onnx.decoding.steps import Probabilities
from notaflow_pipeline.ocr.engines.onnx.decoding.words import ReadWord, read_words
from notaflow_pipeline.ocr.engines.onnx.lines.layout_units import Unit
from notaflow_pipeline.ocr.engines.onnx.lines.line_images import Pixels, line_image, normalised
from notaflow_pipeline.ocr.engines.onnx.model.session import MAX_LOADED_MODELS, LineModel
from notaflow_pipeline.ocr.engines.onnx.recent_results import RecentResults

SURE_OF_POLARITY = 0.7
"""Below this mean probability of its characters a line is read inverted too: `invert_threshold` of tesseractclass.cpp."""

MAX_RECENT_LINES = 512
"""A page has up to 300 units. A pass as one column, in another language or over a strip has many of the same pixels."""

_recent_lines: RecentResults[list[ReadWord]] = RecentResults(MAX_RECENT_LINES)


class UnitReader:
    """Reads one page's units with one model or several."""

    def __init__(self, models: Sequence[LineModel]) -> None:
        self._readers = [_ModelReader(model) for model in models]
        self._latest = self._readers[0]

    def read(self, page: Pixels, unit: Unit) -> list[ReadWord]:
        """The words of a unit of a grey page."""
        pixels = line_image(page, unit)
        if pixels is None:
            return []
        chosen = self._latest
        best = chosen.read(pixels)
        for reader in self._readers:
            if reader is self._latest or are_acceptable(best):
                continue
            best, gained = better_words(best, reader.read(pixels))
            if gained > 0:
                chosen = reader
        self._latest = chosen
        return best


@dataclass
class _ModelReader:
    model: LineModel

    def read(self, pixels: Pixels) -> list[ReadWord]:
        """The words of a line, which must not be changed: they are kept for the next time."""
        model = self.model
        others = (model.name, model.arithmetic, pixels.shape)
        return _recent_lines.result(pixels.tobytes(), others, lambda: self._read(pixels))

    def _read(self, pixels: Pixels) -> list[ReadWord]:
        probabilities = self.model.probabilities(normalised(pixels))
        score = self._mean_score(probabilities)
        if score < SURE_OF_POLARITY:
            inverted = self.model.probabilities(normalised(255 - pixels))
            if self._mean_score(inverted) > score:
                probabilities = inverted
        return read_words(probabilities, alphabet_of(self.model))

    def _mean_score(self, probabilities: Probabilities) -> float:
        """Mean probability of the steps with a character (`LSTMRecognizer::OutputStats`, lstm/lstmrecognizer.cpp)."""
        best = probabilities.argmax(1)
        steps = np.flatnonzero(best != self.model.null_class)
        scores = np.floor(127 * probabilities[steps, best[steps]])
        return float(scores.sum()) / 127 / len(steps) if len(steps) else 0.0


@lru_cache(maxsize=MAX_LOADED_MODELS)
def alphabet_of(model: LineModel) -> Alphabet:
    """What decoding needs of a model; the beginnings of words that are looked up stay known from page to page."""
    charset = model.charset
    return Alphabet(charset.texts, charset.unichars, model.null_class, charset.class_of(" "), model.dictionaries)
