"""Draws index pages with invented entries, so that every cell is known, clean or as in scans."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby, product
from pathlib import Path

import numpy as np
from PIL import Image

from scripts.samples.files import one_bit
from scripts.samples.marks import FONTS, LETTER, TABLOID, Mark, Rule, Size, Text
from scripts.samples.registry import entries
from scripts.samples.scanning import SEED, Defect, faded, grained, gutter, on_paper, salt_and_pepper, skewed
from scripts.samples.tables import DENSE, PRINTED, TYPED_TABLE, Table, double_page, fields_of, table_page

HEAD_AND_FOOT_POINTS = 205
NUMBER = re.compile(r"\d{1,3}( \d{3})*|\d{4}-\d\d-\d\d|\d{1,3}( \d{3})*,\d\d \$")
"""An inscription number, a date, an amount."""

FACES = ("sans", "serif", "typed")
POINTS = (6.5, 8, 10, 12)
DPI = (150, 200, 300)
TURNS = (0, 90, 180, 270)

Rows = list[tuple[str, ...]]
Draw = Callable[[str], "IndexPage"]


@dataclass(frozen=True)
class IndexPage:
    """A scanned page, its lines of text, and the rows of its table."""

    name: str
    image: Image.Image
    dpi: int
    lines: list[str]
    rows: list[str]
    cells: Counter[str]


FOOT = "Page 1 de 1"


def _index(
    style: Table, lines: int, dpi: int, *defects: Defect, bits: int = 1, since: date = date(2001, 11, 12)
) -> Draw:
    """Returns the drawing of one page of an index: as many lines as fit, the same in every run."""

    def draw(name: str) -> IndexPage:
        rng = np.random.default_rng([SEED, *name.encode()])
        first = 10_118_204 if since.year > 1975 else 14_208
        rows = entries(rng, min(lines, _row_capacity(style)), since, first)
        fields = fields_of("Montréal", "Cadastre du Québec", "3 770 292")
        marks = table_page(style, fields, rows, FOOT)
        return _scanned(name, [marks], style.page, rows, dpi, rng, defects, bits)

    return draw


def _open_book(dpi: int, *defects: Defect) -> Draw:
    def draw(name: str) -> IndexPage:
        rng = np.random.default_rng([SEED, *name.encode()])
        rows = entries(rng, 60, date(1921, 5, 3), 14_208)
        both = double_page(fields_of("Kamouraska", "Paroisse de Saint-André", "212"), rows)
        fold = LETTER[0]
        halves = [[m for m in both if _start(m) < fold], [m for m in both if _start(m) >= fold]]
        return _scanned(name, halves, TABLOID, rows, dpi, rng, defects, 8)

    return draw


def _start(mark: Mark) -> float:
    return mark.x0 if isinstance(mark, Rule) else mark.x


def _scanned(
    name: str,
    halves: Sequence[Sequence[Mark]],
    size: Size,
    rows: Rows,
    dpi: int,
    rng: np.random.Generator,
    defects: Sequence[Defect],
    bits: int,
) -> IndexPage:
    image = on_paper([mark for half in halves for mark in half], size, dpi, rng)
    for defect in defects:
        image = defect(image, rng)
    image = one_bit(image).convert("L") if bits == 1 else image
    said = [" ".join(cell for cell in row if cell) for row in rows]
    cells = Counter(cell for row in rows for cell in row if NUMBER.fullmatch(cell))
    return IndexPage(name, image, dpi, [line for half in halves for line in _lines(half)], said, cells)


def _lines(marks: Sequence[Mark]) -> list[str]:
    """Returns the text of a page, from the top and from the left."""
    texts = sorted((m for m in marks if isinstance(m, Text)), key=lambda m: (round(m.baseline, 1), m.x))
    return [" ".join(m.text for m in line) for _, line in groupby(texts, lambda m: round(m.baseline, 1))]


def _printed(points: float, page: Size = LETTER, face: str = "sans") -> Table:
    return replace(PRINTED, page=page, hand=face, hand_size=points, row_height=points * 1.75)


def scanned_pages() -> dict[str, Draw]:
    """Returns pages with the defects of scans; all but a few are one bit deep."""
    soft = grained()
    eight = _printed(8)
    return {
        **{f"{points} pt": _index(_printed(points), 40, 300, soft) for points in (6.5, 7, 8, 9, 10)},
        "6.5 pt serif": _index(_printed(6.5, face="serif"), 40, 300, soft),
        "6.5 pt, 200 dpi": _index(_printed(6.5), 40, 200, soft),
        "8 pt, 200 dpi": _index(eight, 40, 200, soft),
        "8 pt, 60 lines, 200 dpi": _index(DENSE, 60, 200, grained(20, 0.6)),
        "8 pt, pepper, 200 dpi": _index(eight, 40, 200, salt_and_pepper(0.02)),
        "7 pt, noisy grey": _index(_printed(7), 40, 300, grained(70, 0.9), bits=8),
        "7 pt, faint grey": _index(_printed(7), 40, 300, soft, faded(165, 225), bits=8),
        "7 pt, skewed 2": _index(_printed(7), 40, 300, skewed(2), soft),
        "typed 8.4 pt": _index(TYPED_TABLE, 50, 300, grained(34, 0.9), since=date(1961, 2, 7)),
        "double page, 200 dpi": _open_book(200, gutter, grained(3), faded(20, 232)),
        "double page, 300 dpi": _open_book(300, gutter, grained(3), faded(20, 232)),
    }


def clean_pages(*, every: bool) -> dict[str, Draw]:
    """Clean grey pages in each size of print, at each resolution, ruled and not, by kind.

    With `every` they lie all four ways (96 pages); else each lies in one of these ways (24 pages), all four as often. What is
    wider than its column is set smaller, as on all of these pages: most of the dates and amounts in 12 points.
    """
    pages: dict[str, Draw] = {}
    for (i, points), (j, dpi), ruled in product(enumerate(POINTS), enumerate(DPI), (True, False)):
        face = FACES[(i + j) % len(FACES)]
        for turn in TURNS if every else (TURNS[(i + 2 * j + 3 * ruled) % 4],):
            kind = f"{points} pt {face}, {dpi} dpi, {'ruled' if ruled else 'unruled'}, {turn}°"
            pages[kind] = _clean(points, face, dpi, turn, ruled=ruled)
    return pages


def _clean(points: float, face: str, dpi: int, turn: int, *, ruled: bool) -> Draw:
    style = replace(_printed(points, face=face), ruled=ruled)

    def draw(name: str) -> IndexPage:
        # the same entries in every orientation of the page
        rng = np.random.default_rng([SEED, *name.rpartition(",")[0].encode()])
        rows = entries(rng, min(40, _row_capacity(style)), date(2001, 11, 12), 10_118_204)
        marks = table_page(style, fields_of("Montréal", "Cadastre du Québec", "3 770 292"), rows, FOOT)
        marks = [mark for mark in marks if ruled or not isinstance(mark, Rule)]
        page = _scanned(name, [marks], style.page, rows, dpi, rng, (grained(3, 0.5),), 8)
        return replace(page, image=page.image.rotate(turn, expand=True))

    return draw


def _row_capacity(style: Table) -> int:
    """Returns how many rows fit on a page."""
    return int((style.page[1] - HEAD_AND_FOOT_POINTS) / style.row_height)


def missing_fonts() -> Iterator[str]:
    """Returns the Debian packages of the pages' fonts that are not installed."""
    used = {"sans", "sans-bold", "serif", "serif-bold", "typed", "didot", "didot-bold"}
    yield from sorted({package for name, (path, package) in FONTS.items() if name in used and not Path(path).exists()})
