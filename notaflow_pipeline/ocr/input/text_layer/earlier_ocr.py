"""Selects the lines of a page image by which an earlier OCR is judged.

Lines with digits are selected first, wherever they are, because a wrong amount or lot number does more harm than a
wrong word.
"""

from collections.abc import Sequence

from PIL import Image

from notaflow_pipeline.ocr.input.loaded_page import EarlierOcr
from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine

STRIP_SHARE = 0.2
"""Share of the page height that is recognised to compare it with an earlier OCR."""

MIN_STRIP_LINES = 5

BESIDE = 1.0
"""Width, in line heights, of the area beside the ends of a line that belongs to it."""

Size = tuple[float, float]


def earlier_ocr(image: Image.Image, lines: Sequence[LayerLine], page_size: Size) -> EarlierOcr:
    """Returns the lines of an earlier OCR (in displayed points) with a strip of some of them, cut out of the page
    image."""
    chosen = sorted(_chosen(lines, STRIP_SHARE * page_size[1]), key=lambda line: line.top)
    scale = image.width / page_size[0]
    cut = [(line, _pixel_box(_band_of(line, lines, page_size[1]), scale, image)) for line in chosen]
    cut = [(line, box) for line, box in cut if box[0] < box[2] and box[1] < box[3]]
    strip = Image.new("L", (image.width, max(1, sum(box[3] - box[1] for _, box in cut))), _paper(image))
    top = 0
    for _, box in cut:
        strip.paste(image.crop(box), (box[0], top))
        top += box[3] - box[1]
    strip.info = dict(image.info)
    return EarlierOcr(tuple(lines), strip, tuple(word.text for line, _ in cut for word in line.words))


def _chosen(lines: Sequence[LayerLine], height: float) -> list[LayerLine]:
    """Returns the lines with most digits, up to a total height; among equal lines the longer ones first."""
    chosen: list[LayerLine] = []
    for line in sorted(lines, key=_digits_and_length, reverse=True):
        height -= line.bottom - line.top
        if height < 0 and len(chosen) >= MIN_STRIP_LINES:
            break
        chosen.append(line)
    return chosen


def _digits_and_length(line: LayerLine) -> tuple[int, int]:
    return sum(map(str.isdigit, line.text)), len(line.text)


def _band_of(line: LayerLine, lines: Sequence[LayerLine], page_height: float) -> tuple[float, float, float, float]:
    """Returns the box of a line, extended to the middle of the gaps to the next lines above and below."""
    left, right = _ends(line)
    beside = [other for other in lines if _ends(other)[0] < right and _ends(other)[1] > left]
    middle, reach = (line.top + line.bottom) / 2, BESIDE * (line.bottom - line.top)
    above = max((other.bottom for other in beside if other.bottom <= middle), default=0.0)
    below = min((other.top for other in beside if other.top >= middle), default=page_height)
    top, bottom = max((above + line.top) / 2, line.top - reach), min((line.bottom + below) / 2, line.bottom + reach)
    return left - reach, min(top, line.top), right + reach, max(bottom, line.bottom)


def _ends(line: LayerLine) -> tuple[float, float]:
    return min(word.left for word in line.words), max(word.right for word in line.words)


def _pixel_box(box: tuple[float, float, float, float], scale: float, image: Image.Image) -> tuple[int, int, int, int]:
    left, right = (min(max(round(side * scale), 0), image.width) for side in (box[0], box[2]))
    top, bottom = (min(max(round(side * scale), 0), image.height) for side in (box[1], box[3]))
    return left, top, right, bottom


def _paper(image: Image.Image) -> int:
    """Returns the most frequent grey of the page."""
    counts = image.reduce(8).histogram()
    return counts.index(max(counts))
