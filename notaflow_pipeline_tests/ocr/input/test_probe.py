"""Tests of probing: formats are detected from the bytes alone, and bad bytes raise nothing but `DocumentFailure`."""

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline.ocr.input.probe import ProbedDocument, probe_document
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline_tests.ocr.samples import (
    cut_tiff,
    locked_pdf,
    page_image,
    plain_pdf,
    scanned_pdf,
    tiff,
    typed_pdf,
)

LIMITS = Limits()


def failure_of(path: Path, limits: Limits = LIMITS) -> DocumentFailure:
    with pytest.raises(DocumentFailure) as caught:
        probe_document(path, limits)
    assert str(path.parent) not in caught.value.sentence
    assert caught.value.sentence.endswith(".")
    return caught.value


def test_formats_are_detected_by_content_and_not_by_name(tmp_path: Path) -> None:
    misnamed = tmp_path / "page.pdf"
    for document_format in set(DocumentFormat) - {DocumentFormat.PDF}:
        page_image().save(misnamed, format=document_format.value)
        assert probe_document(misnamed, LIMITS) == ProbedDocument(document_format, 1)
    assert probe_document(plain_pdf(tmp_path / "page.png"), LIMITS) == ProbedDocument(DocumentFormat.PDF, 1)


def test_pages_are_counted(tmp_path: Path) -> None:
    assert probe_document(plain_pdf(tmp_path / "a.pdf", pages=12), LIMITS).pages == 12
    assert probe_document(tiff(tmp_path / "a.tif", page_image(), page_image(), page_image()), LIMITS).pages == 3


def test_pdf_with_junk_before_its_header_opens(tmp_path: Path) -> None:
    path = plain_pdf(tmp_path / "a.pdf")
    path.write_bytes(b"\r\nX-Cache: miss\r\n\r\n" + path.read_bytes())
    assert probe_document(path, LIMITS) == ProbedDocument(DocumentFormat.PDF, 1)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", FailureKind.EMPTY_FILE),
        (b"<!DOCTYPE html><html><body>Session expir\xe9e</body></html>", FailureKind.NOT_A_DOCUMENT),
        (b"\r\n <HTML lang=fr>", FailureKind.NOT_A_DOCUMENT),
        (b"\x00\x01\x02 nothing that anybody knows", FailureKind.NOT_A_DOCUMENT),
        (b"%!PS-Adobe-3.0", FailureKind.UNSUPPORTED),
        (b"PK\x03\x04\x14\x00", FailureKind.UNSUPPORTED),
        (b"\x00\x00\x00\x18ftypheic", FailureKind.UNSUPPORTED),
        (b"%PDF-1.7\nand nothing else", FailureKind.CORRUPT),
        (b"\x89PNG\r\n\x1a\n", FailureKind.CORRUPT),
        (b"\xff\xd8\xff\xe0", FailureKind.CORRUPT),
        (b"II*\x00\x08\x00\x00\x00", FailureKind.CORRUPT),
        (b"GIF89a\x00\x00\x00\x00", FailureKind.CORRUPT),
        (b"BM\x00\x00\x00\x00\x00\x00\x00\x00", FailureKind.CORRUPT),
        (b"RIFF\x00\x00\x00\x00WEBP", FailureKind.CORRUPT),
        (b"\xff\x4f\xff\x51", FailureKind.CORRUPT),
    ],
)
def test_damaged_and_unsupported_files_have_their_kind_of_failure(
    tmp_path: Path, content: bytes, kind: FailureKind
) -> None:
    path = tmp_path / "file.pdf"
    path.write_bytes(content)
    failure = failure_of(path)
    assert failure.kind is kind
    assert not failure.kind.retryable


def test_pdf_that_needs_a_password_is_encrypted(tmp_path: Path) -> None:
    assert failure_of(locked_pdf(tmp_path / "a.pdf")).kind is FailureKind.ENCRYPTED


def test_pdf_without_pages_is_not_called_damaged(tmp_path: Path) -> None:
    assert failure_of(plain_pdf(tmp_path / "a.pdf", pages=0)).kind is FailureKind.NO_PAGES


