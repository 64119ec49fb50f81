"""Probes a file: its format, its number of pages, and whether it can be read within the limits."""

import mmap
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pypdfium2
from PIL import Image, ImageFile

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.file_format import HEAD_BYTES, DocumentFormat, recognised_format
from notaflow_pipeline.ocr.input.images.small_copies import has_size_of_copy, is_copy_of_frame
from notaflow_pipeline.ocr.input.offset_file import open_after_blank_bytes
from notaflow_pipeline.ocr.input.pdf.attachments import attached_files
from notaflow_pipeline.ocr.input.pdf_repair import repaired_pdfs
from notaflow_pipeline.ocr.input.truncated_files import is_cut_short
from notaflow_pipeline.ocr.limits import Limits


@dataclass(frozen=True)
class ProbedDocument:
    """A file that can be read page by page.

    `incomplete` means that the file is truncated or damaged, and that `pages` counts the pages that were found.
    `unread` contains the names of attached files that are not among the pages.
    """

    format: DocumentFormat
    pages: int
    incomplete: bool = False
    unread: tuple[str, ...] = field(default=(), repr=False)  # personal data: not for tracebacks and logs


def probe_document(path: Path, limits: Limits) -> ProbedDocument:
    """Probes a file without decoding its pages.

    Raises `DocumentFailure` if the bytes are not a readable document within the limits, and `OSError` only if there is
    no file to read at `path`.
    """
    document_format = _format_within_size(path, limits)
    if document_format is DocumentFormat.PDF:
        return _probed_pdf(path, limits)
    return ProbedDocument(document_format, _image_pages(path, document_format, limits))


@contextmanager
def opened_pdf(path: Path) -> Iterator[pypdfium2.PdfDocument]:
    """Opens a PDF with the empty password and repairs it if necessary; raises `DocumentFailure` if that fails."""
    document, _ = _open_pdf(path)
    try:
        yield document
    finally:
        document.close()


def repaired_pdf(path: Path, *, blank_too: bool = False) -> pypdfium2.PdfDocument | None:
    """Returns the first version of `input.pdf_repair` with a page that has content; with `blank_too` any page is
    enough."""
    for content in repaired_pdfs(path):
        with suppress(pypdfium2.PdfiumError):
            document = pypdfium2.PdfDocument(content)
            if (blank_too and len(document)) or any(_has_content(document, index) for index in range(len(document))):
                return document
            document.close()
    return None


def _open_pdf(path: Path) -> tuple[pypdfium2.PdfDocument, bool]:
    """Opens a PDF; also returns whether it had to be repaired."""
    try:
        return pypdfium2.PdfDocument(path), False
    except pypdfium2.PdfiumError as error:
        refusal = _pdf_refusal(path, error)
        if refusal.kind is FailureKind.CORRUPT and (repaired := repaired_pdf(path)):
            return repaired, True
        raise refusal from error


def _has_content(document: pypdfium2.PdfDocument, index: int) -> bool:
    try:
        return any(True for _ in document[index].get_objects(max_depth=1))
    except pypdfium2.PdfiumError:
        return False


@contextmanager
def _pillow_settings(max_pixels: int, *, accept_damage: bool) -> Iterator[None]:
    """Sets limits of Pillow that apply to the whole process, and restores them afterwards."""
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = max_pixels, accept_damage
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


