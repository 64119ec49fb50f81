"""Tests of text layers: which ones are the text of the page, and which ones cannot be trusted."""

from pathlib import Path

import pypdfium2
import pytest

from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.loaded_page import LoadedPage
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline.ocr.input.text_layer.layer_trust import is_foreign, plausible_share
from notaflow_pipeline.ocr.input.text_layer.page_layer import image_cover, page_content
from notaflow_pipeline_tests.ocr.samples import (
    CMAP,
    mapped_pdf,
    page_image,
    page_pdf,
    picture_object,
    picture_pdf,
    plain_pdf,
    scanned_pdf,
    typed_pdf,
)

GREY = "/ColorSpace/DeviceGray/BitsPerComponent 8"
FULL_PAGE = "400 0 0 400 0 0"
PROSE = (
    "Le vendeur déclare que le lot 3 770 292 du cadastre du Québec est libre",
    "de toute hypothèque, et que le prix de 75 000,00 $ lui a été payé le",
    "2024-05-17 par l’acquéreur, qui en prend possession à compter de ce jour.",
    "Les parties ont signé en présence de la notaire, qui leur a lu cet acte.",
)


def shifted(line: str) -> str:
    """Returns a line as a font with codes shifted by 29 stores it, a fault of many PDF printers."""
    return "".join(character if character == " " else chr(0x21 + (ord(character) - 29) % 0x5D) for character in line)


def text_over(path: Path, lines: tuple[str, ...], *, mode: int, top: int) -> Path:
    """Writes a scanned page of 400 points with lines of text in a rendering mode (3 is invisible), from a height
    downward."""
    typed = " ".join(f"({line}) Tj T*" for line in lines)
    content = f"BT /F 9 Tf {mode} Tr 11 TL 20 {top} Td {typed} ET"
    return picture_pdf(path, page_image(size=(400, 400)), GREY, FULL_PAGE, box=(400, 400), content=content)


def trusted(path: Path) -> bool:
    content = page_content(pypdfium2.PdfDocument(path)[0])
    assert content is not None
    return content.trusted


def load(path: Path, number: int = 1) -> LoadedPage:
    return load_page(path, DocumentFormat.PDF, number)


def test_text_of_a_typed_page_equals_its_layer(tmp_path: Path) -> None:
    page = load(typed_pdf(tmp_path / "a.pdf", *PROSE))
    assert page.image is None
    assert page.text == "\n".join(PROSE)


def test_short_typed_page_without_pictures_uses_its_layer(tmp_path: Path) -> None:
    assert load(typed_pdf(tmp_path / "a.pdf", "Page annulée")).text == "Page annulée"


def test_rows_of_a_table_stay_rows_with_their_columns_apart(tmp_path: Path) -> None:
    rows = [("3 770 292", "Vente", "75 000,00 $"), ("3 770 293", "Hypothèque", "120 500,00 $")]
    cells = " ".join(
        f"1 0 0 1 {72 + 160 * column} {700 - 20 * line} Tm ({text}) Tj"
        for line, row in enumerate(rows)
        for column, text in enumerate(row)
    )
    font = "/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>>>>>"
    path = plain_pdf(tmp_path / "a.pdf", page_extra=font, content=f"BT /F 12 Tf {cells} ET")
    assert load(path).text == "3 770 292   Vente   75 000,00 $\n3 770 293   Hypothèque   120 500,00 $"


def test_page_turned_for_display_is_read_in_its_order(tmp_path: Path) -> None:
    font = "/Rotate 90/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>>>>>"
    typed = "BT /F 18 Tf 0 1 -1 0 100 72 Tm 24 TL (Le lot est vendu) Tj T* (le 2024-05-17) Tj ET"
    assert load(plain_pdf(tmp_path / "a.pdf", page_extra=font, content=typed)).text == "Le lot est vendu\nle 2024-05-17"


def test_layer_of_a_font_with_shifted_codes_is_not_trusted(tmp_path: Path) -> None:
    lines = [shifted(line).replace("\\", "/").replace("(", "[").replace(")", "]") for line in PROSE]
    path = typed_pdf(tmp_path / "a.pdf", *(line.encode("cp1252", "replace").decode("cp1252") for line in lines))
    assert not trusted(path)
    assert load(path).image is not None