def test_damaged_pdf_is_not_called_encrypted_after_one_that_was(tmp_path: Path) -> None:
    failure_of(locked_pdf(tmp_path / "a.pdf"))
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.7\nand nothing else")
    assert failure_of(tmp_path / "b.pdf").kind is FailureKind.CORRUPT


def test_file_over_the_size_limit_is_too_large(tmp_path: Path) -> None:
    path = plain_pdf(tmp_path / "a.pdf")
    assert failure_of(path, Limits(file_bytes=path.stat().st_size - 1)).kind is FailureKind.TOO_LARGE
    assert probe_document(path, Limits(file_bytes=path.stat().st_size)).pages == 1


def test_more_pages_than_the_limit_are_too_many(tmp_path: Path) -> None:
    for path in (plain_pdf(tmp_path / "a.pdf", pages=3), tiff(tmp_path / "a.tif", *[page_image()] * 3)):
        assert failure_of(path, Limits(pages=2)).kind is FailureKind.TOO_MANY_PAGES
        assert probe_document(path, Limits(pages=3)).pages == 3


def test_png_that_claims_too_many_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    path, header = tmp_path / "bomb.png", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"\0"))
    assert failure_of(path).kind is FailureKind.TOO_LARGE


def test_damaged_page_behind_whole_ones_is_counted(tmp_path: Path) -> None:
    path = cut_tiff(tmp_path / "a.tif", page_image(size=(100, 100)), page_image(size=(300, 300)))
    assert probe_document(path, LIMITS).pages == 2
    load_page(path, DocumentFormat.TIFF, 1)
    with pytest.raises(DocumentFailure):
        load_page(path, DocumentFormat.TIFF, 2)


def test_extra_pictures_of_a_photograph_are_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    page_image(mode="RGB").save(path, format="MPO", save_all=True, append_images=[Image.new("RGB", (40, 40))])
    assert probe_document(path, LIMITS) == ProbedDocument(DocumentFormat.JPEG, 1)


def opens_or_fails_properly(path: Path, content: bytes) -> None:
    """Any bytes are either no document, or one whose pages load or fail with a named failure."""
    path.write_bytes(content)
    limits = Limits(pages=20, page_pixels=1_000_000)
    with suppress(DocumentFailure):
        opened = probe_document(path, limits)
        assert 1 <= opened.pages <= limits.pages
        for number in range(1, min(opened.pages, 3) + 1):
            with suppress(DocumentFailure):
                page = load_page(path, opened.format, number, 72, limits)
                assert page.image is None or page.image.mode == "L"


SIGNATURES = [
    b"",
    b"%PDF-1.4\n",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"GIF89a",
    b"RIFF\x40\0\0\0WEBPVP8 ",
    b"BM\x40\0\0\0\0\0\0\0",
    b"\xff\x4f\xff\x51",
]

any_bytes = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@any_bytes
@given(signature=st.sampled_from(SIGNATURES), rest=st.binary(max_size=400))
def test_any_bytes_open_or_fail_properly(tmp_path: Path, signature: bytes, rest: bytes) -> None:
    opens_or_fails_properly(tmp_path / "any", signature + rest)


@pytest.fixture(scope="module")
def whole_documents(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("whole")
    small = page_image(size=(40, 30))
    for document_format in set(DocumentFormat) - {DocumentFormat.PDF, DocumentFormat.TIFF}:
        small.save(folder / document_format.value, format=document_format.value)
    paths = [
        plain_pdf(folder / "plain.pdf", pages=2),
        scanned_pdf(folder / "scan.pdf", "a"),
        typed_pdf(folder / "typed.pdf", "Vente du lot"),
        tiff(folder / "a.tif", small, small),
        *sorted(folder.glob("[A-Z]*")),
    ]
    return [path.read_bytes() for path in paths]


@any_bytes
@given(data=st.data())
def test_any_damage_to_a_document_opens_or_fails_properly(
    tmp_path: Path, whole_documents: list[bytes], data: st.DataObject
) -> None:
    content = bytearray(data.draw(st.sampled_from(whole_documents)))
    places = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, max_size=20)):
        content[place] = value
    opens_or_fails_properly(tmp_path / "damaged", bytes(content[: data.draw(st.integers(1, len(content)))]))
