"""Tests of the ranking of passes."""

from PIL import Image

from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.preprocessing.preprocess import ALL_STEPS, PreprocessedPage
from notaflow_pipeline.ocr.recognition.passes.pass_result import PassResult


def test_a_pass_without_words_ranks_below_words_of_low_confidence() -> None:
    image = Image.new("L", (99, 99), 255)
    prepared = PreprocessedPage(image, 150, image, 150, ALL_STEPS)
    doubtful = PassResult([Word("vente", 54.0, 1, 1, 1, 0, 0, 50, 12)], prepared)

    best = max(PassResult([], prepared), doubtful, key=lambda one: one.score)

    assert best is doubtful