def test_layer_of_a_font_without_unicode_is_not_trusted(tmp_path: Path) -> None:
    font = (
        "<</Type/Font/Subtype/Type3/FontBBox[0 0 9 9]/FontMatrix[.1 0 0 .1 0 0]/FirstChar 97/LastChar 98/Widths[9 9]"
        "/CharProcs<</g1 6 0 R/g2 6 0 R>>/Encoding<</Type/Encoding/Differences[97/g1/g2]>>>>"
    )
    content = "BT /F 9 Tf 72 700 Td (" + "ab ba " * 20 + ") Tj ET"
    glyph = "9 0 0 0 9 9 d1 0 0 7 7 re f"
    path = page_pdf(tmp_path / "a.pdf", content, fonts=f"/F {font}", more=[f"<</Length 27>>stream\n{glyph}\nendstream"])
    assert not trusted(path)


@pytest.mark.parametrize("matrix", ["1 0 0 1 72 700", "0 1 -1 0 100 100"], ids=["level", "upright"])
def test_layer_of_a_font_whose_glyphs_are_lines_is_not_trusted(tmp_path: Path, matrix: str) -> None:
    font = (
        "<</Type/Font/Subtype/Type3/FontBBox[0 0 300 9]/FontMatrix[.1 0 0 .1 0 0]/FirstChar 97/LastChar 101"
        "/Widths[300 300 300 300 300]/CharProcs<</a 6 0 R/b 6 0 R/c 6 0 R/d 6 0 R/e 6 0 R>>"
        "/Encoding<</Type/Encoding/Differences[97/a/b/c/d/e]>>>>"
    )
    glyph = "300 0 0 0 300 9 d1 " + " ".join(f"{8 * n} 0 5 7 re" for n in range(37)) + " f"
    path = page_pdf(
        tmp_path / "a.pdf",
        f"BT /F 12 Tf {matrix} Tm 20 TL (a) Tj T* (b) Tj T* (a) Tj T* (e) Tj ET",
        fonts=f"/F {font}",
        more=[f"<</Length {len(glyph)}>>stream\n{glyph}\nendstream"],
    )
    assert not trusted(path)


def test_wide_letters_and_dashes_of_a_typed_page_are_text(tmp_path: Path) -> None:
    lines = "BT /F 14 Tf 200 Tz 24 TL 72 700 Td (MW — lot) Tj T* (____ - 12) Tj ET"
    assert load(page_pdf(tmp_path / "a.pdf", lines)).text.split("\n\n") == ["MW — lot", "____ - 12"]


def test_layer_of_a_font_with_wrong_positions_is_not_trusted(tmp_path: Path) -> None:
    cmap = CMAP.replace("<30> <39> <E030>", "<61> <65> <0061>")
    glyph = "9 0 0 -9 9 -5 d1 0 0 7 7 re f"  # its stated box is below the line, its ink is not
    font = (
        "<</Type/Font/Subtype/Type3/FontBBox[0 -9 9 -5]/FontMatrix[.1 0 0 .1 0 0]/FirstChar 97/LastChar 101"
        "/Widths[9 9 9 9 9]/CharProcs<</a 6 0 R/b 6 0 R/c 6 0 R/d 6 0 R/e 6 0 R>>"
        "/Encoding<</Type/Encoding/Differences[97/a/b/c/d/e]>>/ToUnicode 7 0 R>>"
    )
    more = [f"<</Length {len(text)}>>stream\n{text}\nendstream" for text in (glyph, cmap)]
    path = page_pdf(
        tmp_path / "a.pdf", "BT /F 12 Tf 72 700 Td (abade bade decade abcde) Tj ET", fonts=f"/F {font}", more=more
    )
    assert not trusted(path)


def test_stamp_on_a_scan_is_added_to_what_is_recognised(tmp_path: Path) -> None:
    path = text_over(tmp_path / "a.pdf", ("Registre foncier, page 1 de 1",), mode=0, top=20)
    page = load(path)
    assert page.image is not None
    assert page.image.size == (400, 400)  # the scan's own pixels, without the stamp
    assert page.text == "Registre foncier, page 1 de 1"


def test_long_footer_of_a_scan_is_still_a_stamp(tmp_path: Path) -> None:
    page = load(text_over(tmp_path / "a.pdf", PROSE, mode=0, top=40))
    assert page.image is not None
    assert page.text == "\n".join(PROSE)


