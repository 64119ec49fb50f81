"""Makes the view of a page that was just read: its images in few bytes, and the words of that very reading."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BytesIO

from PIL import Image

from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.loaded_page import LoadedPage, Region
from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine, text_of_lines
from notaflow_pipeline.ocr.page_view import PageView, PlacedWord, ReadImage, Rectangle
from notaflow_pipeline.ocr.recognition.coverage import unread_boxes
from notaflow_pipeline.ocr.recognition.layered_page import RecognisedImage, RecognisedPage

MAX_SIDE_PIXELS = 1800
"""A letter page at 150 dpi has 1,650 in height; print of eight points is legible there."""

JPEG_QUALITY = 70

MAX_WORDS = 20_000
"""That are placed on one image: a page full of six points has 3,000."""


def view_of(page: LoadedPage, recognised: RecognisedPage, render: Callable[[], Image.Image]) -> PageView:
    """Returns the view of a page; `render` renders it as it is seen, which is done only for a text layer."""
    images = [_recognised(one) for one in recognised.images]
    if recognised.lines or not images:
        with suppress(DocumentFailure):
            images.insert(0, _layer_image(render(), page, recognised))
    scan = page.image if any(one.found.image is not None for one in recognised.images) else None
    return PageView(tuple(images), None if scan is None else _small(scan)[0])


def _recognised(one: RecognisedImage) -> ReadImage:
    image = one.image if one.found.image is None else one.found.image
    jpeg, width, height = _small(image)
    factor = width / image.width
    boxes = unread_boxes(image, one.found.image_words) if one.found.coverage is not None else []
    words = tuple(
        PlacedWord(word.text, word.confidence, _scaled((word.left, word.top, word.width, word.height), factor))
        for word in one.found.image_words[:MAX_WORDS]
    )
    unread = tuple(_scaled(box, factor) for box in boxes)
    return ReadImage(jpeg, width, height, one.found.text, words, unread, used=one.used)


def _layer_image(image: Image.Image, page: LoadedPage, recognised: RecognisedPage) -> ReadImage:
    jpeg, width, height = _small(image)
    factor = width / page.size[0] if page.size and page.size[0] > 0 else 0.0
    used = [one.region for one in recognised.images if one.used]
    unread = [_scaled(_sides(region), factor) for region in page.regions if not _is_among(region, used)]
    words = tuple(_layer_words(recognised.lines, factor)) if factor else ()
    text = text_of_lines(recognised.lines)
    return ReadImage(jpeg, width, height, text, words, tuple(unread) if factor else (), text_layer=True)


def _layer_words(lines: Sequence[LayerLine], factor: float) -> list[PlacedWord]:
    words = [word for line in lines for word in line.words][:MAX_WORDS]
    return [
        PlacedWord(one.text, None, _scaled((one.left, one.top, one.right - one.left, one.bottom - one.top), factor))
        for one in words
    ]


def _sides(region: Region) -> Rectangle:
    left, top, right, bottom = region.box
    return left, top, right - left, bottom - top


def _is_among(region: Region, regions: Sequence[Region | None]) -> bool:
    return any(region is one for one in regions)


def _scaled(box: Rectangle, factor: float) -> Rectangle:
    left, top, width, height = (round(side * factor, 1) for side in box)
    return left, top, width, height


def _small(image: Image.Image) -> tuple[bytes, int, int]:
    """A copy as JPEG, no longer than `MAX_SIDE_PIXELS`, and its size."""
    factor = min(1.0, MAX_SIDE_PIXELS / max(image.size))
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0) if factor < 1 else image
    into = BytesIO()
    small.save(into, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return into.getvalue(), *size
