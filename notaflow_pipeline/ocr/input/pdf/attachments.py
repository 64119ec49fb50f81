"""Files attached to a PDF: attached PDFs are read as further pages, other files are reported as not read.

A portfolio is a PDF of one page that says that a newer program is needed, with the documents attached to it.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pypdfium2
from pypdfium2 import raw

MAX_ATTACHMENTS = 100
MAX_BYTES = 256 * 1024**2
"""Maximum total size of the attached files of a document; further files are not read."""


NO_NAME = "without a name"


@dataclass(frozen=True)
class AttachedFiles:
    """Attached files. `pages` is the number of pages of the attached PDFs, which follow the pages of the document;
    `unread` contains the names of the other files."""

    pages: int = 0
    unread: tuple[str, ...] = field(default=(), repr=False)  # personal data: not for tracebacks and logs


def attached_files(document: pypdfium2.PdfDocument, max_pages: int) -> AttachedFiles:
    """Returns the attached files of a document. PDFs are read until one of them would exceed `max_pages`."""
    pages, unread, remaining_bytes, is_full = 0, [], MAX_BYTES, False
    count = document.count_attachments()
    for index in range(min(count, MAX_ATTACHMENTS)):
        content = _content(document, index, remaining_bytes)
        remaining_bytes -= len(content)
        found = _pages_of(content)
        is_full = is_full or pages + found > max_pages
        if found and not is_full:
            pages += found
        else:
            unread.append(_name(document, index))
    if count > MAX_ATTACHMENTS:
        unread.append(f"{count - MAX_ATTACHMENTS} more")
    return AttachedFiles(pages, tuple(unread))


def attached_to_page(page: pypdfium2.PdfPage) -> tuple[str, ...]:
    """Returns the names of files that are attached to a page as annotations (paper clips)."""
    names = []
    for index in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if annotation and raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_FILEATTACHMENT:
            attachment = raw.FPDFAnnot_GetFileAttachment(annotation)
            names.append(_name_of(pypdfium2.PdfAttachment(attachment, page.pdf)) if attachment else NO_NAME)
        if annotation:
            raw.FPDFPage_CloseAnnot(annotation)
    return tuple(names)


@contextmanager
def document_of_page(document: pypdfium2.PdfDocument, page_number: int) -> Iterator[tuple[pypdfium2.PdfDocument, int]]:
    """Yields the document or the attached PDF that contains a page, and the number of the page there; both count from
    1.

    Raises `pypdfium2.PdfiumError` if there is no such page.
    """
    if page_number <= len(document):
        yield document, page_number
        return
    number, remaining_bytes = page_number - len(document), MAX_BYTES
    for index in range(min(document.count_attachments(), MAX_ATTACHMENTS)):
        content = _content(document, index, remaining_bytes)
        remaining_bytes -= len(content)
        pages = _pages_of(content)
        if number <= pages:
            attached = pypdfium2.PdfDocument(content)
            try:
                yield attached, number
            finally:
                attached.close()
            return
        number -= pages
    raise pypdfium2.PdfiumError("no such page")


def _pages_of(content: bytes) -> int:
    """Returns the number of pages of an attached file; 0 if it is not a readable PDF."""
    if b"%PDF-" not in content[:1024]:
        return 0
    try:
        with pypdfium2.PdfDocument(content) as document:
            return len(document)
    except pypdfium2.PdfiumError:
        return 0


def _content(document: pypdfium2.PdfDocument, index: int, max_bytes: int) -> bytes:
    """Returns the bytes of an attached file; no bytes if it is broken or too large."""
    attachment = raw.FPDFDoc_GetAttachment(document, index)
    size_bytes = ctypes.c_ulong()
    if not attachment or not raw.FPDFAttachment_GetFile(attachment, None, 0, size_bytes):
        return b""
    if not 0 < size_bytes.value <= max_bytes:
        return b""
    buffer = ctypes.create_string_buffer(size_bytes.value)
    if not raw.FPDFAttachment_GetFile(attachment, buffer, size_bytes.value, size_bytes):
        return b""
    return buffer.raw[: size_bytes.value]


def _name(document: pypdfium2.PdfDocument, index: int) -> str:
    try:
        return _name_of(document.get_attachment(index))
    except pypdfium2.PdfiumError:
        return NO_NAME


def _name_of(attachment: pypdfium2.PdfAttachment) -> str:
    try:
        return " ".join(str(attachment.get_name()).split()) or NO_NAME
    except pypdfium2.PdfiumError:
        return NO_NAME