def test_page_typed_over_a_background_picture_is_both(tmp_path: Path) -> None:
    page = load(text_over(tmp_path / "a.pdf", PROSE, mode=0, top=250))
    assert page.image is not None
    assert page.text == "\n".join(PROSE)


@pytest.mark.parametrize(
    "lines",
    [
        ("Lc vcndcur dcclarc quc 1c l0t 3 77O 2g2 du cad4strc", "t0utc hyp0th!quc ~~ii. ;l. |_"),
        ("Registre foncier",),
        PROSE,
    ],
    ids=["bad", "little", "of another place"],
)
def test_earlier_ocr_that_cannot_be_good_is_not_considered(tmp_path: Path, lines: tuple[str, ...]) -> None:
    page = load(text_over(tmp_path / "a.pdf", lines, mode=3, top=100))
    assert page.image is not None
    assert (page.earlier, page.text) == (None, "")


def test_mixed_document_is_taken_page_by_page(tmp_path: Path) -> None:
    mixed = pypdfium2.PdfDocument.new()
    mixed.import_pages(pypdfium2.PdfDocument(typed_pdf(tmp_path / "typed.pdf", *PROSE)))
    mixed.import_pages(pypdfium2.PdfDocument(scanned_pdf(tmp_path / "scan.pdf", "Vente du lot")))
    mixed.save(tmp_path / "mixed.pdf")
    typed, scanned = load(tmp_path / "mixed.pdf", 1), load(tmp_path / "mixed.pdf", 2)
    assert (typed.image, typed.text) == (None, "\n".join(PROSE))
    assert scanned.image is not None
    assert (scanned.image.size, scanned.text) == ((1000, 300), "")


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        (" ".join(PROSE), 0.95, 1.0),
        (
            "2024-05-17 1 358-176 75 000,00 $ 3 770 292 (Montréal) no 12 Hypothèque légale 1ère 12e R.-C. J.-P.",
            0.95,
            1.0,
        ),
        ("7KH TXLFN EURZQ IR[ MXPSV RYHU WKH OD]\\ GRJ", 0.0, 0.4),
        ("~~ii. ;l. |_ t0utc l0t cad4strc q#uc", 0.0, 0.4),
        ("", 0.0, 0.0),
    ],
)
def test_plausible_share_tells_words_from_noise(text: str, low: float, high: float) -> None:
    assert low <= plausible_share(text.split()) <= high


@pytest.mark.parametrize(
    ("written", "taken_for"),
    [
        ("mac_roman", "cp1252"),
        ("cp1252", "mac_roman"),
        ("utf-8", "cp1252"),
        ("utf-8", "latin-1"),
        ("cp850", "cp1252"),
        ("cp1252", "cp850"),
        ("cp1252", "cp1250"),
    ],
)
def test_accents_in_a_foreign_encoding_are_found(written: str, taken_for: str) -> None:
    text = "Le vendeur déclare que la propriété est située près de l'école à Québec où l'hypothèque a été radiée"
    assert not is_foreign(text.split())
    assert is_foreign(text.encode(written, "replace").decode(taken_for, "replace").split())


def test_page_with_accents_in_a_foreign_encoding_is_read_by_ocr(tmp_path: Path) -> None:
    wrong = (line.encode("mac_roman", "replace").decode("cp1252", "replace").replace("\ufffd", "?") for line in PROSE)
    assert not trusted(typed_pdf(tmp_path / "a.pdf", *(line.replace("(", "").replace(")", "") for line in wrong)))


def test_foreign_names_and_signs_are_no_wrong_encoding() -> None:
    names = "Le vendeur Žižek et Mme Dvořák vendent 120 m² à 5 °C (« lot » nº 3), l’œuvre de LÉVESQUE"
    assert not is_foreign((names + " et " + "le lot est vendu " * 10).split())


@pytest.mark.parametrize(
    ("line", "believed"),
    [
        ("Le prix est de 75 000,00 $ comptant", False),
        ("0 Le vendeur est tenu de payer", True),
        ("rien de chiffré", True),
    ],
    ids=["digits", "bullet", "none"],
)
def test_digits_in_private_codes_are_not_trusted(tmp_path: Path, line: str, believed: bool) -> None:
    font = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding/ToUnicode 6 0 R>>"
    cmap = f"<</Length {len(CMAP)}>>stream\n{CMAP}\nendstream"
    path = page_pdf(tmp_path / "a.pdf", f"BT /F 12 Tf 72 700 Td ({line}) Tj ET", fonts=f"/F {font}", more=[cmap])
    assert trusted(path) is believed


