"""Tests of both engines on the same pages, word by word.

Differences in units, heights, scaling or normalisation would change text and confidence.
"""

import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from notaflow_pipeline.ocr.engines.interface import Segmentation
from notaflow_pipeline.ocr.engines.onnx.engine import OnnxEngine
from notaflow_pipeline.ocr.engines.tesseract_library import TesserocrEngine
from notaflow_pipeline.ocr.engines.words import Word, edges_of, lines_of
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import render_page
from notaflow_pipeline_tests.ocr import drawn_pages
from notaflow_pipeline_tests.ocr.samples import act_page, typed_pdf

TYPESCRIPT_MODELS = "fra-typescript-1"
SAMPLES = Path(__file__).parents[3] / "notaflow_pipeline" / "samples"


def both(
    image: Image.Image,
    dpi: int | None,
    languages: str = TYPESCRIPT_MODELS,
    segmentation: Segmentation = Segmentation.AUTOMATIC,
) -> tuple[list[Word], list[Word]]:
    engines = TesserocrEngine(), OnnxEngine()
    tesserocr, onnx = (engine.find_words(image, dpi, 60, languages, segmentation) for engine in engines)
    return tesserocr, onnx


def drawn(name: str) -> tuple[Image.Image, int]:
    page = drawn_pages.PAGES[name]()
    return page.image, page.dpi


def sample(name: str) -> tuple[Image.Image, int]:
    return render_page(next(SAMPLES.glob(f"{name}*")), DocumentFormat.PDF, 1), 300


def texts(words: list[Word]) -> list[str]:
    return [word.text for word in words]


def share_alike(tesserocr: list[Word], onnx: list[Word]) -> float:
    """Returns the share of tesserocr's words that the other engine has at exactly the same position."""
    known = {(word.text, word.left, word.top, word.right, word.bottom) for word in onnx}
    return statistics.fmean((w.text, w.left, w.top, w.right, w.bottom) in known for w in tesserocr)


def confidences_apart(tesserocr: list[Word], onnx: list[Word]) -> float:
    """Returns the mean difference in confidence between words at the same position."""
    known = {(word.text, word.left, word.top): word.confidence for word in onnx}
    pairs = [(word.confidence, known.get((word.text, word.left, word.top))) for word in tesserocr]
    return statistics.fmean(abs(theirs - ours) for theirs, ours in pairs if ours is not None)


PAGES: dict[str, tuple[Callable[[], tuple[Image.Image, int]], float]] = {
    "act at 150 dpi": (lambda: (act_page(150), 150), 0.3),
    "act at 300 dpi": (lambda: (act_page(300), 300), 0.3),
    "typed index": (lambda: drawn("typed index"), 0.85),
    "two columns": (lambda: drawn("two columns of 9 points"), 0.85),
    "faint ink": (lambda: drawn("faint ink"), 0.4),
    "printed index": (lambda: sample("3_770_292"), 0.6),
    "typed deed": (lambda: sample("733-12"), 0.8),
}
"""Pages, and the largest accepted difference in confidence: one and a half times the measured one.

On the typed index the difference is 0.59; with another pixel of padding or height, with edges rounded the other way,
without sharpening or with Pillow's scaling, it is 1.04 to 2.6. Another white point raises that of the faint ink from 0.26
to 0.48.
"""


@pytest.mark.parametrize("name", PAGES)
def test_words_boxes_and_confidences_are_those_of_tesserocr(name: str) -> None:
    page, max_apart = PAGES[name]
    tesserocr, onnx = both(*page())
    assert share_alike(tesserocr, onnx) > 0.88
    assert confidences_apart(tesserocr, onnx) < max_apart


@pytest.mark.parametrize("segmentation", [one for one in Segmentation if one is not Segmentation.RAW_LINE])
def test_every_segmentation_of_a_page_is_read_alike(segmentation: Segmentation) -> None:
    tesserocr, onnx = both(act_page(200), 200, segmentation=segmentation)
    assert texts(onnx) == texts(tesserocr)
    assert len(onnx) > 80


@pytest.mark.parametrize("number", range(6))
def test_line_that_is_read_whole_is_read_alike(number: int) -> None:
    page = act_page(200)
    line = lines_of(TesserocrEngine().find_words(page, 200, 60))[number]
    left, top, right, bottom = edges_of(line)
    box = (left - 8, top - 6, right + 8, bottom + 6)
    tesserocr, onnx = both(page.crop(box), 200, segmentation=Segmentation.RAW_LINE)
    assert "".join(texts(onnx)) == "".join(texts(tesserocr))  # of one line, they see a gap differently
    assert abs(len(onnx) - len(line)) <= 1


def test_inverted_print_is_read_alike() -> None:
    page = act_page(200)
    page.paste(ImageOps.invert(page.crop((0, 0, page.width, 500))), (0, 0))
    tesserocr, onnx = both(page, 200)
    assert texts(onnx) == texts(tesserocr)
    assert {"notaire", "quatorze", "quittance"} <= set(texts(onnx))


def test_vertical_text_is_read_alike() -> None:
    tesserocr, onnx = both(act_page(200).rotate(-90, expand=True), 200)
    assert share_alike(tesserocr, onnx) > 0.9
    assert {"notaire", "quatorze", "quittance"} <= set(texts(onnx))


@pytest.mark.parametrize("degrees", [90, 270])
def test_lines_beside_a_table_that_run_the_other_way_are_read_alike(degrees: int) -> None:
    page, dpi = drawn("typed index")
    page.paste(english_line().rotate(degrees, expand=True), (20, 300))
    page.paste(english_line().rotate(degrees, expand=True), (1600, 300))
    tesserocr, onnx = both(page, dpi)
    assert share_alike(tesserocr, onnx) > 0.9


def test_accents_and_digits_are_read_alike(tmp_path: Path) -> None:
    lines = "Vente à Québec, reçu 75 000,00 $", "l'acquéreur né le 3 août 1948", "où siège l'évêque : n° 3 770 292"
    page = render_page(typed_pdf(tmp_path / "a.pdf", *lines), DocumentFormat.PDF, 1)
    tesserocr, onnx = both(page, 300)
    assert texts(onnx) == texts(tesserocr)
    assert {"Québec,", "75", "000,00", "$", "l'acquéreur", "août", "1948"} <= set(texts(onnx))


@pytest.mark.parametrize("languages", ["fra", "eng", "fra+eng", "eng+fra", f"{TYPESCRIPT_MODELS}+eng"])
def test_languages_are_chosen_alike(languages: str) -> None:
    page = act_page(200)
    page.paste(english_line(), (200, 1200))
    tesserocr, onnx = both(page, 200, languages)
    assert share_alike(tesserocr, onnx) > 0.9
    assert confidences_apart(tesserocr, onnx) < 3


def english_line() -> Image.Image:
    sheet = drawn_pages.Sheet(200, "line", size=(500, 30), paper=225)
    sheet.write(5, 5, "The vendor has sold to the purchaser the said lot with all buildings thereon", ink=60)
    return sheet.image
