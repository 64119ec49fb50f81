"""Detects images of a PDF page whose bytes are missing, incomplete, or cannot be decoded.

PDFium draws as much of such an image as it can decode, or nothing, and reports no error.
"""

import ctypes
import io

import numpy as np
import pypdfium2
from PIL import Image
from pypdfium2 import raw

from notaflow_pipeline.ocr.input.pdf.bitmaps import grey_bitmap
from notaflow_pipeline.ocr.input.pdf.coordinates import bounds_on_page

MIN_AREA = 0.01
"""Minimum share of the page for an image that is checked; a smaller image is an ornament."""

MAX_DECODED_BYTES = 400_000_000
"""Maximum decoded size of an image that is checked; a larger one is not decoded."""

MIN_DECODED = 0.99
"""Minimum share of the bytes that the size of an image requires; in some images the last row is a few bytes short."""

MAX_TAIL_BYTES = 2
"""Maximum number of bytes after the last row; they are line ends."""

JPEG_END = b"\xff\xd9"

MIN_BLANK_ROWS = 32
"""Minimum number of blank rows at the bottom of a fax that show a truncation; fewer are not significant."""

FAX_LINE_MARK = "000000000001"
"""Start of each line of group 3; it also occurs twice at the end of group 4 (ITU T.4 and T.6)."""

FAX_END_BITS = 96
FAX_TAIL_BYTES = 512

MIN_JBIG2_HEAD_BYTES = 11
LONG_JBIG2_COUNT = 7
UNKNOWN_JBIG2_SIZE = 0xFFFFFFFF
JBIG2_PAGE = 48
"""Minimum size of the head of a segment, special values of its number of other segments and of its size, and the kind of
segment with the size of the page."""

JPEG_TAIL_BYTES = 64
"""Number of last bytes in which the end mark of a JPEG may be: some writers add zeros."""


def has_damaged_image(page: pypdfium2.PdfPage) -> bool:
    """Whether an image that is not too small cannot be decoded completely."""
    left, bottom, right, top = page.get_bbox()
    page_area = (right - left) * (top - bottom)
    return any(
        _area(bounds_on_page(image)) >= MIN_AREA * page_area and _is_damaged(image)
        for image in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE])
    )


def _area(box: tuple[float, float, float, float]) -> float:
    left, bottom, right, top = box
    return (right - left) * (top - bottom)


