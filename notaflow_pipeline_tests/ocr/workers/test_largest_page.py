"""The largest legitimate page passes the default limits: an A3 double page at 600 dpi, 139 million pixels."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

WIDTH, HEIGHT = 14_043, 9_933


@pytest.mark.parametrize(("mode", "form"), [("L", "jpg"), ("RGB", "jpg"), ("RGB", "png")])
def test_largest_page_passes_the_default_limits(tmp_path: Path, mode: str, form: str) -> None:
    page = Image.new(mode, (WIDTH, HEIGHT), "white")
    ImageDraw.Draw(page).rectangle((1000, 1000, 9000, 1300), fill="black")
    file = tmp_path / f"page.{form}"
    page.save(file, dpi=(600, 600), compress_level=1)
    del page
    with DocumentPool(NullEngine(), workers=1, limits=Limits()) as pool:
        [read] = pool.start(file).result(timeout=HANG_SECONDS).pages
    assert read.failure is None
    assert read.text.startswith("page of ")
