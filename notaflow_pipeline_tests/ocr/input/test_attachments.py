"""Tests of files attached to a PDF: they are read as further pages, or named as not read."""

from pathlib import Path

import pypdfium2
import pytest

from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline.ocr.input.probe import probe_document
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline_tests.ocr.samples import page_pdf, plain_pdf, typed_pdf
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS


def portfolio(path: Path, attached: dict[str, bytes]) -> Path:
    document = pypdfium2.PdfDocument(typed_pdf(path.parent / "cover.pdf", "Ouvrez ce porte-documents dans Acrobat"))
    for name, content in attached.items():
        document.new_attachment(name).set_data(content)
    document.save(path)
    return path


@pytest.fixture
def attached(tmp_path: Path) -> dict[str, bytes]:
    deed = typed_pdf(tmp_path / "deed.pdf", "Le lot 3 770 292 est vendu").read_bytes()
    two = plain_pdf(tmp_path / "two.pdf", pages=2, content="0 0 9 9 re f").read_bytes()
    return {"acte.pdf": deed, "note.txt": b"une note", "deux.pdf": two}


def test_attached_pdfs_are_further_pages(tmp_path: Path, attached: dict[str, bytes]) -> None:
    path = portfolio(tmp_path / "a.pdf", attached)
    opened = probe_document(path, Limits())
    assert (opened.pages, opened.unread) == (4, ("note.txt",))
    texts = [load_page(path, DocumentFormat.PDF, number).text for number in range(1, 5)]
    assert texts == ["Ouvrez ce porte-documents dans Acrobat", "Le lot 3 770 292 est vendu", "", ""]


def test_attached_files_that_are_not_read_are_named_in_the_text(tmp_path: Path, attached: dict[str, bytes]) -> None:
    with DocumentPool(NullEngine(), workers=1) as pool:
        document = pool.start(portfolio(tmp_path / "a.pdf", attached)).result(timeout=HANG_SECONDS)
    assert "3 770 292" in document.text
    assert document.text.endswith("[attached file was not read: note.txt]")


def test_attached_pdfs_beyond_the_limit_are_named(tmp_path: Path, attached: dict[str, bytes]) -> None:
    opened = probe_document(portfolio(tmp_path / "a.pdf", attached), Limits(pages=3))
    assert (opened.pages, set(opened.unread)) == (2, {"note.txt", "deux.pdf"})


def test_page_behind_the_last_one_is_damaged(tmp_path: Path, attached: dict[str, bytes]) -> None:
    with pytest.raises(DocumentFailure):
        load_page(portfolio(tmp_path / "a.pdf", attached), DocumentFormat.PDF, 5)


@pytest.mark.parametrize("more", ["", " 9 0 R"], ids=["alone", "beside a field"])
def test_file_attached_to_a_page_is_named(tmp_path: Path, more: str) -> None:
    clip = "<</Type/Annot/Subtype/FileAttachment/Rect[500 700 520 720]/FS 7 0 R>>"
    path = page_pdf(
        tmp_path / "a.pdf",
        "BT /F 12 Tf 72 700 Td (Voir la pièce jointe) Tj ET",
        page_extra=f"/Annots[6 0 R{more}]",
        more=[
            clip,
            "<</Type/Filespec/F(plan.pdf)/UF(plan.pdf)/EF<</F 8 0 R>>>>",
            "<</Length 4>>stream\nplan\nendstream",
            "<</Type/Annot/Subtype/Widget/FT/Tx/T(prix)/Rect[200 100 400 120]/F 4>>",
        ],
    )
    with DocumentPool(NullEngine(), workers=1) as pool:
        document = pool.start(path).result(timeout=HANG_SECONDS)
    assert "Voir la pièce jointe" in document.text
    assert "[attached file was not read: plan.pdf]" in document.text
