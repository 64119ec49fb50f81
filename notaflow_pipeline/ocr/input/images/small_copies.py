"""Finds frames of a TIFF that are small copies of the page before them, although no tag says so.

Such a frame is a preview. Its pixels are compared with the page, and a frame that differs anywhere is a page.
"""

from PIL import Image

from notaflow_pipeline.ocr.input.images.grey_conversion import grey
from notaflow_pipeline.ocr.input.images.sixteen_bit_grey import eight_bits

MAX_COPY_SIDE = 512
"""Maximum longer side of a preview in pixels. A letter page has 46 dpi then, and its print is not legible."""

MIN_REDUCTION = 2.0
"""Minimum ratio of the sides of a page to those of its preview."""

MAX_SIDE_DIFFERENCE = 1.5
"""Maximum difference in pixels between the sides of a preview and those of the reduced page."""

SQUARE = 4
MAX_SQUARE_DIFFERENCE = 24
"""Side in pixels of the squares that are compared, and the maximum difference (of 255) of their means."""

MIN_CONTRAST = 16
"""Minimum difference between the squares of a preview; a blank frame is the copy of no page."""


def has_size_of_copy(size: tuple[int, int], page_size: tuple[int, int]) -> bool:
    """Returns whether a frame has the shape of a page and is much smaller, so that it may be a preview of it."""
    factor = max(page_size) / max(*size, 1)
    return (
        max(size) <= MAX_COPY_SIDE
        and factor >= MIN_REDUCTION
        and all(abs(one / factor - other) <= MAX_SIDE_DIFFERENCE for one, other in zip(page_size, size, strict=True))
    )


def is_copy_of_frame(image: Image.Image, page_frame: int) -> bool:
    """Returns whether the present frame of a TIFF shows the same as a frame before it, square by square.

    A frame that cannot be decoded is not taken for a copy. The present frame stays the present one.
    """
    frame = image.tell()
    try:
        small = grey(eight_bits(image))
        image.seek(page_frame)
        page = grey(eight_bits(image)).resize(small.size, Image.Resampling.BOX)
    except Exception:  # noqa: BLE001 - Pillow raises almost any exception on damaged bytes
        return False
    finally:
        image.seek(frame)
    squares = [list(one.reduce(SQUARE).tobytes()) for one in (small, page)]
    return max(squares[0]) - min(squares[0]) >= MIN_CONTRAST and all(
        abs(one - other) <= MAX_SQUARE_DIFFERENCE for one, other in zip(*squares, strict=True)
    )
