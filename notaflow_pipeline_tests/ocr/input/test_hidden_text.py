"""Tests of hidden words: they are not text of the page."""

from pathlib import Path

import pytest

from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.loaded_page import LoadedPage
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline_tests.ocr.samples import page_pdf

SEEN = "BT /F 12 Tf 72 700 Td (Le prix de vente est de 75 000,00 $ comptant.) Tj ET "
SECRET = "BT /F 12 Tf 72 500 Td (Brouillon : 99 999,99 $) Tj ET "
TEXT = "Le prix de vente est de 75 000,00 $ comptant."
OFF = "/OCProperties<</OCGs[6 0 R]/D<</OFF[6 0 R]>>>>"
LAYER = "<</Type/OCG/Name(Brouillon)>>"
FORM = (
    f"<</Type/XObject/Subtype/Form/BBox[0 0 612 792]/OC 6 0 R/Resources 5 0 R/Length {len(SECRET)}>>"
    f"stream\n{SECRET}\nendstream"
)


def load(path: Path) -> LoadedPage:
    return load_page(path, DocumentFormat.PDF, 1)


@pytest.mark.parametrize(
    ("hidden", "resources"),
    [
        (f"/OC /Draft BDC {SECRET} EMC", "/Properties<</Draft 6 0 R>>"),
        ("/X Do", "/XObject<</X 7 0 R>>"),
        (f"{SECRET} 1 g 60 490 300 30 re f", ""),
        (f"{SECRET} 0 g 60 490 300 30 re f", ""),
        (f"1 g {SECRET}", ""),
        (f"/Clear gs {SECRET}", "/ExtGState<</Clear<</ca 0/CA 0>>>>"),
        (f"3 Tr {SECRET}", ""),
        (f"0 0 9 9 re W n {SECRET}", ""),
        (SECRET.replace("72 500", "72 900"), ""),
        (SECRET.replace("72 500", "-400 500"), ""),
    ],
    ids=["layer", "form", "white box", "black box", "white", "opacity", "invisible", "clipped", "above", "beside"],
)
def test_hidden_words_are_no_text(tmp_path: Path, hidden: str, resources: str) -> None:
    path = page_pdf(tmp_path / "a.pdf", f"{SEEN} q {hidden} Q", resources=resources, catalogue=OFF, more=[LAYER, FORM])
    page = load(path)
    assert (page.text, page.image) == (TEXT, None)


def test_words_outside_of_the_crop_box_are_no_text(tmp_path: Path) -> None:
    assert load(page_pdf(tmp_path / "a.pdf", SEEN + SECRET, page_extra="/CropBox[0 600 612 792]")).text == TEXT


def test_white_words_on_a_dark_ground_are_text(tmp_path: Path) -> None:
    header = "0 0 0.4 rg 60 490 300 30 re f 1 g " + SECRET
    assert "Brouillon : 99 999,99 $" in load(page_pdf(tmp_path / "a.pdf", SEEN + header)).text


@pytest.mark.parametrize(
    ("ground", "words"),
    [("0.8 g", "1 g"), ("0.6 0.8 1 rg", "1 g"), ("0.5 g", "0.8 g"), ("0 g", "0.6 0 0 rg"), ("1 0.6 0 rg", "1 1 0 rg")],
    ids=["white on grey", "white on light blue", "grey on grey", "red on black", "yellow on orange"],
)
def test_light_words_on_a_drawn_area_are_text(tmp_path: Path, ground: str, words: str) -> None:
    header = f"{ground} 60 490 300 30 re f {words} {SECRET}"
    assert "Brouillon : 99 999,99 $" in load(page_pdf(tmp_path / "a.pdf", SEEN + header)).text


def test_pale_watermark_is_text(tmp_path: Path) -> None:
    assert "Brouillon" in load(page_pdf(tmp_path / "a.pdf", f"{SEEN} 0.85 g {SECRET}")).text


@pytest.mark.parametrize("shift", [0, 3, 6])
def test_amount_typed_over_a_hidden_one_is_read(tmp_path: Path, shift: int) -> None:
    old = "BT /F 12 Tf 72 600 Td (Solde dû : 250 000,00 $) Tj ET"
    new = f"1 g 134 595 120 16 re f 0 g BT /F 12 Tf {134.5 + shift} 600 Td (275 000,00 $) Tj ET"
    text = load(page_pdf(tmp_path / "a.pdf", f"{SEEN} {old} {new}")).text
    assert "275 000,00 $" in text
    assert "250" not in text
    assert "Solde dû :" in text


def test_page_with_only_hidden_words_is_recognised(tmp_path: Path) -> None:
    page = load(page_pdf(tmp_path / "a.pdf", f"3 Tr {SEEN}"))
    assert page.text == ""
    assert page.image is not None
    assert page.image.getextrema() == (255, 255)
