"""Selects words of a text layer that show each of its characters, and cuts their images out of the rendered page.

A font may map its characters to wrong ones, and all its words look plausible: `3 770 292` is stored as `4 881 303`. Only a
reading of the image shows that. A sample of 110 characters is enough, because a font always maps a character to the same
one. Rendering it takes 0.03 CPU seconds and reading it 0.06, on pages that take 0.15 to 0.25 otherwise.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pypdfium2
from PIL import Image, ImageOps, ImageStat

from notaflow_pipeline.ocr.input.pdf.bitmaps import grey_bitmap
from notaflow_pipeline.ocr.input.pdf.coordinates import UPRIGHT
from notaflow_pipeline.ocr.input.pdf.embedded_scan import POINTS_PER_INCH
from notaflow_pipeline.ocr.input.pdf.text_visibility import rendered_bitmap
from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine, LayerWord

SAMPLE_DPI = 200
MAX_SAMPLE_SIDE = 4400
"""Maximum side of the rendered page in pixels; a larger page is rendered at a lower resolution."""

MAX_DIGITS, MAX_LETTERS = 60, 50
"""Maximum number of characters in words with digits, which matter most, and in other words."""

TIMES_OF_DIGIT, TIMES_OF_LETTER = 6, 2
"""Number of times that each character of each font is in the sample, if the page has it so often."""

LINE_PIXELS = 32
"""Height to which the lines of the sample are scaled: ten points at 200 dpi."""

SCALES = (0.6, 2.0)
"""Range of the scaling. A glyph that is the picture of a paragraph must stay legible."""

DARK = 128
"""Median grey of a word below which it is white on a dark area."""

ROW_PIXELS = 1200
MARGIN_PIXELS = 4


@dataclass(frozen=True)
class SampledWord:
    """A word of a text layer, its font, and its position in the image of the sample: left, top, right, bottom."""

    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    font: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class LayerSample:
    """Words of a text layer, and one image with the part of the page where each of them is."""

    image: Image.Image
    words: tuple[SampledWord, ...] = field(repr=False)


def layer_sample(page: pypdfium2.PdfPage, lines: Sequence[LayerLine], user_unit: float = 1.0) -> LayerSample | None:
    """Returns a sample of the visible words of a page; None without any word. `user_unit` is the number of points per
    unit.

    Raises `pypdfium2.PdfiumError` if PDFium cannot render the page.
    """
    chosen = _chosen(lines)
    if not chosen:
        return None
    scale = min(user_unit * SAMPLE_DPI / POINTS_PER_INCH, MAX_SAMPLE_SIDE / max(*page.get_size(), 1e-6))
    rendered = grey_bitmap(rendered_bitmap(page, scale))
    cut = [(word, *_image_of(word, line, rendered, scale)) for line, word in chosen]
    placed, left, top = [], MARGIN_PIXELS, MARGIN_PIXELS
    row: list[int] = []
    for word, image, fall in cut:
        if row and left + image.width > ROW_PIXELS:
            top, left, row = max(row) + LINE_PIXELS // 2, MARGIN_PIXELS, []
        placed.append((word, image, (left, top + fall)))
        left += image.width + LINE_PIXELS
        row.append(top + fall + image.height)
    size = max(x + image.width for _, image, (x, _) in placed), max(y + image.height for _, image, (_, y) in placed)
    whole = Image.new("L", (size[0] + MARGIN_PIXELS, size[1] + MARGIN_PIXELS), 255)
    for _, image, corner in placed:
        whole.paste(image, corner)
    words = [
        SampledWord(word.text, word.font, (x, y, x + image.width, y + image.height)) for word, image, (x, y) in placed
    ]
    return LayerSample(whole, tuple(words))


def _chosen(lines: Sequence[LayerLine]) -> list[tuple[LayerLine, LayerWord]]:
    """Returns words that together have each letter and digit of each font, as far as the sample has room for them."""
    words = [(line, word) for line in lines if line.angle in {0, *UPRIGHT} for word in line.words if _is_finite(word)]
    middles = [((word.left + word.right) / 2, (word.top + word.bottom) / 2) for line in lines for word in line.words]
    with_digits = [pair for pair in words if any(map(str.isdigit, pair[1].text))]
    others = [pair for pair in words if not any(map(str.isdigit, pair[1].text))]
    return [
        *_covering(with_digits, middles, TIMES_OF_DIGIT, MAX_DIGITS),
        *_covering(others, middles, TIMES_OF_LETTER, MAX_LETTERS),
    ]


def _covering(
    words: Sequence[tuple[LayerLine, LayerWord]],
    middles: Sequence[tuple[float, float]],
    times: int,
    max_characters: int,
) -> list[tuple[LayerLine, LayerWord]]:
    """Returns words in which each character of each font occurs so many times. A word with the middle of another one in
    its box, such as a large mark over the text, is left out."""
    seen: Counter[tuple[int, str]] = Counter()
    chosen, characters = [], 0
    for line, word in words:
        known = {(word.font, character) for character in word.text if character.isalnum()}
        is_new = characters + len(word.text) <= max_characters and any(seen[one] < times for one in known)
        if is_new and sum(word.left < x < word.right and word.top < y < word.bottom for x, y in middles) <= 1:
            chosen.append((line, word))
            seen.update(known)
            characters += len(word.text)
    return chosen


def _is_finite(word: LayerWord) -> bool:
    return all(map(math.isfinite, (word.left, word.top, word.right, word.bottom)))


def _image_of(word: LayerWord, line: LayerLine, rendered: Image.Image, scale: float) -> tuple[Image.Image, int]:
    """Returns the image of a word, upright and black on white, and its distance from the upper edge of its line."""
    box = [round(side * scale) for side in (word.left, word.top, word.right, word.bottom)]
    left, top = (
        min(max(side - MARGIN_PIXELS, 0), length - 1) for side, length in zip(box, rendered.size, strict=False)
    )
    right, bottom = (
        min(max(side + MARGIN_PIXELS, low + 1), length)
        for side, low, length in zip(box[2:], (left, top), rendered.size, strict=True)
    )
    image = rendered.crop((left, top, right, bottom))
    high = (line.bottom - line.top) if line.angle in (0, 180) else (line.right - line.left)
    edges = {0: word.top - line.top, 90: line.right - word.right, 180: line.bottom - word.bottom}
    fall = edges.get(line.angle, word.left - line.left)
    if line.angle:
        image = image.transpose(UPRIGHT[line.angle])
    if ImageStat.Stat(image).median[0] < DARK:
        image = ImageOps.invert(image)
    factor = min(max(LINE_PIXELS / max(high * scale, 1.0), SCALES[0]), SCALES[1])
    size = min(max(1, round(image.width * factor)), ROW_PIXELS), max(1, round(image.height * factor))
    return image.resize(size, reducing_gap=2.0), max(0, round(fall * scale * factor))
