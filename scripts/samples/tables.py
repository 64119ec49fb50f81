"""Pages of tables: indexes, ledgers and registers in several styles."""

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.samples.marks import LEGAL, LETTER, Mark, Rule, Size, Text, centred, fitted, shifted

Columns = tuple[tuple[str, float], ...]
INDEX_COLUMNS: Columns = (
    ("Numéro\nd'inscription", 0.12),
    ("Date de\nprésentation", 0.115),
    ("Nature de l'acte", 0.205),
    ("Qualité", 0.12),
    ("Nom des parties", 0.245),
    ("Prix", 0.115),
    ("Radiation", 0.08),
)
ENGLISH_COLUMNS: Columns = (
    ("Registration\nnumber", 0.12),
    ("Date of\npresentation", 0.115),
    ("Nature of deed", 0.205),
    ("Quality", 0.12),
    ("Names of parties", 0.245),
    ("Price", 0.115),
    ("Cancelled", 0.08),
)
NAME_COLUMNS: Columns = (("Noms", 0.36), ("Nature de l'acte", 0.28), ("Date", 0.16), ("Numéro", 0.2))


@dataclass(frozen=True)
class Table:
    """How a page of a table is set: printed, typed or written by hand."""

    page: Size = LETTER
    columns: Columns = INDEX_COLUMNS
    heading: str = "sans-bold"
    label: str = "sans"
    hand: str = "sans"
    hand_size: float = 8.2
    row_height: float = 15.0
    ruled: bool = False
    ink: int = 0
    margin: float = 26.0
    title: str = "INDEX DES IMMEUBLES"
    over_title: str = "REGISTRE FONCIER DU QUÉBEC"
    page_word: str = "Page"


PRINTED = Table()
DENSE = Table(page=LEGAL, hand_size=8.0, row_height=13.2)
TYPED_TABLE = Table(page=LEGAL, heading="serif-bold", label="serif", hand="typed", hand_size=8.4, row_height=16.4)
LEDGER = Table(
    heading="didot-bold",
    label="didot",
    hand="script",
    hand_size=12.0,
    row_height=23,
    ruled=True,
    ink=40,
    over_title="BUREAU D'ENREGISTREMENT",
)
REGISTER = Table(
    heading="didot-bold",
    label="didot",
    hand="didot",
    hand_size=8.6,
    row_height=17,
    ruled=True,
    over_title="BUREAU D'ENREGISTREMENT",
)
ENGLISH_FORM = Table(
    columns=ENGLISH_COLUMNS,
    heading="serif-bold",
    label="serif",
    hand="serif",
    hand_size=8.8,
    title="INDEX OF IMMOVABLES",
    over_title="LAND REGISTER OF QUEBEC",
)


def fields_of(district: str, cadastre: str, lot: str) -> list[str]:
    """Return the lines above the table of a French index."""
    return [f"Circonscription foncière : {district}", f"Cadastre : {cadastre}", f"Lot : {lot}"]


def table_page(style: Table, fields: Sequence[str], rows: Sequence[tuple[str, ...]], foot: str) -> list[Mark]:
    """Set one page: titles, fields, column headings, rows and the rules between them."""
    width, height = style.page
    left, right = style.margin, width - style.margin
    marks: list[Mark] = [
        centred(style.page, 40, 9.5, style.label, style.over_title),
        centred(style.page, 62, 16, style.heading, style.title),
    ]
    marks += [Text(left, 86 + 15 * line, 11, style.label, words) for line, words in enumerate(fields)]
    top = 86 + 15 * len(fields)
    body = top + 30
    bottom = body + style.row_height * len(rows) + 5
    x = left
    for index, (label, share) in enumerate(style.columns):
        room = (right - left) * share
        for line, words in enumerate(label.split("\n")):
            marks.append(fitted(x + 3, top + 12 + 10 * line, room - 6, 8.2, style.heading, words))
        for line, row in enumerate(rows):
            if row[index]:
                baseline = body + style.row_height * (line + 0.75)
                marks.append(fitted(x + 3, baseline, room - 6, style.hand_size, style.hand, row[index], style.ink))
        marks.append(Rule(x, top, x, bottom))
        x += room
    marks += [Rule(left, y, right, y, 0.9) for y in (top, body, bottom)]
    marks.append(Rule(right, top, right, bottom))
    if style.ruled:
        lines = (body + style.row_height * line for line in range(1, len(rows)))
        marks += [Rule(left, y, right, y, 0.4, 110) for y in lines]
    marks.append(Text(left, height - 24, 8, style.label, foot))
    return marks


def table_pages(
    style: Table, fields: Sequence[str], rows: Sequence[tuple[str, ...]], lines_a_page: int
) -> list[list[Mark]]:
    """Set a table over as many pages as its rows need."""
    chunks = [rows[start : start + lines_a_page] for start in range(0, len(rows), lines_a_page)]
    return [
        table_page(style, fields, chunk, f"{style.page_word} {number} de {len(chunks)}")
        for number, chunk in enumerate(chunks, 1)
    ]


def double_page(fields: Sequence[str], rows: Sequence[tuple[str, ...]]) -> list[Mark]:
    """Set two pages of a register side by side, as an open book lies on the glass."""
    left, right = (table_page(REGISTER, fields, half, "") for half in (rows[:30], rows[30:]))
    return [*left, *shifted(right, LETTER[0])]
