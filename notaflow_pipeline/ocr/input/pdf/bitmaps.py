"""Converts bitmaps of PDFium to grey, with or without the coloured stamps that lie over print."""

from collections.abc import Iterator

import pypdfium2
from PIL import Image

from notaflow_pipeline.ocr.input.images.stamps import SEARCH_PIXELS, can_be_searched, separate_inks, stamps_over_print

BAND_ROWS = 512
"""Number of rows that are converted to grey at a time, which keeps Pillow's copy of the colours small."""


def grey_bitmap(bitmap: pypdfium2.PdfBitmap) -> Image.Image:
    """Returns a bitmap of PDFium as grey. It is converted in bands, see `BAND_ROWS`."""
    grey = Image.new("L", (bitmap.width, bitmap.height))
    for top, colours in _bands(bitmap, BAND_ROWS):
        if colours.mode == "RGBA":
            grey.paste(255, (0, top, bitmap.width, top + colours.height))
            grey.paste(colours.convert("L"), (0, top), colours.getchannel("A"))
        else:
            grey.paste(colours.convert("L"), (0, top))
    return grey


def remove_stamps_from_bitmap(grey: Image.Image, bitmap: pypdfium2.PdfBitmap) -> Image.Image | None:
    """Removes the coloured stamps over print from `grey`, the grey version of a bitmap.

    Returns a white page with only the stamps, None without any.
    """
    stamps = stamps_over_print(_reduced(bitmap)) if can_be_searched(_mode(bitmap), grey.size) else []
    if not stamps:
        return None
    only_stamps = Image.new("L", grey.size, 255)
    for stamp in stamps:
        left, top, right, bottom = stamp.pixels(grey.size)
        colours = _rows(bitmap, top, bottom - top).crop((left, 0, right, bottom - top))
        only_print, only_stamp = separate_inks(colours, stamp)
        grey.paste(only_print.convert("L"), (left, top))
        only_stamps.paste(only_stamp, (left, top))
    return only_stamps


def _reduced(bitmap: pypdfium2.PdfBitmap) -> Image.Image:
    factor = max(1, round(max(bitmap.width, bitmap.height) / SEARCH_PIXELS))
    small = Image.new("RGB", (-(-bitmap.width // factor), -(-bitmap.height // factor)))
    for top, colours in _bands(bitmap, BAND_ROWS // factor * factor or factor):
        small.paste(colours.reduce(factor), (0, top // factor))
    return small


def _bands(bitmap: pypdfium2.PdfBitmap, height: int) -> Iterator[tuple[int, Image.Image]]:
    """Yields the first row of each band and the colours of the band."""
    for top in range(0, bitmap.height, height):
        yield top, _rows(bitmap, top, min(height, bitmap.height - top))


def _rows(bitmap: pypdfium2.PdfBitmap, top: int, rows: int) -> Image.Image:
    band = bytes(memoryview(bitmap.buffer).cast("B")[top * bitmap.stride : (top + rows) * bitmap.stride])
    return Image.frombuffer(_mode(bitmap), (bitmap.width, rows), band, "raw", bitmap.mode, bitmap.stride, 1)


def _mode(bitmap: pypdfium2.PdfBitmap) -> str:
    return {"BGR": "RGB", "BGRX": "RGB", "BGRA": "RGBA"}.get(bitmap.mode, "L")
