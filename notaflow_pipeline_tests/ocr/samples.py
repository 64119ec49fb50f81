"""Draws small documents for tests."""

import zlib
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

HELVETICA = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"

SENTENCE = "Vente du lot 3 770 292"


def page_image(text: str = SENTENCE, size: tuple[int, int] = (1000, 300), mode: str = "L") -> Image.Image:
    """Black text on white; "" leaves the page blank."""
    image = Image.new(mode, size, "white")
    ImageDraw.Draw(image).multiline_text((60, 60), text, fill="black", font=ImageFont.load_default(size=56), spacing=24)
    return image


def png(path: Path, text: str = SENTENCE, size: tuple[int, int] = (1000, 300)) -> Path:
    page_image(text, size).save(path, format="PNG")
    return path


def tiff(path: Path, *pages: Image.Image) -> Path:
    pages[0].save(path, format="TIFF", save_all=True, append_images=pages[1:])
    return path


def cut_tiff(path: Path, *pages: Image.Image) -> Path:
    """A TIFF that ends within the second page's directory, so that this page is known of and cannot be read."""
    content = tiff(path, *pages).read_bytes()
    first = int.from_bytes(content[4:8], "little")
    after_entries = first + 2 + 12 * int.from_bytes(content[first : first + 2], "little")
    second = int.from_bytes(content[after_entries : after_entries + 4], "little")
    path.write_bytes(content[: second + 20])
    return path


def scanned_pdf(path: Path, *texts: str) -> Path:
    """A PDF whose pages are pictures of text, 1000 x 300 pixels at 150 dpi (480 x 144 points) each."""
    first, *others = [page_image(text) for text in texts]
    first.save(path, format="PDF", save_all=True, append_images=others, resolution=150)
    return path


def plain_pdf(
    path: Path, pages: int = 1, box: tuple[float, float] = (612, 792), page_extra: str = "", content: str = ""
) -> Path:
    """A PDF written by hand: `pages` pages of `box` points with the same content stream."""
    kids = " ".join(f"{number + 4} 0 R" for number in range(pages))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {pages}>>",
        f"<</Length {len(content)}>>stream\n{content}\nendstream",
        *[f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {box[0]} {box[1]}]/Contents 3 0 R{page_extra}>>"] * pages,
    ]
    return written_pdf(path, objects)


def typed_pdf(path: Path, *lines: str) -> Path:
    """A PDF with one letter page of typed lines, accents and all; Pillow's own font has none."""
    font = "/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>>>>>"
    typed = " ".join(f"({line}) Tj T*" for line in lines)
    return plain_pdf(path, page_extra=font, content=f"BT /F 14 Tf 24 TL 72 700 Td {typed} ET")


def page_pdf(
    path: Path,
    content: str,
    *,
    fonts: str = f"/F {HELVETICA}",
    page_extra: str = "",
    resources: str = "",
    catalogue: str = "",
    more: Sequence[str] = (),
) -> Path:
    """A PDF of one letter page; its own objects are 1 to 5, `more` begin with 6."""
    objects = [
        f"<</Type/Catalog/Pages 2 0 R{catalogue}>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources 5 0 R{page_extra}>>",
        f"<</Length {len(content)}>>stream\n{content}\nendstream",
        f"<</Font<<{fonts}>>{resources}>>",
        *more,
    ]
    return written_pdf(path, objects)


def locked_pdf(path: Path) -> Path:
    """A PDF whose encryption dictionary fits no password that anybody would try, the empty one least of all."""
    secret = "00" * 32
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]>>",
        f"<</Filter/Standard/V 1/R 2/P -4/O<{secret}>/U<{secret}>>>",
    ]
    return written_pdf(path, objects, "/Encrypt 4 0 R/ID[<00><00>]")


def written_pdf(path: Path, objects: list[str], trailer_extra: str = "") -> Path:
    """A PDF of these objects, numbered from 1, the first of which is the catalogue."""
    body, offsets = b"%PDF-1.4\n", []
    for number, value in enumerate(objects, start=1):
        offsets.append(len(body))
        body += f"{number} 0 obj{value} endobj\n".encode("cp1252")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        f"trailer<</Size {len(objects) + 1}/Root 1 0 R{trailer_extra}>>\nstartxref\n{len(body)}\n%%EOF"
    )
    path.write_bytes(body + end.encode())
    return path


ACT = """L'an mil neuf cent cinquante-deux, le quatorze mars,
devant le notaire soussigne pour la province de Quebec,
a comparu le vendeur, qui vend avec garantie a l'acquereur
le lot numero 3 770 292 du cadastre de Quebec, avec les
batisses dessus construites, circonstances et dependances,
sans exception ni reserve de la part du vendeur.

La vente est faite pour le prix de 75 000,00 $ que le
vendeur reconnait avoir recu, dont quittance finale.
L'acquereur prendra possession du lot le premier mai
et paiera a compter de cette date toutes les taxes."""
"""Without accents: the font that Pillow brings has none, and draws boxes."""


def act_page(dpi: int = 150) -> Image.Image:
    """A typed page, 8.27 by 8 inches, grey ink on grey paper."""
    image = Image.new("L", (round(8.27 * dpi), 8 * dpi), 225)
    font = ImageFont.load_default(size=round(0.15 * dpi))
    ImageDraw.Draw(image).multiline_text((dpi, dpi), ACT, fill=60, font=font, spacing=round(0.1 * dpi))
    return image


INDEX = [
    (f"{10 + n} {118 + 13 * n} 2{n + 10}", f"{2001 + n}-{n % 12 + 1:02}-{28 - n:02}", deed, f"{75 + 31 * n} 500,00 $")
    for n, deed in enumerate(["Vente", "Quittance", "Servitude", "Donation"] * 5)
]


