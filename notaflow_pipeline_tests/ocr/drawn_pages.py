"""Draws pages of the kinds on which text was lost before, with what stands on each of them.

Only Pillow's own font is used, so that every machine draws the same pages; it has no accents.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

PAPER, INK = 235, 45

Colour = int

SENTENCES = (
    "Le vendeur vend avec garantie legale a l'acquereur le lot numero {lot} du cadastre du Quebec.",
    "La vente est faite pour le prix de {amount} $ que le vendeur reconnait avoir recu comptant.",
    "L'acquereur prendra possession du lot le premier mai et paiera les taxes a compter de cette date.",
    "Le notaire a fait lecture de l'acte aux parties, qui ont signe en sa presence le {date}.",
    "Le present acte sera publie au bureau de la publicite des droits sous le numero {lot}.",
    "Les batisses dessus construites sont vendues avec les circonstances et dependances.",
)


@dataclass(frozen=True)
class DrawnPage:
    """A page image (grey), its resolution, and its text in reading order."""

    image: Image.Image
    dpi: int
    text: str


class Sheet:
    """A letter sheet that is drawn on in points from its upper left corner, and remembers what was written."""

    def __init__(self, dpi: int, seed: str, size: tuple[float, float] = (612, 792), paper: Colour = PAPER) -> None:
        self.dpi = dpi
        self.width, self.height = size
        self.image = Image.new("L", (self.pixels(size[0]), self.pixels(size[1])), paper)
        self.lines: list[str] = []
        self.random = random.Random(seed)  # the same page on every run
        self._draw = ImageDraw.Draw(self.image)

    def pixels(self, points: float) -> int:
        return round(points * self.dpi / 72)

    def font(self, points: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        return ImageFont.load_default(size=points * self.dpi / 72)

    def write(self, x: float, y: float, text: str, points: float = 11, ink: Colour = INK) -> None:
        """Write a line whose upper left corner is at (x, y)."""
        self._draw.text((self.pixels(x), self.pixels(y)), text, fill=ink, font=self.font(points))
        self.lines.append(text)

    def row(self, cells: list[tuple[float, str]], y: float, points: float, ink: Colour = INK) -> None:
        """Write the cells of one table row."""
        for x, text in cells:
            self._draw.text((self.pixels(x), self.pixels(y)), text, fill=ink, font=self.font(points))
        self.lines.append(" ".join(text for _, text in cells))

    def fill(self, left: float, top: float, right: float, bottom: float, shade: Colour = 20) -> None:
        """Fill a rectangle."""
        self._draw.rectangle([self.pixels(one) for one in (left, top, right, bottom)], fill=shade)

    def sentence(self) -> str:
        lot = f"{self.random.randint(1, 6)} {self.random.randint(100, 999)} {self.random.randint(100, 999)}"
        amount = f"{self.random.randint(20, 400)} {self.random.randint(100, 999)},00"
        date = f"{self.random.randint(1921, 1999)}-{self.random.randint(1, 12):02}-{self.random.randint(1, 28):02}"
        return self.random.choice(SENTENCES).format(lot=lot, amount=amount, date=date)

    def prose(
        self, left: float, top: float, right: float, bottom: float, points: float = 11, leading: float = 1.45
    ) -> None:
        """Fill a rectangle with lines of text."""
        words = self._words()
        word, y = next(words), top
        while y + points < bottom:
            line = word
            while self.font(points).getlength(f"{line} {(word := next(words))}") < self.pixels(right - left):
                line += f" {word}"
            self.write(left, y, line, points)
            y += points * leading

    def _words(self) -> Iterator[str]:
        while True:
            yield from self.sentence().split()

    def page(self, *, blur: float = 0.5) -> DrawnPage:
        """What was drawn, as soft as a scanner has it."""
        image = self.image.filter(ImageFilter.GaussianBlur(blur * self.dpi / 200)) if blur else self.image
        return DrawnPage(image, self.dpi, "\n".join(self.lines))


def index_rows(sheet: Sheet, count: int, top: float, points: float, pitch: float) -> None:
    """Rows of date, lot, kind, inscription number and amount."""
    kinds = ("Vente", "Hypotheque", "Quittance", "Servitude", "Donation", "Mainlevee")
    for number in range(count):
        pick = sheet.random.randint
        cells = [
            (60.0, f"{1921 + number}-{pick(1, 12):02}-{pick(1, 28):02}"),
            (160.0, f"{pick(1, 6)} {pick(100, 999)} {pick(100, 999)}"),
            (260.0, sheet.random.choice(kinds)),
            (360.0, f"{pick(10, 40)} {pick(100, 999)} {pick(100, 999)}"),
            (470.0, f"{pick(10, 900)} {pick(100, 999)},00 $"),
        ]
        sheet.row(cells, top + number * pitch, points)


def ruled_index(points: float, dpi: int, count: int, pitch: float) -> DrawnPage:
    sheet = Sheet(dpi, f"ruled {points} {dpi}")
    sheet.write(200, 40, "INDEX DES IMMEUBLES", 14)
    index_rows(sheet, count, 75, points, pitch)
    bottom = 73 + count * pitch
    for x in (55, 155, 255, 355, 465, 560):
        sheet.fill(x, 72, x + 0.7, bottom, 60)
    for row in range(count + 1):
        sheet.fill(55, 72.5 + row * pitch, 560, 73 + row * pitch, 60)
    return sheet.page()


def typed_index(points: float = 10, dpi: int = 200) -> DrawnPage:
    sheet = Sheet(dpi, "typed index")
    sheet.write(60, 40, "INDEX AUX IMMEUBLES", 14)
    index_rows(sheet, 40, 80, points, 16)
    return sheet.page()


def turned_index(degrees: int) -> DrawnPage:
    page = typed_index()
    return DrawnPage(page.image.rotate(degrees, expand=True), page.dpi, page.text)


def full_page(points: float, dpi: int) -> DrawnPage:
    sheet = Sheet(dpi, f"full {points} {dpi}")
    sheet.prose(36, 36, 580, 760, points, 1.15)
    return sheet.page()


def two_columns(points: float = 9, dpi: int = 200) -> DrawnPage:
    sheet = Sheet(dpi, "two columns")
    sheet.prose(50, 60, 296, 740, points, 1.25)
    sheet.prose(314, 60, 560, 740, points, 1.25)
    return sheet.page()


def photographs() -> DrawnPage:
    sheet = Sheet(200, "photographs")
    sheet.write(60, 50, "Rapport de l'arpenteur sur le lot 3 770 292", 14)
    for top in (90, 420):
        size = (sheet.pixels(480), sheet.pixels(230))
        shades = bytes(sheet.random.choices(range(20, 200), k=24 * 12))
        clouds = Image.frombytes("L", (24, 12), shades).resize(size, Image.Resampling.BICUBIC)
        picture = ImageChops.add(clouds, Image.linear_gradient("L").resize(size), scale=2)
        sheet.image.paste(picture, (sheet.pixels(66), sheet.pixels(top)))
        sheet.prose(66, top + 240, 546, top + 310, 11)
    return sheet.page()


def dithered_fax() -> DrawnPage:
    sheet = Sheet(150, "fax", paper=205)
    sheet.prose(72, 72, 540, 720, 12)
    return DrawnPage(sheet.image.convert("1").convert("L"), 150, "\n".join(sheet.lines))


def hatched_plan() -> DrawnPage:
    sheet = Sheet(200, "plan", (792, 612))
    sheet.write(60, 30, "Plan du lotissement, circonscription de Chambly", 14)
    draw = ImageDraw.Draw(sheet.image)
    for offset in range(0, 1100, 7):
        ends = [sheet.pixels(one) for one in (60 + offset, 70, 60 + offset - 400, 470)]
        draw.line(ends, fill=70, width=2)
    sheet.fill(0, 70, 59, 470, PAPER)
    sheet.fill(620, 70, 792, 470, PAPER)
    for number in range(6):
        x, y = 90 + number % 3 * 180, 150 + number // 3 * 160
        sheet.fill(x - 8, y - 6, x + 72, y + 20, PAPER)
        sheet.write(x, y, f"3 770 {290 + number}", 13)
    sheet.prose(60, 490, 560, 590, 11)
    return sheet.page()


def faint_ink() -> DrawnPage:
    sheet = Sheet(200, "faint")
    sheet.prose(72, 72, 540, 720, 12)
    image = sheet.image.point([min(235, 217 + max(0, value - 45) * 18 // 190) for value in range(256)])
    return DrawnPage(image, 200, "\n".join(sheet.lines))


def number_in_margin() -> DrawnPage:
    sheet = Sheet(200, "number")
    sheet.write(10, 380, "127", 12)
    return sheet.page()


def bar_under_heading() -> DrawnPage:
    sheet = Sheet(200, "bar")
    sheet.write(60, 30, "Circonscription fonciere de Chambly 28 123 456", 13)
    sheet.fill(0, 60, 612, 84)
    sheet.prose(60, 110, 550, 720, 12)
    return sheet.page()


def rule_under_letterhead() -> DrawnPage:
    sheet = Sheet(200, "letterhead")
    sheet.write(60, 24, "Tremblay et Gagnon, notaires", 14)
    sheet.write(60, 44, "1240 rue Saint-Jean, Quebec", 11)
    sheet.fill(20, 66, 592, 76)
    sheet.prose(60, 110, 550, 720, 12)
    return sheet.page()


def signatures_below_bar() -> DrawnPage:
    sheet = Sheet(200, "signatures")
    sheet.prose(60, 60, 550, 660, 12)
    sheet.fill(20, 690, 592, 706)
    sheet.write(60, 722, "Jean Tremblay, vendeur", 12)
    sheet.write(60, 746, "Marie Gagnon, acquereur", 12)
    return sheet.page()


def dates_left_of_rule() -> DrawnPage:
    sheet = Sheet(200, "dates")
    for number in range(36):
        pick = sheet.random.randint
        date = f"{1921 + number}-{pick(1, 12):02}-{pick(1, 28):02}"
        sheet.row([(24, date), (120, sheet.sentence()[:62])], 50 + number * 19, 11)
    sheet.fill(96, 10, 106, 782)
    return sheet.page()


def title_above_dark_row() -> DrawnPage:
    sheet = Sheet(200, "dark row")
    sheet.write(180, 26, "INDEX DES IMMEUBLES", 14)
    sheet.fill(20, 52, 592, 80, 30)
    heads = ["Date", "Lot", "Nature", "Inscription", "Montant"]
    sheet.row(list(zip((60.0, 160.0, 260.0, 360.0, 470.0), heads, strict=True)), 59, 11, 245)
    index_rows(sheet, 34, 100, 11, 19)
    return sheet.page()


def text_outside_frame() -> DrawnPage:
    sheet = Sheet(200, "frame")
    sheet.write(70, 26, "Minute 4521 du repertoire", 12)
    for box in ((40, 60, 572, 70), (40, 722, 572, 732), (40, 60, 50, 732), (562, 60, 572, 732)):
        sheet.fill(*box)
    sheet.prose(70, 90, 540, 700, 12)
    sheet.write(70, 750, "Feuillet 12 de 30", 12)
    return sheet.page()


def heading_beyond_fold() -> DrawnPage:
    sheet = Sheet(200, "fold")
    sheet.write(60, 40, "Minute 1873, vente a Jean Tremblay", 13)
    for step in range(24):
        sheet.fill(0, 84 + step, 612, 85 + step, 30 + abs(step - 12) * 14)
    sheet.prose(60, 130, 550, 740, 12)
    return sheet.page()


def dark_border() -> DrawnPage:
    sheet = Sheet(200, "border")
    sheet.prose(80, 80, 540, 720, 12)
    for box in ((0, 0, 612, 36), (0, 762, 612, 792), (0, 0, 30, 792), (590, 0, 612, 792)):
        sheet.fill(*box, 12)
    return sheet.page()


Draw = Callable[[], DrawnPage]

PAGES: dict[str, Draw] = {
    "ruled index of 60 rows": lambda: ruled_index(8, 200, 60, 11.4),
    "ruled index in 6.5 points": lambda: ruled_index(6.5, 300, 50, 13),
    "ruled index in 12 points": lambda: ruled_index(12, 150, 30, 22),
    "typed index": typed_index,
    "typed index turned 90": lambda: turned_index(90),
    "typed index turned 180": lambda: turned_index(180),
    "typed index turned 270": lambda: turned_index(270),
    "page full of 8 points": lambda: full_page(8, 200),
    "page full of 12 points": lambda: full_page(12, 150),
    "two columns of 9 points": two_columns,
    "large photographs": photographs,
    "dithered fax": dithered_fax,
    "hatched plan": hatched_plan,
    "faint ink": faint_ink,
    "number in the margin": number_in_margin,
    "heading above a black bar": bar_under_heading,
    "letterhead above a rule": rule_under_letterhead,
    "signatures below a bar": signatures_below_bar,
    "dates left of a thick rule": dates_left_of_rule,
    "title above a dark header row": title_above_dark_row,
    "text outside a frame": text_outside_frame,
    "heading beyond a dark fold": heading_beyond_fold,
    "dark border": dark_border,
}
"""By the kind of page."""
