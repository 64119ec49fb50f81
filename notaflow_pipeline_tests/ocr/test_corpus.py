"""Tests of reading files that broke other programs, and on typed pages whose words are known.

The corpus is not part of the repository: it is expected in `../shared/corpus`, or in the folder that NOTAFLOW_CORPUS
names.
"""

from collections.abc import Iterator

import jiwer
import pytest
from PIL import Image, ImageOps

from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.engines.tesseract_program import TesseractEngine
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.preprocessing.noise import MIN_REMOVED_NOISE
from notaflow_pipeline.ocr.preprocessing.orientation import rotated, skew_degrees
from notaflow_pipeline.ocr.preprocessing.preprocess import Steps, noise_of, prepare, scaled, without_background
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.testing.corpus import CORPUS
from notaflow_pipeline_tests.testing.noise import noisy
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus in {CORPUS}: set NOTAFLOW_CORPUS to have it")


@pytest.fixture(scope="module")
def tesseract() -> Iterator[DocumentPool]:
    with DocumentPool(TesseractEngine("fra"), workers=2) as pool:
        yield pool


def test_every_bad_file_is_read_or_fails_properly() -> None:
    """All files are opened and rendered; recognition is omitted to save time."""
    with DocumentPool(NullEngine(), workers=2, limits=Limits(page_seconds=60)) as pool:
        futures = {path.name: pool.start(path) for path in sorted((CORPUS / "bad").iterdir())}
        for name, future in futures.items():
            error = future.exception(timeout=HANG_SECONDS)
            assert error is None or (isinstance(error, DocumentFailure) and not error.kind.retryable), name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gen_zero.tif", "empty_file"),
        ("gen_html_as.pdf", "not_a_document"),
        ("gen_random.pdf", "not_a_document"),
        ("gen_zero_pages.pdf", "no_pages"),
        ("gen_1000_blank_pages.pdf", "too_many_pages"),
        ("pillow_decompression_bomb.gif", "too_large"),
        ("pillow_zero_width.gif", "corrupt"),
        ("qpdf_issue-146.pdf", "corrupt"),
        ("pypdf_r3-user-password.pdf", "encrypted"),
        ("qpdf_enc-XI-R6_V5_U-view_O-master.pdf", "encrypted"),
    ],
)
def test_bad_file_fails_for_the_right_reason(tesseract: DocumentPool, name: str, kind: str) -> None:
    error = tesseract.start(CORPUS / "bad" / name).exception(timeout=HANG_SECONDS)
    assert isinstance(error, DocumentFailure)
    assert error.kind == kind


@pytest.mark.parametrize(
    "name",
    [
        "gen_scan.pdf",
        "gen_jpeg_named.pdf",
        "gen_pdf_named.png",
        "gen_junk_before_header.pdf",
        "gen_inverted.jpg",
        "gen_16bit.tif",
        "gen_stamp_text_on_scan.pdf",
        "gen_huge_mediabox.pdf",
        "gen_truncated.jpg",
    ],
)
def test_unusual_file_is_read(tesseract: DocumentPool, name: str) -> None:
    document = tesseract.start(CORPUS / "bad" / name).result(timeout=HANG_SECONDS)
    assert "travaux de protection" in document.text


@pytest.mark.parametrize("name", ["ocrmypdf_blank.pdf", "gen_black.png", "gen_30x30.png", "gen_2000x1.png"])
def test_page_without_text_is_read_as_empty(tesseract: DocumentPool, name: str) -> None:
    document = tesseract.start(CORPUS / "bad" / name).result(timeout=HANG_SECONDS)
    assert (document.text, document.mean_confidence) == ("", None)


@pytest.mark.parametrize("name", ["pypdf_r6-empty-password.pdf", "pdfjs_secHandler.pdf"])
def test_pdf_with_an_empty_password_is_read(tesseract: DocumentPool, name: str) -> None:
    assert tesseract.start(CORPUS / "bad" / name).result(timeout=HANG_SECONDS).text