@pytest.mark.parametrize(("first", "text"), [("F730", "75 000,00 $"), ("F0B0", "•")], ids=["old style", "symbol"])
def test_private_codes_that_are_known_are_text(tmp_path: Path, first: str, text: str) -> None:
    font = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding/ToUnicode 6 0 R>>"
    cmap = CMAP.replace("E030", first)
    line = "Le prix est de 75 000,00 $ comptant" if first == "F730" else "Le prix : 7 comptant"
    path = page_pdf(
        tmp_path / "a.pdf",
        f"BT /F 12 Tf 72 700 Td ({line}) Tj ET",
        fonts=f"/F {font}",
        more=[f"<</Length {len(cmap)}>>stream\n{cmap}\nendstream"],
    )
    assert text in load(path).text


def test_hyphen_that_a_font_maps_to_a_soft_hyphen_is_text(tmp_path: Path) -> None:
    path = mapped_pdf(tmp_path / "a.pdf", "Le lot est vendu le 1952-03-14 au vendeur", "<2D> <2D> <00AD>")
    assert load(path).text.split("\n")[0] == "Le lot est vendu le 1952-03-14 au vendeur"


def test_digits_of_full_width_are_text(tmp_path: Path) -> None:
    path = mapped_pdf(tmp_path / "a.pdf", "Le lot 3 770 292 est vendu", "<30> <39> <FF10>")
    assert load(path).text.split("\n")[0] == "Le lot 3 770 292 est vendu"


def test_digits_that_a_font_maps_to_spaces_are_not_trusted(tmp_path: Path) -> None:
    spaces = f"<30> <39> [{'<0020> ' * 10}]"
    line = "Le vendeur vend avec garantie le lot numero 3 770 292 du cadastre"
    assert not trusted(mapped_pdf(tmp_path / "a.pdf", line, spaces))


def test_page_of_too_many_characters_is_rendered_with_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notaflow_pipeline.ocr.input.text_layer.characters.MAX_CHARACTERS", 10)
    page = load(text_over(tmp_path / "a.pdf", PROSE, mode=0, top=250))
    assert page.image is not None
    assert page.image.size == (1667, 1667)  # the drawn page, not the picture's own 400 pixels


def test_crop_box_off_the_page_shows_the_whole_page(tmp_path: Path) -> None:
    path = page_pdf(
        tmp_path / "a.pdf", "BT /F 12 Tf 72 700 Td (Le lot est vendu) Tj ET", page_extra="/CropBox[2000 2000 2600 2800]"
    )
    assert load(path).text == "Le lot est vendu"


def test_unit_of_length_decides_on_the_resolution(tmp_path: Path) -> None:
    small = "/MediaBox[0 0 61.2 79.2]/UserUnit 10"
    typed = page_pdf(tmp_path / "a.pdf", "BT /F 1.2 Tf 7 70 Td (Le lot est vendu) Tj ET", page_extra=small)
    assert load(typed).text == "Le lot est vendu"
    drawn = load(page_pdf(tmp_path / "b.pdf", "10 10 m 40 60 l S", page_extra=small)).image
    assert drawn is not None
    assert drawn.height == 3300
    assert drawn.info["dpi"] == pytest.approx((300, 300))


@pytest.mark.parametrize(
    ("matrix", "share"), [("1 0 0 1 0 0", 0.25), ("0.5 0 0 0.5 100 100", 0.0625), ("0 1 -1 0 612 0", 0.25)]
)
def test_cover_of_an_image_in_a_form_is_measured_on_the_page(tmp_path: Path, matrix: str, share: float) -> None:
    drawing = "306 0 0 396 0 0 cm /I Do"
    form = (
        f"<</Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</XObject<</I 7 0 R>>>>/Length {len(drawing)}>>"
        f"stream\n{drawing}\nendstream"
    )
    path = page_pdf(
        tmp_path / "a.pdf",
        f"q {matrix} cm /X Do Q",
        resources="/XObject<</X 6 0 R>>",
        more=[form, picture_object(page_image(size=(50, 50)))],
    )
    assert image_cover(pypdfium2.PdfDocument(path)[0]) == pytest.approx(share, abs=0.01)