def index_page(points: float, dpi: int = 300) -> Image.Image:
    """A letter page with an index of four columns between rules, in print of so many points."""
    pixels = dpi / 72
    image = Image.new("L", (round(612 * pixels), round(792 * pixels)), 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=points * pixels)
    draw.text((230 * pixels, 50 * pixels), "INDEX DES IMMEUBLES", fill=0, font_size=13 * pixels)
    for line, row in enumerate(INDEX):
        for left, said in zip((60, 170, 270, 400), row, strict=True):
            draw.text((left * pixels, (100 + 2 * points * line) * pixels), said, fill=0, font=font)
    for x in (55, 165, 265, 395, 480):
        draw.line((x * pixels, 95 * pixels, x * pixels, (100 + 2 * points * len(INDEX)) * pixels), fill=0, width=3)
    return image.filter(ImageFilter.GaussianBlur(1))


def endless_pdf(path: Path, levels: int = 12) -> Path:
    """A PDF of one page whose drawing calls itself ten times on each level: a thousand thousand million squares."""
    forms = []
    for level in range(levels):
        calls = "/X Do " * 10 if level < levels - 1 else "0 0 9 9 re f"
        following = f"/Resources<</XObject<</X {level + 5} 0 R>>>>" if level < levels - 1 else ""
        head = f"<</Type/XObject/Subtype/Form/BBox[0 0 612 792]{following}/Length {len(calls)}>>"
        forms.append(f"{head}stream\n{calls}\nendstream")
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</XObject<</X 4 0 R>>>>>>",
        *forms,
    ]
    return written_pdf(path, objects)


def picture_pdf(
    path: Path,
    image: Image.Image,
    dictionary: str,
    matrix: str,
    *,
    box: tuple[float, float] = (200, 200),
    page_extra: str = "",
    content: str = "",
    mask: Image.Image | None = None,
) -> Path:
    """A PDF whose page shows one picture, uncompressed; `dictionary` says what its bytes mean, `mask` is object 6."""
    drawing = f"q {matrix} cm /I Do Q {content}"
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        (
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {box[0]} {box[1]}]/Contents 4 0 R{page_extra}"
            f"/Resources<</XObject<</I 5 0 R>>/Font<</F{HELVETICA}>>>>>>"
        ),
        f"<</Length {len(drawing)}>>stream\n{drawing}\nendstream",
        _picture(image, dictionary),
        _picture(mask, "/ColorSpace/DeviceGray/BitsPerComponent 8") if mask else "null",
    ]
    return written_pdf(path, objects)


def _picture(image: Image.Image, dictionary: str) -> str:
    content = image.tobytes().hex() + ">"
    return (
        f"<</Type/XObject/Subtype/Image/Width {image.width}/Height {image.height}{dictionary}"
        f"/Filter/ASCIIHexDecode/Length {len(content)}>>stream\n{content}\nendstream"
    )


def picture_object(image: Image.Image, extra: str = "") -> str:
    """A grey image as an object of a PDF."""
    content = zlib.compress(image.tobytes()).hex() + ">"
    return (
        f"<</Type/XObject/Subtype/Image/Width {image.width}/Height {image.height}/ColorSpace/DeviceGray{extra}"
        f"/BitsPerComponent 8/Filter[/ASCIIHexDecode/FlateDecode]/Length {len(content)}>>stream\n{content}\nendstream"
    )


ACT_ON_LETTER = "q 612 0 0 592 0 200 cm /I Do Q "
"""Draws `act_page` as the image `I` over the width of a letter page, from its upper edge down."""

ACT_LINES = tuple(line for line in ACT.split("\n") if line)


HELVETICA_WIDTHS = {
    **dict.fromkeys("csvxzky", 0.5),
    **dict.fromkeys(" tf.,", 0.278),
    **dict.fromkeys("ilj", 0.222),
    **dict.fromkeys("r-", 0.333),
    "'": 0.191,
    "m": 0.833,
    "Q": 0.778,
}
"""Of the font's height; all other letters and digits of the act have 0.556."""


def layer_of_act(lines: Sequence[str] = ACT_LINES, mode: int = 3) -> str:
    """Words in a rendering mode at the places where `ACT_ON_LETTER` has its lines."""
    inch, font = 612 / 8.27, ImageFont.load_default(size=0.15 * 612 / 8.27)
    parts, bottom = [], 792 - inch
    for line in ACT.split("\n"):
        bottom -= 0.247 * inch
        if line:
            text = lines[ACT_LINES.index(line)]
            stretch = 100 * font.getlength(line) / (11 * sum(HELVETICA_WIDTHS.get(letter, 0.556) for letter in line))
            parts.append(f"{stretch:.0f} Tz 1 0 0 1 {inch:.1f} {bottom + 0.09 * inch:.1f} Tm ({text}) Tj")
    return f"BT {mode} Tr /F 11 Tf {' '.join(parts)} 100 Tz 0 Tr ET "


CMAP = """/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
1 begincodespacerange
<00> <FF>
endcodespacerange
1 beginbfrange
<30> <39> <E030>
endbfrange
endcmap"""
"""Maps digits to meaningless codes, as fonts with old-style figures do."""


def mapped_pdf(path: Path, line: str, ranges: str) -> Path:
    """Writes a page of three copies of a line whose font maps codes as in `ranges` of a CMap."""
    font = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding/ToUnicode 6 0 R>>"
    cmap = CMAP.replace("<30> <39> <E030>", ranges)
    typed = f"BT /F 12 Tf 72 700 Td ({line}) Tj 0 -20 Td ({line}) Tj 0 -20 Td ({line}) Tj ET"
    return page_pdf(path, typed, fonts=f"/F {font}", more=[f"<</Length {len(cmap)}>>stream\n{cmap}\nendstream"])
