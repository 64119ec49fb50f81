"""Pages of which a text layer says a part, read with Tesseract."""

import math
import time
from pathlib import Path

import pytest
from PIL import Image

from notaflow_pipeline.ocr.document_text import PageSource, PageText
from notaflow_pipeline.ocr.engine import NullEngine, Recognition, TesserocrEngine
from notaflow_pipeline.ocr.failures import DocumentFailure, FailureKind
from notaflow_pipeline.ocr.opening import DocumentFormat
from notaflow_pipeline.ocr.recognition.layered_page import read_loaded_page
from notaflow_pipeline.ocr.rendering import load_page
from notaflow_pipeline_tests.ocr.samples import (
    ACT_LINES,
    ACT_ON_LETTER,
    act_page,
    layer_of_act,
    page_pdf,
    picture_object,
)

ENGINE = TesserocrEngine("fra+eng")
STAMP = "BT /F 10 Tf 72 60 Td (Inscrit sous le no 27 987 654) Tj ET "


def read(path: Path, content: str, page_extra: str = "") -> PageText:
    picture, resources = picture_object(act_page()), "/XObject<</I 6 0 R>>"
    path = page_pdf(path, content, resources=resources, more=[picture], page_extra=page_extra)
    return read_loaded_page(1, load_page(path, DocumentFormat.PDF, 1), ENGINE, time.monotonic(), math.inf)


def test_earlier_ocr_that_agrees_with_its_image_is_kept(tmp_path: Path) -> None:
    page = read(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act())
    assert page.text.replace("\n\n", "\n").split("\n") == list(ACT_LINES)
    assert (page.source, page.passes, page.words) == (PageSource.TEXT_LAYER, 2, len(" ".join(ACT_LINES).split()))


@pytest.mark.parametrize(
    ("right", "wrong"), [("3 770 292", "3 170 292"), ("vend", "veud")], ids=["a figure", "some words"]
)
def test_earlier_ocr_with_errors_is_read_again(tmp_path: Path, right: str, wrong: str) -> None:
    lines = [line.replace(right, wrong) for line in ACT_LINES]
    page = read(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act(lines))
    assert wrong not in page.text
    assert right in page.text
    assert page.source is PageSource.RECOGNISED


@pytest.mark.parametrize("lines", [2, 6])
def test_lower_part_without_words_of_an_earlier_ocr_is_read(tmp_path: Path, lines: int) -> None:
    upper = [line if number < lines else "" for number, line in enumerate(ACT_LINES)]
    page = read(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act(upper))
    assert page.text.split() == " ".join(ACT_LINES).split()


@pytest.mark.parametrize("lines", [ACT_LINES, [line.replace("e", "c") for line in ACT_LINES]], ids=["good", "bad"])
def test_visible_stamp_is_kept_whatever_becomes_of_an_earlier_ocr(tmp_path: Path, lines: list[str]) -> None:
    page = read(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act(lines) + STAMP)
    assert page.text.count("27 987 654") == 1
    assert page.text.count("3 770 292") == 1


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pasted_scan_is_read_at_its_place_in_a_letter(tmp_path: Path, rotation: int) -> None:
    letter = "BT /F 10 Tf 72 740 Td (Maître, voici l’extrait que vous avez demandé.) Tj ET "
    page = read(tmp_path / "a.pdf", letter + "q 420 0 0 406 72 250 cm /I Do Q " + STAMP, f"/Rotate {rotation}")
    places = [page.text.index(part) for part in ("Maître", "3 770 292", "27 987 654")]
    assert places == sorted(places)


def test_logo_beside_typed_text_adds_nothing(tmp_path: Path) -> None:
    logo = "".join(f"{500 + 5 * n} 730 m {520 - 3 * n} 770 l S " for n in range(8))
    typed = "BT /F 10 Tf 72 600 Td (Le prix de vente est de 75 000,00 $ comptant.) Tj ET "
    page = read(tmp_path / "a.pdf", typed + logo)
    assert page.text == "Le prix de vente est de 75 000,00 $ comptant."


class FailingEngine(NullEngine):
    """Reads nothing: every page takes too long."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:  # noqa: ARG002
        raise DocumentFailure(FailureKind.TIMEOUT, "It took too long.")


def test_part_that_cannot_be_read_leaves_the_typed_text_and_a_mark(tmp_path: Path) -> None:
    letter = (
        "BT /F 10 Tf 72 740 Td (Maître, voici l’extrait que vous avez demandé.) Tj ET q 420 0 0 406 72 250 cm /I Do Q "
    )
    path = page_pdf(tmp_path / "a.pdf", letter, resources="/XObject<</I 6 0 R>>", more=[picture_object(act_page())])
    page = read_loaded_page(1, load_page(path, DocumentFormat.PDF, 1), FailingEngine(), time.monotonic(), math.inf)
    assert (page.text, page.damaged) == ("Maître, voici l’extrait que vous avez demandé.", True)
