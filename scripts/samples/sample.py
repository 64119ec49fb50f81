"""The description of a sample document, and the functions that draw the kinds of documents."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from PIL import Image

from scripts.samples.deeds import typed_lines, typed_pages
from scripts.samples.files import Page, Scan, Typeset, pdf
from scripts.samples.marks import LETTER, TABLOID, Mark, Size
from scripts.samples.registry import LENDERS, MEN, WOMEN, entries, in_english, person
from scripts.samples.scanning import Defect, faded, grained, gutter, on_paper, skewed
from scripts.samples.tables import (
    ENGLISH_FORM,
    NAME_COLUMNS,
    PRINTED,
    TYPED_TABLE,
    Table,
    double_page,
    fields_of,
    table_page,
    table_pages,
)

FIRST_EPOCH_MS = 1_760_112_000_000  # 2025-10-10, the day on which the project's partitions begin


QUEBEC = "Cadastre du Québec"
STAMP = ("INSCRIT", "2004-06-21 à 09:42", "No 11 435 208")


@dataclass(frozen=True)
class Sample:
    """One document: where it belongs, how it is drawn, and words that recognition must find in it."""

    number: str
    district: str
    cadastre: str
    description: str
    draw: Callable[["Sample", np.random.Generator], list[Page]]
    must_contain: Sequence[str] = ()
    bind: Callable[[Sequence[Page]], bytes] = pdf
    suffix: str = "pdf"
    source: str = "index"
    acte_type: str | None = None
    expect: str = "done"
    found_when_turned: Sequence[str] = field(default=())

    @property
    def fields(self) -> list[str]:
        """The lines above an index of this lot."""
        return fields_of(self.district, self.cadastre, self.number)

    def file_name(self, position: int) -> str:
        """Name the file as the extraction stage does."""
        stem = "-".join((self.number, self.district, self.cadastre, str(FIRST_EPOCH_MS + position * 86_461_357)))
        return f"{re.sub('[^A-Za-z0-9_-]', '_', stem)}.{self.suffix}"


Draw = Callable[["Sample", np.random.Generator], list[Page]]


def scans(
    sheets: Iterable[Sequence[Mark]],
    page: Size,
    dpi: int,
    rng: np.random.Generator,
    *defects: Defect,
    jpeg_quality: int | None = None,
) -> list[Page]:
    """Draw sheets, each with all defects in turn."""
    pages: list[Page] = []
    for marks in sheets:
        image = on_paper(marks, page, dpi, rng)
        for defect in defects:
            image = defect(image, rng)
        pages.append(Scan(image, dpi, jpeg_quality))
    return pages


def index_of(
    lines: int,
    *defects: Defect,
    style: Table = PRINTED,
    lines_a_page: int = 38,
    dpi: int = 300,
    since: date = date(2001, 11, 12),
    from_number: int = 10_118_204,
    jpeg_quality: int | None = None,
) -> Draw:
    """Return what draws an index of immovables of `lines` lines."""

    def draw(sample: Sample, rng: np.random.Generator) -> list[Page]:
        rows = entries(rng, lines, since, from_number)
        sheets = table_pages(style, sample.fields, rows, lines_a_page)
        return scans(sheets, style.page, dpi, rng, *(defects or (grained(),)), jpeg_quality=jpeg_quality)

    return draw


def deed(
    template: str,
    *defects: Defect,
    hand: str = "typed",
    ink: int = 25,
    stamp: tuple[str, ...] = STAMP,
    dpi: int = 200,
    jpeg_quality: int | None = None,
    price: str = "75 000,00 $",
    columns: int = 62,
    page: Size = LETTER,
) -> Draw:
    """Return what draws a typewritten deed."""

    def draw(sample: Sample, rng: np.random.Generator) -> list[Page]:
        names = [" ".join(reversed(person(rng, first).split(", "))) for first in (MEN, MEN, WOMEN)]
        words = dict(zip(("notary", "seller", "buyer"), names, strict=True))
        words |= {"lender": str(rng.choice(LENDERS)), "price": price, "town": "Val-Brumeux"}
        words |= {"lot": sample.number, "district": sample.district, "cadastre": sample.cadastre}
        words["of_district"] = ("d'" if sample.district[0] in "AEIOUÉ" else "de ") + sample.district
        lines = typed_lines(template, words, columns)
        if hand == "typed-old":  # the font has no guillemets
            lines = [line.replace("« ", '"').replace(" »", '"') for line in lines]
        sheets = typed_pages(lines, hand=hand, ink=ink, stamp=stamp, page=page)
        return scans(sheets, page, dpi, rng, *(defects or (grained(),)), jpeg_quality=jpeg_quality)

    return draw


def turned_by_the_file(draw: Draw) -> Draw:
    """Store the pages turned by 90 degrees, with a rotation tag that turns them upright."""
    return lambda sample, rng: [
        Scan(page.image.transpose(Image.Transpose.ROTATE_90), page.dpi, page.jpeg_quality, rotate=90)
        for page in draw(sample, rng)
        if isinstance(page, Scan)
    ]


def turned_in_pixels(draw: Draw) -> Draw:
    """Store the pages turned by 90 degrees, without a rotation tag."""
    return lambda sample, rng: [
        Scan(page.image.transpose(Image.Transpose.ROTATE_90), page.dpi, page.jpeg_quality)
        for page in draw(sample, rng)
        if isinstance(page, Scan)
    ]


def draw_double_page(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """Draw an open register, photographed in one picture."""
    rows = entries(rng, 60, date(1921, 5, 3), 14_208)
    sheet = double_page(sample.fields, rows)
    return scans([sheet], TABLOID, 200, rng, gutter, grained(3), faded(20, 232), jpeg_quality=16)


def draw_names(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """Draw a page of the index of names in an old typeface."""
    style = Table(
        columns=NAME_COLUMNS,
        heading="didot-bold",
        label="didot",
        hand="didot",
        hand_size=10,
        row_height=19,
        ruled=True,
        title="INDEX AUX NOMS",
        over_title="DIVISION D'ENREGISTREMENT",
    )
    rows = [(row[4], row[2] or "Idem", row[1], row[0]) for row in entries(rng, 31, date(1948, 1, 12), 40_117)]
    fields = [f"Circonscription foncière : {sample.district}", "Lettre : M"]
    return scans(table_pages(style, fields, rows, 31), LETTER, 300, rng, skewed(-0.7), grained(34, 0.9))


def draw_english(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """Draw an index on the English form."""
    rows = in_english(entries(rng, 34, date(2002, 8, 4), 10_244_310))
    fields = [
        f"Registration division: {sample.district}",
        f"Cadastre: {sample.cadastre}",
        f"Lot number: {sample.number}",
    ]
    return scans(table_pages(ENGLISH_FORM, fields, rows, 34), LETTER, 300, rng, grained())


def draw_text_layer(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """Draw two pages with a text layer and no image."""
    rows = entries(rng, 70, date(2006, 2, 14), 13_020_118)
    return [Typeset(marks, LETTER) for marks in table_pages(PRINTED, sample.fields, rows, 38)]


def draw_mixed(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """Draw a page with a text layer, then the scan of an older one."""
    modern = entries(rng, 30, date(2009, 6, 22), 16_201_944)
    older = index_of(26, style=TYPED_TABLE, lines_a_page=42, dpi=200, since=date(1962, 4, 2), from_number=81_336)
    return [Typeset(table_page(PRINTED, sample.fields, modern, "Page 1 de 2"), LETTER), *older(sample, rng)]


def draw_blank(sample: Sample, rng: np.random.Generator) -> list[Page]:  # noqa: ARG001
    """Draw an empty page."""
    return scans([[]], LETTER, 200, rng, faded(0, 236), jpeg_quality=30)


def draw_blank_between(sample: Sample, rng: np.random.Generator) -> list[Page]:
    """Draw two pages of an index with an empty page between them."""
    first, second = index_of(50, lines_a_page=38, dpi=200)(sample, rng)
    (blank,) = scans([[]], LETTER, 200, rng)
    return [first, blank, second]


def draw_nothing(sample: Sample, rng: np.random.Generator) -> list[Page]:  # noqa: ARG001
    """Draw no page, for files that are no documents."""
    return []