@contextmanager
def opened_image(
    path: Path, document_format: DocumentFormat, limits: Limits, *, accept_damage: bool = False
) -> Iterator[Image.Image]:
    """Opens an image file with the decoder of its format; raises `DocumentFailure` for any fault of its bytes.

    `accept_damage` decodes as much of a truncated file as there is, and ignores wrong checksums.

    Pillow raises almost any exception on damaged files (TypeError on a truncated TIFF, SyntaxError on a PNG,
    struct.error), so all exceptions are caught. Its warnings about unusual metadata are ignored. Pillow gets an open
    file instead of a path, because it maps an uncompressed TIFF into memory if it knows the path, and corrupts its
    pixels if the image has to be rotated (Pillow 12.3).
    """
    try:
        with _pillow_settings(limits.page_pixels, accept_damage=accept_damage), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with open_after_blank_bytes(path) as file, Image.open(file, formats=[document_format.value]) as image:
                yield image
    except (DocumentFailure, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(limits) from error
    except Exception as error:
        raise DocumentFailure(
            FailureKind.CORRUPT,
            f"The {document_format.value} image is damaged or cut short. Fetch the document again.",
        ) from error


def refuse_large_image(image: Image.Image, limits: Limits) -> None:
    """Raises `DocumentFailure` if the size in the header of an image is not allowed, before the image is decoded."""
    width, height = image.size
    if width < 1 or height < 1:
        raise DocumentFailure(
            FailureKind.CORRUPT, "The header of the image states a width or height of zero. Fetch the document again."
        )
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


def _probed_pdf(path: Path, limits: Limits) -> ProbedDocument:
    document, repaired = _open_pdf(path)
    try:
        own_pages = _checked_page_count(len(document), limits)
        attached = attached_files(document, limits.pages - own_pages)
    finally:
        document.close()
    return ProbedDocument(
        DocumentFormat.PDF, own_pages + attached.pages, repaired or is_cut_short(path), attached.unread
    )


def _image_pages(path: Path, document_format: DocumentFormat, limits: Limits) -> int:
    with opened_image(path, document_format, limits) as image:
        refuse_large_image(image, limits)
        if document_format is not DocumentFormat.TIFF:
            return 1  # further images in an MPO, an animated GIF, PNG or WebP are not pages
        return _frames(image, limits)


def _frames(image: Image.Image, limits: Limits) -> int:
    """Counts frames up to the first damaged one. A damaged frame counts as a page, which then fails to be read."""
    frame, pages, last = 0, 0, None
    while True:
        try:
            image.seek(frame)
            if _is_page(image, last):
                pages, last = pages + 1, (frame, image.size)
        except EOFError:
            return max(pages, 1)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            pages += 1  # the frame is too large to be read, but the next frames may be smaller
        except Exception:  # noqa: BLE001 - Pillow raises almost anything; frames after a damaged one are not reliable
            return _checked_page_count(pages + 1, limits)
        _checked_page_count(max(pages, 1), limits)
        frame += 1


def seek_page(image: Image.Image, page_number: int) -> None:
    """Seeks to the frame of a page, counted from 1; small copies of a page are not counted."""
    if image.format != DocumentFormat.TIFF.value:
        image.seek(page_number - 1)
        return
    frame, pages, last = -1, 0, None
    while pages < page_number:
        frame += 1
        try:
            image.seek(frame)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            if pages + 1 == page_number:
                raise
            pages += 1
            continue
        except EOFError:
            image.seek(0)  # a file that contains only reduced copies
            return
        if _is_page(image, last):
            pages, last = pages + 1, (frame, image.size)


def _is_page(image: Image.Image, last: tuple[int, tuple[int, int]] | None) -> bool:
    """Whether the present frame is a page. `last` is the number and size of the frame of the page before it."""
    if _is_reduced(image):
        return False
    return last is None or not (has_size_of_copy(image.size, last[1]) and is_copy_of_frame(image, last[0]))


def _is_reduced(image: Image.Image) -> bool:
    """Whether a frame of a TIFF is a reduced copy of another frame, or its mask, according to its tags."""
    tags = getattr(image, "tag_v2", {})
    return bool(tags.get(NEW_SUBFILE_TYPE, 0) & (REDUCED | MASK)) or tags.get(OLD_SUBFILE_TYPE) == OLD_REDUCED


def _checked_page_count(pages: int, limits: Limits) -> int:
    if pages < 1:
        raise DocumentFailure(FailureKind.NO_PAGES, NO_PAGES_SENTENCE)
    if pages > limits.pages:
        raise DocumentFailure(
            FailureKind.TOO_MANY_PAGES,
            f"The document has more than the {limits.pages} pages that are read. Split it, or raise the limit.",
        )
    return pages


def _pdf_refusal(path: Path, error: pypdfium2.PdfiumError) -> DocumentFailure:
    # PDFium's error code may be left from an earlier document, so the PDF must also have an encryption dictionary
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        encrypted = error.err_code in PASSWORD_ERRORS and content.find(b"/Encrypt") >= 0
        without_pages = EMPTY_PAGE_TREE.search(content) is not None
    if encrypted:
        return DocumentFailure(
            FailureKind.ENCRYPTED, "The PDF requires a password. Remove its protection and store it again."
        )
    if without_pages:
        return DocumentFailure(FailureKind.NO_PAGES, NO_PAGES_SENTENCE)
    return DocumentFailure(FailureKind.CORRUPT, "The PDF is damaged beyond repair. Fetch the document again.")


def _too_many_pixels(limits: Limits) -> DocumentFailure:
    return DocumentFailure(
        FailureKind.TOO_LARGE,
        f"The image is larger than {limits.page_pixels / 1e6:.0f} million pixels. "
        "Scan it at a lower resolution, or raise the limit.",
    )


NEW_SUBFILE_TYPE, REDUCED, MASK = 254, 1, 4
OLD_SUBFILE_TYPE, OLD_REDUCED = 255, 2
"""Tags and values from TIFF 6.0, section 8."""

NO_PAGES_SENTENCE = "The document is intact, but has no pages. Fetch it again."

PASSWORD_ERRORS = frozenset({pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY})

EMPTY_PAGE_TREE = re.compile(rb"/Type\s*/Pages\b[^>]*/Count\s+0\b|/Count\s+0\b[^>]*/Type\s*/Pages\b")
"""Page tree without pages. PDFium reports such a PDF as a format error; only the page tree shows that it is not
damaged."""