def _is_damaged(image: pypdfium2.PdfImage) -> bool:
    size_bytes = raw.FPDFImageObj_GetImageDataRaw(image, None, 0)
    if size_bytes == 0:
        return True
    try:
        filters = image.get_filters()
    except UnicodeDecodeError:  # no filter has such a name
        return True
    if filters and filters[-1] in {"DCTDecode", "DCT"}:
        return _is_cut_jpeg(image)
    if filters and filters[-1] in FAX_FILTERS:
        return _is_cut_fax(image)
    if filters and filters[-1] == "JBIG2Decode":
        return _is_cut_jbig2(_content(image)) or _pixels(image) is None
    if filters and filters[-1] == "JPXDecode":
        return _pixels(image) is None
    metadata = image.get_metadata()
    expected_bytes = _size_bytes(metadata.width, metadata.height, metadata.bits_per_pixel)
    if expected_bytes > MAX_DECODED_BYTES:
        return False
    decoded_bytes = raw.FPDFImageObj_GetImageDataDecoded(image, None, 0)
    if decoded_bytes >= MIN_DECODED * expected_bytes:
        return False
    depths = [*(metadata.bits_per_pixel * bits // 8 for bits in (1, 2, 4)), 16]
    sizes = [_size_bytes(metadata.width, metadata.height, bits) for bits in depths]
    return not any(0 <= decoded_bytes - one <= MAX_TAIL_BYTES for one in sizes)


def _size_bytes(width: int, height: int, bits_per_pixel: int) -> int:
    """Returns the size of an image whose rows are whole bytes.

    PDFium reports colours of less than eight bits as if they had eight, and grey of sixteen bits as colours of eight.
    """
    return height * ((width * bits_per_pixel + 7) // 8)


def _is_cut_jpeg(image: pypdfium2.PdfImage) -> bool:
    content = _content(image)
    if JPEG_END in content[-JPEG_TAIL_BYTES:]:
        return False
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as jpeg:
            jpeg.draft("L", (jpeg.width // 8, jpeg.height // 8))
            jpeg.load()
    except Exception:  # noqa: BLE001 - Pillow raises almost any exception on damaged bytes
        return True
    return False


def _is_cut_fax(image: pypdfium2.PdfImage) -> bool:
    """Whether a fax is truncated: it has no end mark, and not the bits for the blank rows at its bottom.

    In group 4 (two-dimensional coding) a row that equals the row above is a single bit. Group 3 begins with a line mark
    and has no such rule.
    """
    content = _content(image)
    written = _bits(content.rstrip(b"\0")[-FAX_TAIL_BYTES:]).rstrip("0")
    if FAX_LINE_MARK in written[-FAX_END_BITS:] or _bits(content[:4]).startswith(FAX_LINE_MARK):
        return False
    pixels = _pixels(image)
    if pixels is None:
        return True
    blank = _blank_bottom_rows(pixels)
    if blank < MIN_BLANK_ROWS:
        return False
    return len(written) - len(written.rstrip("1")) < min(blank - 1, MIN_BLANK_ROWS)


def _is_cut_jbig2(content: bytes) -> bool:
    """Whether a segment of a JBIG2 image is not whole, or there is none with pixels.

    The segments follow each other, and each states its size (ITU T.88, 7.2).
    """
    position = 0
    kinds: set[int] = set()
    while position < len(content):
        head = content[position : position + MIN_JBIG2_HEAD_BYTES]
        if len(head) < MIN_JBIG2_HEAD_BYTES:
            return bool(head.strip(b"\0\r\n")) or kinds <= {JBIG2_PAGE}
        number, flags, count = int.from_bytes(head[:4]), head[4], head[5] >> 5
        kinds.add(flags & 0x3F)
        head_bytes = 6
        if count == LONG_JBIG2_COUNT:
            count = int.from_bytes(head[5:9]) & 0x1FFFFFFF
            head_bytes = 9 + (count + 8) // 8
        head_bytes += count * (1 if number <= 0x100 else 2 if number <= 0x10000 else 4)  # numbers of other segments
        head_bytes += 4 if flags & 0x40 else 1  # number of the page
        size_bytes = int.from_bytes(content[position + head_bytes : position + head_bytes + 4])
        if size_bytes == UNKNOWN_JBIG2_SIZE:
            return False
        position += head_bytes + 4 + size_bytes
    return position > len(content) or kinds <= {JBIG2_PAGE}


def _bits(content: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in content)


def _blank_bottom_rows(pixels: Image.Image) -> int:
    """Returns the number of rows at the bottom of an image that have one shade each."""
    rows = np.asarray(pixels)
    uneven = np.nonzero((rows != rows[:, :1]).any(axis=1))[0]
    return int(rows.shape[0] - 1 - uneven[-1]) if len(uneven) else int(rows.shape[0])


def _pixels(image: pypdfium2.PdfImage) -> Image.Image | None:
    """Returns the image as PDFium decodes it; None if PDFium cannot."""
    try:
        return grey_bitmap(image.get_bitmap())
    except pypdfium2.PdfiumError:
        return None


def _content(image: pypdfium2.PdfImage) -> bytes:
    """Returns the bytes that the decoder of the image format gets."""
    size_bytes = raw.FPDFImageObj_GetImageDataDecoded(image, None, 0)
    buffer = ctypes.create_string_buffer(max(1, size_bytes))
    raw.FPDFImageObj_GetImageDataDecoded(image, buffer, size_bytes)
    return bytes(buffer.raw[:size_bytes])


FAX_FILTERS = frozenset({"CCITTFaxDecode", "CCF"})
