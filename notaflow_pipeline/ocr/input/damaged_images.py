"""Whether an image of a PDF page is missing its bytes, a part of them, or a decoder that understands them.

PDFium draws such an image as far as it goes, or not at all, and says nothing.
"""

import ctypes
import io

import pypdfium2
from PIL import Image
from pypdfium2 import raw

MIN_AREA = 0.01
"""Of the page: a smaller image is an ornament."""

MAX_DECODED_BYTES = 400_000_000
"""An image that claims to have more is not decoded to see whether it does."""

MIN_DECODED = 0.99
"""Of the bytes that an image's size asks for; the last row of some is short by a few."""

JPEG_END = b"\xff\xd9"

JPEG_TAIL_BYTES = 64
"""How far before the end of a JPEG its end mark may be: some writers fill up with zeros."""


def has_damaged_image(page: pypdfium2.PdfPage) -> bool:
    """Whether an image of a size that matters cannot be decoded to its end."""
    left, bottom, right, top = page.get_bbox()
    page_area = (right - left) * (top - bottom)
    return any(
        _covers(image) >= MIN_AREA * page_area and _is_damaged(image)
        for image in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE])
    )


def _covers(image: pypdfium2.PdfImage) -> float:
    left, bottom, right, top = image.get_bounds()
    return float((right - left) * (top - bottom))


def _is_damaged(image: pypdfium2.PdfImage) -> bool:
    size_bytes = raw.FPDFImageObj_GetImageDataRaw(image, None, 0)
    if size_bytes == 0:
        return True
    filters = image.get_filters()
    if filters and filters[-1] in {"DCTDecode", "DCT"}:
        return _is_cut_jpeg(image)
    if filters and filters[-1] in OWN_DECODERS:
        return _cannot_be_decoded(image)
    metadata = image.get_metadata()
    wanted = metadata.height * ((metadata.width * metadata.bits_per_pixel + 7) // 8)
    if wanted > MAX_DECODED_BYTES:
        return False
    return bool(raw.FPDFImageObj_GetImageDataDecoded(image, None, 0) < MIN_DECODED * wanted)


def _is_cut_jpeg(image: pypdfium2.PdfImage) -> bool:
    size_bytes = raw.FPDFImageObj_GetImageDataDecoded(image, None, 0)
    buffer = ctypes.create_string_buffer(max(1, size_bytes))
    raw.FPDFImageObj_GetImageDataDecoded(image, buffer, size_bytes)
    content = buffer.raw[:size_bytes]
    if JPEG_END in content[-JPEG_TAIL_BYTES:]:
        return False
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as jpeg:
            jpeg.draft("L", (jpeg.width // 8, jpeg.height // 8))
            jpeg.load()
    except Exception:  # noqa: BLE001 - Pillow raises nearly anything on damaged bytes
        return True
    return False


def _cannot_be_decoded(image: pypdfium2.PdfImage) -> bool:
    try:
        image.get_bitmap()
    except pypdfium2.PdfiumError:
        return True
    return False


OWN_DECODERS = frozenset({"CCITTFaxDecode", "CCF", "JBIG2Decode", "JPXDecode"})
"""Filters whose decoders know the size of the image themselves."""
