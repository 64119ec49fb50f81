"""Tests of damaged PDFs: the pages that are left are read, and the text says that pages are missing."""

from pathlib import Path

import pytest

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline.ocr.input.probe import probe_document
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline_tests.ocr.samples import page_image, plain_pdf, scanned_pdf
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

SQUARE = "100 100 200 200 re f"


def cut(path: Path, before: bytes, occurrence: int = -1) -> Path:
    content = path.read_bytes()
    place = content.rfind(before) if occurrence < 0 else content.index(before)
    path.write_bytes(content[:place])
    return path


def test_pages_before_the_cut_are_read_and_the_loss_is_marked(tmp_path: Path) -> None:
    path = cut(plain_pdf(tmp_path / "a.pdf", pages=9, content=SQUARE), b"9 0 obj")  # the objects 4 to 8 are pages
    with DocumentPool(NullEngine(), workers=1) as pool:
        document = pool.start(path).result(timeout=HANG_SECONDS)
    assert len(document.pages) == 5
    assert document.text.endswith("page of 2550x3301\n\n[document is damaged: pages may be missing here]")


def test_scan_without_a_page_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    scanned_pdf(path, "Vente du lot")
    image = page_image("Vente du lot\n" * 8, size=(1000, 900))
    image.save(path, format="PDF", resolution=150)
    content = path.read_bytes()
    begin = content.index(b"\xff\xd8\xff")
    path.write_bytes(
        b"%PDF-1.4\n" + content[content.rindex(b"obj", 0, begin) - 4 : begin + 2 * (len(content) - begin) // 3]
    )
    opened = probe_document(path, Limits())
    assert (opened.pages, opened.incomplete) == (1, True)
    page = load_page(path, DocumentFormat.PDF, 1)
    assert page.image is not None
    assert page.image.size == (1000, 900)
    assert page.image.crop((0, 0, 1000, 300)).getextrema()[0] == 0


def test_page_tree_too_deep_for_pdfium_is_made_flat(tmp_path: Path) -> None:
    path, deep = tmp_path / "a.pdf", 120
    tree = "".join(
        f"{n} 0 obj<</Type/Pages/Kids[{n + 1} 0 R]/Count 1/Parent {n - 1} 0 R>>endobj\n" for n in range(3, deep)
    )
    path.write_text(
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        f"{tree}{deep} 0 obj<</Type/Page/Parent {deep - 1} 0 R/MediaBox[0 0 72 72]/Contents {deep + 1} 0 R>>endobj\n"
        f"{deep + 1} 0 obj<</Length 13>>stream\n0 0 36 72 re f\nendstream endobj\ntrailer<</Root 1 0 R/Size 200>>\n%%EOF"
    )
    page = load_page(path, DocumentFormat.PDF, 1, dpi=72)
    assert page.image is not None
    assert (page.image.getpixel((10, 10)), page.image.getpixel((60, 10))) == (0, 255)


def test_pdf_of_which_no_page_is_left_is_corrupt(tmp_path: Path) -> None:
    path = cut(plain_pdf(tmp_path / "a.pdf", pages=2, content=SQUARE), b"3 0 obj", 0)
    with pytest.raises(DocumentFailure) as caught:
        probe_document(path, Limits())
    assert caught.value.kind is FailureKind.CORRUPT