@pytest.mark.parametrize(
    ("name", "pages", "text_layer", "failed"),
    [
        ("gen_truncated_multi.tif", 3, 0, 1),
        ("pdfjs_Pages-tree-refs.pdf", 2, 1, 1),
        ("pdfjs_rotation.pdf", 2, 2, 0),
        ("pypdf_Seige_of_Vicksburg_Sample_OCR.pdf", 6, 0, 0),  # the null engine does not agree with any earlier OCR
        ("qpdf_append-xref-loop.pdf", 30, 30, 0),
        ("qpdf_deep-pages.pdf", 1, 0, 0),
    ],
)
def test_readable_pages_of_a_damaged_file_are_read(name: str, pages: int, text_layer: int, failed: int) -> None:
    with DocumentPool(NullEngine(), workers=1) as pool:
        document = pool.start(CORPUS / "bad" / name).result(timeout=HANG_SECONDS)
    assert (len(document.pages), document.pages_text_layer, document.pages_failed) == (pages, text_layer, failed)


def test_typed_page_has_most_of_its_words(tesseract: DocumentPool) -> None:
    known = set((CORPUS / "pages" / "page01.gt.txt").read_text().split())
    found = set(tesseract.start(CORPUS / "pages" / "page01.jpg").result(timeout=HANG_SECONDS).text.split())
    assert len(known & found) > 0.7 * len(known)


@pytest.mark.parametrize("name", ["page01", "page02"])
def test_page_is_read_alike_in_every_orientation_and_inverted(name: str) -> None:
    """Two kinds of page: a light photograph, and a faint scan at 600 dpi.

    A footer or a page number that is read in one orientation only makes a difference of some points.
    """
    page = page_image(name)
    engine = default_engine()

    def text_of(image: Image.Image) -> str:
        return " ".join(read_page(image, None, engine, 120).text.split())

    upright = text_of(page)
    changed = {
        "turned 90": page.transpose(Image.Transpose.ROTATE_90),
        "turned 180": page.transpose(Image.Transpose.ROTATE_180),
        "turned 270": page.transpose(Image.Transpose.ROTATE_270),
        "inverted": ImageOps.invert(page),
    }
    unlike = {way: jiwer.cer(upright, text_of(one)) for way, one in changed.items()}
    assert max(unlike.values()) < 0.08, unlike


@pytest.mark.parametrize("change", [Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90])
def test_page_whose_layout_analysis_fails_is_read(change: Image.Transpose) -> None:
    """With a thin frame, the engine takes the upside-down page for a picture; it found nothing."""
    read = read_page(page_image("page08").transpose(change), None, default_engine(), 120)
    known = set((CORPUS / "pages" / "page08.gt.txt").read_text().split())
    assert len(known & set(read.text.split())) > 0.5 * len(known)


def test_noisy_page_is_read_or_has_low_coverage() -> None:
    """The same page in noise of 30: with some random seeds the engine finds no line, with others nearly all."""
    known = set((CORPUS / "pages" / "page08.gt.txt").read_text().split())
    shares = []
    for seed in range(3):
        read = read_page(noisy(page_image("page08"), 30, seed=seed), None, default_engine(), 120)
        shares.append(len(known & set(read.text.split())) / len(known))
        assert shares[-1] > 0.5 or (read.coverage is not None and read.coverage < 0.5)
    assert max(shares) > 0.5


def test_added_noise_is_distinguished_from_the_page_s_own() -> None:
    for path in sorted((CORPUS / "pages").glob("page*.gt.txt")):
        page = page_image(path.name.removesuffix(".gt.txt"))
        own, added = (noise_of(prepare(one, None, Steps(denoise=False))) for one in (page, noisy(page, 30)))
        assert own < MIN_REMOVED_NOISE < added, path.name


def test_skew_of_every_page_is_detected_to_either_side() -> None:
    for path in sorted((CORPUS / "pages").glob("page*.gt.txt")):
        page = without_background(scaled(page_image(path.name.removesuffix(".gt.txt")), None))
        for degrees in (-7, 7):
            # some of them have that much skew themselves
            assert skew_degrees(rotated(page, degrees)) == pytest.approx(-degrees, abs=2), (path.name, degrees)


def page_image(name: str) -> Image.Image:
    """Returns a typed page of the corpus in grey."""
    path = next(one for one in (CORPUS / "pages").glob(f"{name}.*") if one.suffix != ".txt")
    with Image.open(path) as opened:
        return opened.convert("L")
