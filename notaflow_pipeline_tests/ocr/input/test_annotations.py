"""Tests of annotations on a typed page: their words are text of the page, and no annotation causes OCR of the page."""

from pathlib import Path

import pytest

from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline_tests.ocr.samples import ACT_ON_LETTER, HELVETICA, act_page, page_pdf, picture_object

TYPED = "BT /F 12 Tf 72 700 Td (Prix de vente :) Tj ET "
FIELD = "<</Type/Annot/Subtype/Widget/FT/Tx/T(prix)/V(75 000,00 $)/Rect[200 696 400 716]/F 4/DA(/Helv 10 Tf 0 g)"
WORDS = "BT /Helv 10 Tf 2 5 Td (75 000,00 $) Tj ET"
LOOK = (
    f"<</Type/XObject/Subtype/Form/BBox[0 0 200 20]/Resources<</Font<</Helv 7 0 R>>>>/Length {len(WORDS)}>>"
    f"stream\n{WORDS}\nendstream"
)
FORM = "/AcroForm<</Fields[6 0 R]/NeedAppearances true/DR<</Font<</Helv 7 0 R>>>>/DA(/Helv 10 Tf 0 g)>>"


@pytest.mark.parametrize(
    "annotation",
    [
        f"{FIELD}>>",
        f"{FIELD}/AP<</N 8 0 R>>>>",
        "<</Type/Annot/Subtype/FreeText/Contents(75 000,00 $)/Rect[200 696 400 716]/F 4/DA(/Helv 10 Tf 0 g)/AP<</N 8 0 R>>>>",
        "<</Type/Annot/Subtype/Stamp/Rect[200 696 400 716]/F 4/AP<</N 8 0 R>>>>",
    ],
    ids=["field that is drawn anew", "field", "note", "stamp"],
)
def test_words_of_annotations_stand_at_their_places(tmp_path: Path, annotation: str) -> None:
    catalogue = FORM if "Widget" in annotation else ""
    path = page_pdf(
        tmp_path / "a.pdf",
        TYPED,
        page_extra="/Annots[6 0 R]",
        catalogue=catalogue,
        more=[annotation, HELVETICA, LOOK],
    )
    page = load_page(path, DocumentFormat.PDF, 1)
    assert (page.text, page.image, page.regions) == ("Prix de vente :   75 000,00 $", None, ())


@pytest.mark.parametrize(
    "annotation",
    [
        "<</Type/Annot/Subtype/Highlight/Rect[70 696 170 714]/QuadPoints[70 714 170 714 70 696 170 696]/C[1 1 0]/F 4>>",
        "<</Type/Annot/Subtype/Underline/Rect[70 696 170 714]/QuadPoints[70 714 170 714 70 696 170 696]/C[1 0 0]/F 4>>",
        "<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature1)/Rect[300 100 500 150]/F 132/P 3 0 R>>",
        "<</Type/Annot/Subtype/Widget/FT/Btn/T(case)/Rect[300 100 312 112]/F 4/P 3 0 R>>",
        "<</Type/Annot/Subtype/Link/Rect[70 696 170 714]/Border[0 0 1]>>",
    ],
    ids=["highlight", "underline", "signature", "check box", "link"],
)
def test_other_annotations_leave_a_typed_page_as_it_is(tmp_path: Path, annotation: str) -> None:
    path = page_pdf(tmp_path / "a.pdf", TYPED, page_extra="/Annots[6 0 R]", more=[annotation])
    page = load_page(path, DocumentFormat.PDF, 1)
    assert (page.text, page.image, page.regions) == ("Prix de vente :", None, ())


NOTE = "<</Type/Annot/Subtype/FreeText/Contents(75 000,00 $\\rcomptant)/Rect[200 690 400 716]/DA(/Helv 10 Tf 0 g)"
EMPTY_LOOK = "<</Type/XObject/Subtype/Form/BBox[0 0 200 20]/Length 0>>stream\n\nendstream"


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (f"{NOTE}/F 4>>", "Prix de vente :   75 000,00 $\ncomptant"),
        (
            f"{NOTE.replace('Contents(75 000,00 $', 'RC(<body><p>75 000,00 $</p>')}/F 4>>",
            "Prix de vente :   75 000,00 $\ncomptant",
        ),
        (f"{NOTE}/F 4/AP<</N 8 0 R>>>>", "Prix de vente :   75 000,00 $\ncomptant"),
        (f"{FIELD}>>", "Prix de vente :   75 000,00 $"),
        ("<</Type/Annot/Subtype/Stamp/Name/Approved/Rect[200 696 400 716]/F 4>>", "Prix de vente :   Approved"),
        (f"{NOTE}/F 2>>", "Prix de vente :"),
        (f"{NOTE}/F 32>>", "Prix de vente :"),
    ],
    ids=["note", "formatted note", "empty appearance", "field without a form", "stamp", "hidden", "not on the screen"],
)
def test_text_of_an_annotation_without_an_appearance_is_added(tmp_path: Path, annotation: str, text: str) -> None:
    path = page_pdf(tmp_path / "a.pdf", TYPED, page_extra="/Annots[6 0 R]", more=[annotation, HELVETICA, EMPTY_LOOK])
    assert load_page(path, DocumentFormat.PDF, 1).text == text


def test_note_without_an_appearance_is_added_to_a_scan(tmp_path: Path) -> None:
    scan = picture_object(act_page())
    path = page_pdf(
        tmp_path / "a.pdf",
        ACT_ON_LETTER,
        page_extra="/Annots[7 0 R]",
        resources="/XObject<</I 6 0 R>>",
        more=[scan, f"{NOTE}/F 4>>"],
    )
    page = load_page(path, DocumentFormat.PDF, 1)
    assert page.image is not None
    assert (page.text, page.image_box) == ("75 000,00 $\ncomptant", (0.0, 0.0, 612.0, 592.0))


def test_opaque_highlight_hides_no_words(tmp_path: Path) -> None:
    highlight = (
        "<</Type/Annot/Subtype/Highlight/Rect[70 696 170 714]/QuadPoints[70 714 170 714 70 696 170 696]/F 4"
        "/AP<</N 7 0 R>>>>"
    )
    look = "<</Type/XObject/Subtype/Form/BBox[0 0 100 18]/Length 24>>stream\n1 1 0 rg 0 0 100 18 re f\nendstream"
    path = page_pdf(tmp_path / "a.pdf", TYPED, page_extra="/Annots[6 0 R]", more=[highlight, look])
    page = load_page(path, DocumentFormat.PDF, 1)
    assert (page.text, page.image, page.regions) == ("Prix de vente :", None, ())
