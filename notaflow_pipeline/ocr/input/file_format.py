"""Detects the format of a file by its first bytes.

File names are not used: portals save error pages as `.pdf`, and scanners save JPEG under any extension.
"""

import re
from enum import Enum

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.offset_file import blank_bytes

HEAD_BYTES = 1024
"""Number of first bytes in which `%PDF-` must be; Acrobat and PDFium both search this far."""


class DocumentFormat(Enum):
    """The formats that can be read. The value is Pillow's name of the format."""

    PDF = "PDF"
    TIFF = "TIFF"
    PNG = "PNG"
    JPEG = "JPEG"
    JPEG_2000 = "JPEG2000"
    GIF = "GIF"
    WEBP = "WEBP"
    BMP = "BMP"


def recognised_format(head: bytes) -> DocumentFormat:
    """Returns the format of a file that begins with `head`; raises `DocumentFailure` if the format cannot be read."""
    for signature, document_format in IMAGE_SIGNATURES.items():
        if signature.match(head, blank_bytes(head)):
            return document_format
    if b"%PDF-" in head:
        return DocumentFormat.PDF
    raise _unreadable_format(head)


def _unreadable_format(head: bytes) -> DocumentFailure:
    for signature, name in UNSUPPORTED_SIGNATURES.items():
        if signature.match(head):
            return DocumentFailure(
                FailureKind.UNSUPPORTED, f"This is {name}; PDF and common image formats are read. Convert it to PDF."
            )
    if re.search(rb"<(!doctype\s+html|html|head|body)\b", head, re.IGNORECASE):
        return DocumentFailure(
            FailureKind.NOT_A_DOCUMENT,
            "This is a web page, probably an error page that was saved in the document's place. "
            "Fetch the document again.",
        )
    return DocumentFailure(
        FailureKind.NOT_A_DOCUMENT, "These bytes are neither a PDF nor an image. Fetch the document again."
    )


IMAGE_SIGNATURES = {
    re.compile(rb"II[*+]\0|MM\0[*+]"): DocumentFormat.TIFF,  # the plus sign marks BigTIFF
    re.compile(rb"\x89PNG\r\n\x1a\n"): DocumentFormat.PNG,
    re.compile(rb"\xff\xd8\xff"): DocumentFormat.JPEG,
    re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"): DocumentFormat.JPEG_2000,
    re.compile(rb"GIF8[79]a"): DocumentFormat.GIF,
    re.compile(rb"RIFF.{4}WEBP", re.DOTALL): DocumentFormat.WEBP,
    re.compile(rb"BM.{4}\0\0\0\0", re.DOTALL): DocumentFormat.BMP,
}

UNSUPPORTED_SIGNATURES = {
    re.compile(rb".{4}ftyp(hei|hev|mif|avi)", re.DOTALL): "a HEIC or AVIF image",
    re.compile(rb"PK\x03\x04"): "a ZIP archive or an Office document",
    re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"): "an old Office document",
    re.compile(rb"\{\\rtf"): "an RTF document",
    re.compile(rb"%!PS"): "a PostScript file",
}
