"""Tests of the reading order of a text layer: lines, columns and directions, for any order of the content stream."""

from pathlib import Path

import pytest

from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline_tests.ocr.samples import page_pdf

LABELS = ("Circonscription :", "Lot :", "Prix :")
VALUES = ("Lévis", "3 770 292", "75 000,00 $")
LEFT = (
    "Le vendeur déclare que le lot est libre",
    "de toute charge et que le prix en a été",
    "payé le jour de la vente par le notaire",
)
RIGHT = (
    "The seller declares that the lot is free",
    "of any charge and that its price was paid",
    "on the day of the sale by the notary",
)


def read(path: Path, content: str, **options: str) -> str:
    page = load_page(page_pdf(path, content, **options), DocumentFormat.PDF, 1)
    assert page.image is None
    assert page.regions == ()
    return page.text


def lines(texts: tuple[str, ...], left: float, top: float = 700, size: float = 10) -> str:
    return "".join(f"BT /F {size} Tf {left} {top - 14 * line} Td ({text}) Tj ET " for line, text in enumerate(texts))


def test_values_stand_beside_labels_that_were_drawn_before_them(tmp_path: Path) -> None:
    text = read(tmp_path / "a.pdf", lines(LABELS, 72) + lines(VALUES, 250))
    assert text.split("\n") == ["Circonscription :   Lévis", "Lot :   3 770 292", "Prix :   75 000,00 $"]


def test_columns_of_prose_are_read_one_after_the_other(tmp_path: Path) -> None:
    rows = "".join(
        lines((one,), 40, 700 - 14 * number) + lines((other,), 320, 700 - 14 * number)
        for number, (one, other) in enumerate(zip(LEFT, RIGHT, strict=True))
    )
    assert read(tmp_path / "a.pdf", rows) == "\n".join(LEFT) + "\n\n" + "\n".join(RIGHT)


def test_long_labels_and_values_of_a_form_are_no_columns_of_prose(tmp_path: Path) -> None:
    labels = ("Nom du vendeur de l’immeuble :", "Adresse de l’immeuble vendu :", "Prix de la vente de l’immeuble :")
    values = (
        "Gérard Fictif, menuisier à Lévis",
        "4578, chemin du Fleuve à Lévis",
        "75 000,00 $ comptant, dont quittance",
    )
    text = read(tmp_path / "a.pdf", lines(labels, 40) + lines(values, 320))
    assert text.split("\n") == [f"{label}   {value}" for label, value in zip(labels, values, strict=True)]


def test_columns_of_an_index_with_leaders_stay_apart(tmp_path: Path) -> None:
    left = ("Acquéreur . . . . . . . . 12", "Bornage . . . . . . . . . 14", "Cadastre . . . . . . . . 3")
    right = ("Notaire . . . . . . . . . 7", "Quittance . . . . . . . . 9", "Servitude . . . . . . . . 21")
    text = read(tmp_path / "a.pdf", lines(left, 40) + lines(right, 320))
    assert text == "\n".join(left) + "\n\n" + "\n".join(right)


def test_title_above_columns_and_line_below_keep_their_places(tmp_path: Path) -> None:
    title = lines(("Avis publié dans les deux langues officielles de la province, comme la loi le demande",), 40, 730)
    end = lines(("Fait à Lévis le 2024-05-21, en présence des témoins qui ont signé avec les parties",), 40, 640)
    text = read(tmp_path / "a.pdf", lines(RIGHT, 320) + end + lines(LEFT, 40) + title)
    places = [text.index(part) for part in ("Avis", LEFT[0], LEFT[-1], RIGHT[0], RIGHT[-1], "Fait")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("matrix", "page_extra"),
    [
        ("0 1 -1 0 {across} 72", ""),
        ("0 -1 1 0 {down} 700", ""),
        ("-1 0 0 -1 540 {across}", ""),
        ("0 1 -1 0 {across} 72", "/Rotate 90"),
    ],
    ids=["up the page", "down the page", "on its head", "turned for display"],
)
def test_table_in_any_direction_keeps_its_rows(tmp_path: Path, matrix: str, page_extra: str) -> None:
    rows = [(f"2024-05-0{row}", f"3 770 20{row}", "Vente", f"6{row} 000,00 $") for row in range(1, 6)]
    cells = ""
    for column in range(4):  # column by column, as many programs write tables
        for number, row in enumerate(rows):
            a, b, c, d, x, y = matrix.format(across=100 + 20 * number, down=400 - 20 * number).split()
            x, y = str(float(x) + 110 * column * float(a)), str(float(y) + 110 * column * float(b))
            cells += f"BT /F 10 Tf {a} {b} {c} {d} {x} {y} Tm ({row[column]}) Tj ET "
    text = read(tmp_path / "a.pdf", cells, page_extra=page_extra)
    assert [line for line in text.split("\n") if line] == ["   ".join(row) for row in rows]


def test_letters_with_accents_that_were_drawn_later_are_in_their_words(tmp_path: Path) -> None:
    content = (
        "BT /F 12 Tf 1 0 0 1 72 700 Tm (Le vendeur d) Tj 1 0 0 1 148.7 700 Tm (clare que Qu) Tj 1 0 0 1 224 700 Tm (bec) Tj"
        " 1 0 0 1 142 700 Tm (é) Tj 1 0 0 1 217.4 700 Tm (é) Tj ET"
    )
    assert read(tmp_path / "a.pdf", content) == "Le vendeur déclare que Québec"


def test_hyphen_at_the_end_of_a_line_stays(tmp_path: Path) -> None:
    parted = ("cet im-", "meuble est à ven-", "dre")
    assert read(tmp_path / "a.pdf", lines(parted, 72)) == "\n".join(parted)


@pytest.mark.parametrize(("right", "up"), [(0.3, 0.0), (0.2, 0.2), (0.8, -0.6)], ids=["bold", "bold aslant", "shadow"])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_print_that_was_drawn_twice_is_read_once(tmp_path: Path, right: float, up: float, parts: int) -> None:
    again = "".join(
        f"BT /F 10 Tf {72 + right} {700 + up - 14 * number} Td "
        + " ".join(
            f"({line[start * len(line) // parts : (start + 1) * len(line) // parts]}) Tj" for start in range(parts)
        )
        + " ET "
        for number, line in enumerate(LEFT)
    )
    assert read(tmp_path / "a.pdf", lines(LEFT, 72) + again) == "\n".join(LEFT)
