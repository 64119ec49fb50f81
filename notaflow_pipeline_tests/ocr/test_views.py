"""Tests of the view of a page beside its text: its images and words are those of the recognition."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from notaflow_pipeline.ocr.document import DocumentText, PageSource
from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.page_view import ReadImage
from notaflow_pipeline.ocr.recognition.coverage import unread_boxes
from notaflow_pipeline.ocr.recognition.viewing import MAX_SIDE_PIXELS
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.samples import (
    ACT_LINES,
    ACT_ON_LETTER,
    act_page,
    layer_of_act,
    page_pdf,
    picture_object,
    scanned_pdf,
    tiff,
    typed_pdf,
)
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS


def viewed(path: Path, *numbers: int) -> DocumentText:
    with DocumentPool(default_engine(), workers=1) as pool:
        return pool.start(path, views_of=numbers).result(timeout=HANG_SECONDS)


def images(document: DocumentText) -> tuple[ReadImage, ...]:
    [page] = document.pages
    assert page.view is not None
    return page.view.images


def darkness(image: ReadImage, box: tuple[float, float, float, float]) -> int:
    """The grey value of the darkest pixel in a box."""
    left, top, width, height = box
    pixels = Image.open(BytesIO(image.jpeg)).convert("L")
    assert pixels.size == (image.width, image.height)
    return int(pixels.crop((round(left), round(top), round(left + width), round(top + height))).getextrema()[0])  # type: ignore[arg-type]


def test_words_of_a_scan_lie_over_their_ink(tmp_path: Path) -> None:
    act_page(300).save(tmp_path / "a.png", dpi=(300, 300))
    document = viewed(tmp_path / "a.png", 1)
    [image] = images(document)
    assert " ".join(word.text for word in image.words).split() == document.pages[0].text.split()
    assert image.text == document.pages[0].text
    assert not image.text_layer
    assert max(image.width, image.height) <= MAX_SIDE_PIXELS
    assert all(darkness(image, word.box) < 150 for word in image.words)
    assert all(word.confidence is not None for word in image.words)
    assert document.pages[0].view is not None
    assert document.pages[0].view.scan is not None, "the page before it was preprocessed"


def test_only_the_wanted_pages_are_read(tmp_path: Path) -> None:
    path = scanned_pdf(tmp_path / "a.pdf", "Vente du lot", "Bail du lot", "Quittance")
    document = viewed(path, 2, 3, 9)
    assert [page.number for page in document.pages] == [2, 3]
    assert document.pages_in_file == 3
    nothing = viewed(path, 9)
    assert (nothing.pages, nothing.pages_in_file) == ((), 3)


def test_reading_as_usual_makes_no_view(tmp_path: Path) -> None:
    with DocumentPool(default_engine(), workers=1) as pool:
        document = pool.start(scanned_pdf(tmp_path / "a.pdf", "Vente")).result(timeout=HANG_SECONDS)
    assert [page.view for page in document.pages] == [None]


def test_words_of_a_text_layer_lie_over_the_rendered_page(tmp_path: Path) -> None:
    document = viewed(typed_pdf(tmp_path / "a.pdf", "Vente du lot 3 770 292", "devant le notaire"), 1)
    assert document.pages[0].source is PageSource.TEXT_LAYER
    [image] = images(document)
    assert image.text_layer
    assert [word.text for word in image.words] == ["Vente", "du", "lot", "3", "770", "292", "devant", "le", "notaire"]
    assert all(darkness(image, word.box) < 100 for word in image.words)
    assert {word.confidence for word in image.words} == {None}


def test_part_that_a_text_layer_lacks_is_an_image_of_its_own(tmp_path: Path) -> None:
    half = layer_of_act([line if number < 6 else "" for number, line in enumerate(ACT_LINES)])
    path = page_pdf(
        tmp_path / "a.pdf", ACT_ON_LETTER + half, resources="/XObject<</I 6 0 R>>", more=[picture_object(act_page())]
    )
    document = viewed(path, 1)
    drawn, *parts = images(document)
    assert drawn.text_layer
    assert parts
    assert all(part.text in document.pages[0].text for part in parts if part.used)
    assert not drawn.unread, "what was read in a part is not unread"


def test_blank_page_is_shown_without_words(tmp_path: Path) -> None:
    document = viewed(tiff(tmp_path / "a.tif", Image.new("L", (1240, 1754), 255)), 1)
    assert document.pages[0].source is PageSource.BLANK
    [image] = images(document)
    assert (image.words, image.unread) == ((), ())


@pytest.mark.parametrize("size", [(4000, 5000), (300, 6000)], ids=["large", "strip"])
def test_image_has_few_pixels_however_large_the_page_is(tmp_path: Path, size: tuple[int, int]) -> None:
    page = Image.new("L", size, 255)
    ImageDraw.Draw(page).text((20, 500), "Vente du lot", fill=0, font_size=120 if size[0] > 500 else 40)
    page.save(tmp_path / "a.png", dpi=(1000, 1000))
    for image in images(viewed(tmp_path / "a.png", 1)):
        assert max(image.width, image.height) <= MAX_SIDE_PIXELS


def test_unread_ink_is_marked_where_it_lies() -> None:
    image, words = Image.new("L", (1240, 1754), 255), []
    draw = ImageDraw.Draw(image)
    for line in range(20):
        draw.text((100, 100 + 50 * line), "Vente du lot 3 770 292 au cadastre", fill=40, font_size=24)
        words.append(Word("Vente", 90, 1, 1, line, 95, 100 + 50 * line, 420, 26))
    assert unread_boxes(image, words) == []
    missing = words.pop(7)
    [(left, top, width, height)] = unread_boxes(image, words)
    assert missing.left - 10 < left < missing.left + 20
    assert missing.right - 60 < left + width < missing.right + 60
    assert missing.top - 10 < top < top + height < missing.bottom + 10
