"""Tests of scans with text over or under them: the part to recognise from the image, and the part that the layer
adds."""

from pathlib import Path

import pytest
from PIL import Image

from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.loaded_page import LoadedPage
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline_tests.ocr.samples import (
    ACT_LINES,
    ACT_ON_LETTER,
    act_page,
    layer_of_act,
    page_pdf,
    picture_object,
)

SCAN = act_page()
WRONG = tuple(line.replace("e", "c").replace("3 770", "3 170") for line in ACT_LINES)
MARK = "COPIE NON OFFICIELLE - Registre foncier du Québec - consulté le 2025-05-01"
CERTIFICATE = (
    "Je certifie que ce document est une copie conforme de l’original qui est conservé",
    "au Bureau de la publicité des droits de Lévis, sous le numéro 28 123 456, et que",
    "les droits exigibles ont été payés par le requérant le 2024-05-21 à 9 heures.",
)


def text_at(lines: tuple[str, ...], top: float, lead: float = 14) -> str:
    return "".join(f"BT /F 10 Tf 72 {top - lead * n} Td ({line}) Tj ET " for n, line in enumerate(lines))


def load(
    path: Path, content: str, *, resources: str = "/XObject<</I 6 0 R>>", more: list[str] | None = None
) -> LoadedPage:
    path = page_pdf(path, content, resources=resources, more=more or [picture_object(SCAN)])
    return load_page(path, DocumentFormat.PDF, 1)


@pytest.mark.parametrize(
    "lines",
    [(MARK,) * 13, CERTIFICATE, ("Page 1 de 1",)],
    ids=["watermark", "certificate", "footer"],
)
def test_text_over_a_scan_leaves_the_scan_to_be_read(tmp_path: Path, lines: tuple[str, ...]) -> None:
    page = load(tmp_path / "a.pdf", ACT_ON_LETTER + text_at(lines, 600, 40))
    assert page.image is not None
    assert page.image.size == SCAN.size  # the scan's own pixels, without the text
    assert page.text.split() == " ".join(lines).split()


def test_scan_in_a_form_and_in_strips_is_read_without_the_mark(tmp_path: Path) -> None:
    halves = [SCAN.crop((0, 0, SCAN.width, 600)), SCAN.crop((0, 600, SCAN.width, 1200))]
    content = "q 612 0 0 296 0 496 cm /I Do Q q 612 0 0 296 0 200 cm /J Do Q "
    form = (
        f"<</Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</XObject<</I 7 0 R/J 8 0 R>>>>"
        f"/Length {len(content)}>>stream\n{content}\nendstream"
    )
    more = [form, *map(picture_object, halves)]
    page = load(tmp_path / "a.pdf", f"/X Do {text_at((MARK,), 400)}", resources="/XObject<</X 6 0 R>>", more=more)
    assert page.text == MARK
    assert page.image is not None
    assert page.image.crop((0, 300, page.image.width, 900)).getextrema()[0] == 60
    lower = page.image.crop((0, 1650, page.image.width, 1700))
    assert lower.getextrema() == (225, 225)  # the place of the mark


@pytest.mark.parametrize(
    "content",
    [
        layer_of_act(WRONG, 0) + ACT_ON_LETTER,
        ACT_ON_LETTER + "1 g " + layer_of_act(WRONG, 0),
        ACT_ON_LETTER + "/Clear gs " + layer_of_act(WRONG, 0),
        ACT_ON_LETTER + layer_of_act(WRONG, 3),
    ],
    ids=["under the image", "in white", "without opacity", "invisible"],
)
def test_hidden_words_over_a_scan_that_are_nonsense_are_dropped(tmp_path: Path, content: str) -> None:
    clear = "/XObject<</I 6 0 R>>/ExtGState<</Clear<</ca 0>>>>"
    page = load(tmp_path / "a.pdf", content, resources=clear)
    assert page.image is not None
    assert (page.text, page.earlier) == ("", None)


def test_earlier_ocr_is_compared_where_it_has_digits(tmp_path: Path) -> None:
    page = load(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act())
    assert page.earlier is not None
    assert page.earlier.lines != ()
    assert {"770", "75"} & set(page.earlier.strip_words)
    assert page.image is not None  # needed if they do not agree


@pytest.mark.parametrize(("lines", "parts"), [(2, 0), (6, 1)], ids=["all is read", "the rest is read"])
def test_print_that_an_earlier_ocr_missed_is_read(tmp_path: Path, lines: int, parts: int) -> None:
    upper = tuple(line if number < lines else "" for number, line in enumerate(ACT_LINES))
    page = load(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act(upper))
    assert page.image is not None
    assert (page.earlier is not None, len(page.regions)) == (parts > 0, parts)


def test_scan_pasted_into_a_letter_is_read_between_its_lines(tmp_path: Path) -> None:
    above, below = (
        text_at(("Maître, voici l’extrait que vous avez demandé, numérisé au greffe.",), 720),
        text_at(("Nous demeurons à votre disposition.",), 150),
    )
    page = load(tmp_path / "a.pdf", above + below + "q 300 0 0 290 72 300 cm /I Do Q ")
    assert page.image is None
    (region,) = page.regions
    first, last = page.lines
    assert first.position < region.position < last.position
    assert region.image.getextrema()[0] == 60


def test_body_drawn_as_curves_is_read_beside_its_typed_footer(tmp_path: Path) -> None:
    curves = "".join(
        f"{72 + 7 * x} {700 - 20 * y} m {75 + 7 * x} {708 - 20 * y} l S " for x in range(60) for y in range(20)
    )
    page = load(tmp_path / "a.pdf", curves + text_at(("Imprimé le 2024-05-01, page 1 de 1",), 40))
    assert page.text == "Imprimé le 2024-05-01, page 1 de 1"
    assert page.image is not None or page.regions != ()


def test_rules_and_shaded_cells_of_a_typed_table_are_no_unread_text(tmp_path: Path) -> None:
    rules = "".join(f"72 {690 - 20 * row} m 540 {690 - 20 * row} l S " for row in range(10))
    shaded = "0.8 g 72 690 468 20 re f 0 g 0 0 1 rg 72 400 468 30 re f 0 g "
    page = load(tmp_path / "a.pdf", shaded + rules + text_at(("Date Lot Montant",) * 9, 695, 20))
    assert (page.image, page.regions) == (None, ())


def test_drawn_underscores_and_dashes_are_no_unread_text(tmp_path: Path) -> None:
    strokes = "".join(
        f"{72 + 30 * n} {698 - 20 * row} m {78 + 30 * n} {698 - 20 * row} l S " for n in range(8) for row in range(6)
    )
    page = load(tmp_path / "a.pdf", strokes + text_at(("Date Lot Montant",) * 9, 695, 20))
    assert (page.image, page.regions) == (None, ())


def test_faint_scan_below_a_stamp_is_left_to_be_read(tmp_path: Path) -> None:
    faint = Image.eval(SCAN, lambda value: 235 + value // 12)
    page = load(tmp_path / "a.pdf", ACT_ON_LETTER + text_at((MARK,), 40), more=[picture_object(faint)])
    assert page.image is not None
    assert page.text == MARK
