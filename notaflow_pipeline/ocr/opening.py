"""What kind of file is this, how many pages has it, and is it refused?

Opening and its refusals belong here; turning a page into an image is `rendering`'s.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
from PIL import Image

from notaflow_pipeline.ocr.failures import DocumentFailure, FailureKind
from notaflow_pipeline.ocr.formats import HEAD_BYTES, DocumentFormat, recognised_format

__all__ = ["DocumentFormat", "Limits", "Opened", "open_document", "opened_image", "opened_pdf", "refuse_large_image"]


@dataclass(frozen=True)
class Limits:
    """What one document may cost; bytes, pages and pixels as advised in our notes on OCR.

    `pages` is some ten times a long registry document (the contract names 50 and more); `page_pixels` is a page of
    33 by 33 inches at 300 dpi. `page_seconds` bounds rendering and recognition together: a dense page takes 1 to 8 s
    in two languages, and a faint one that was photographed in 30 million pixels took 58 s.
    """

    file_bytes: int = 100 * 1024 * 1024
    pages: int = 500
    page_pixels: int = 100_000_000
    page_seconds: float = 120.0


@dataclass(frozen=True)
class Opened:
    """A file that can be read, page by page."""

    format: DocumentFormat
    pages: int


def open_document(path: Path, limits: Limits) -> Opened:
    """Look at a file without decoding any page of it.

    Raises `DocumentFailure` for whatever the bytes are if they are not a readable document within the limits, and
    `OSError` only if there is no file to read at `path`.
    """
    document_format = _format_within_size(path, limits)
    if document_format is DocumentFormat.PDF:
        return Opened(document_format, _pdf_pages(path, limits))
    return Opened(document_format, _image_pages(path, document_format, limits))


@contextmanager
def opened_pdf(path: Path) -> Iterator[pypdfium2.PdfDocument]:
    """A PDF opened with the empty password; what PDFium refuses is a `DocumentFailure`."""
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise _pdf_refusal(path, error) from error
    try:
        yield document
    finally:
        document.close()


@contextmanager
def opened_image(path: Path, document_format: DocumentFormat, limits: Limits) -> Iterator[Image.Image]:
    """An image file opened by its one decoder; whatever goes wrong with its bytes is a `DocumentFailure`.

    Pillow raises nearly anything on damaged files (TypeError on a cut TIFF, SyntaxError on a PNG, struct.error),
    which is why everything is caught. Its warnings about odd metadata are of no use to anybody and are dropped.
    It is given a file rather than a path, because it maps an uncompressed TIFF that it knows by path into memory and
    scrambles it if it has to be turned (Pillow 12.3).
    """
    Image.MAX_IMAGE_PIXELS = limits.page_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with path.open("rb") as file, Image.open(file, formats=[document_format.value]) as image:
                yield image
    except DocumentFailure:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(limits) from error
    except Exception as error:
        raise DocumentFailure(
            FailureKind.CORRUPT,
            f"The {document_format.value} image is damaged or cut short. Fetch the document again.",
        ) from error


def refuse_large_image(image: Image.Image, limits: Limits) -> None:
    """Judge an image by the size that its header claims, before any of it is decoded."""
    width, height = image.size
    if width < 1 or height < 1:
        raise DocumentFailure(FailureKind.CORRUPT, "The image says that it has no size. Fetch the document again.")
    if width * height > limits.page_pixels:
        raise _too_many_pixels(limits)


def _format_within_size(path: Path, limits: Limits) -> DocumentFormat:
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise DocumentFailure(FailureKind.EMPTY_FILE, "The file is empty (0 bytes). Fetch the document again.")
    if size_bytes > limits.file_bytes:
        raise DocumentFailure(
            FailureKind.TOO_LARGE,
            f"The file has {size_bytes / 1024**2:.0f} MB; at most {limits.file_bytes / 1024**2:.0f} MB are read. "
            "Split it, or raise the limit.",
        )
    with path.open("rb") as file:
        return recognised_format(file.read(HEAD_BYTES))


def _pdf_pages(path: Path, limits: Limits) -> int:
    with opened_pdf(path) as document:
        return _counted(len(document), limits)


def _image_pages(path: Path, document_format: DocumentFormat, limits: Limits) -> int:
    with opened_image(path, document_format, limits) as image:
        refuse_large_image(image, limits)
        if document_format is not DocumentFormat.TIFF:
            return 1  # the extra pictures of an MPO or an animated PNG are no pages
        pages = 1
        while _has_frame(image, pages):
            pages = _counted(pages + 1, limits)
            refuse_large_image(image, limits)
        return pages


def _has_frame(image: Image.Image, index: int) -> bool:
    try:
        image.seek(index)
    except EOFError:
        return False
    return True


def _counted(pages: int, limits: Limits) -> int:
    if pages < 1:
        raise DocumentFailure(FailureKind.NO_PAGES, NO_PAGES_SENTENCE)
    if pages > limits.pages:
        raise DocumentFailure(
            FailureKind.TOO_MANY_PAGES,
            f"The document has more than the {limits.pages} pages that are read. Split it, or raise the limit.",
        )
    return pages


def _pdf_refusal(path: Path, error: pypdfium2.PdfiumError) -> DocumentFailure:
    content = path.read_bytes()
    # PDFium's error code may still be that of an earlier document, so a password is believed only with its dictionary
    if error.err_code in PASSWORD_ERRORS and b"/Encrypt" in content:
        return DocumentFailure(
            FailureKind.ENCRYPTED, "The PDF asks for a password. Remove its protection and store it again."
        )
    if EMPTY_PAGE_TREE.search(content):
        return DocumentFailure(FailureKind.NO_PAGES, NO_PAGES_SENTENCE)
    return DocumentFailure(FailureKind.CORRUPT, "The PDF is damaged beyond repair. Fetch the document again.")


def _too_many_pixels(limits: Limits) -> DocumentFailure:
    return DocumentFailure(
        FailureKind.TOO_LARGE,
        f"The image is larger than {limits.page_pixels / 1e6:.0f} million pixels. "
        "Scan it at a lower resolution, or raise the limit.",
    )


NO_PAGES_SENTENCE = "The document is whole, but has no pages. Fetch it again."

PASSWORD_ERRORS = frozenset({pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY})

EMPTY_PAGE_TREE = re.compile(rb"/Type\s*/Pages\b[^>]*/Count\s+0\b|/Count\s+0\b[^>]*/Type\s*/Pages\b")
"""PDFium calls a PDF without pages a format error; only its page tree tells that it is not damaged."""
