"""Tests of the detection of a page's orientation from its pixels."""

import pytest
from PIL import Image

from notaflow_pipeline.ocr.preprocessing.orientation import is_sideways, rotated, skew_degrees
from notaflow_pipeline.ocr.preprocessing.preprocess import prepare
from notaflow_pipeline_tests.ocr.samples import act_page


@pytest.fixture(scope="module")
def page() -> Image.Image:
    return act_page()


@pytest.mark.parametrize("degrees", [-7, -3, 3, 7])
def test_skew_is_measured_to_a_quarter_of_a_degree(page: Image.Image, degrees: int) -> None:
    assert skew_degrees(rotated(page, degrees)) == pytest.approx(-degrees, abs=0.26)


def test_level_page_is_not_turned(page: Image.Image) -> None:
    assert prepare(page, 150).skew_degrees == 0


@pytest.mark.parametrize(("degrees", "lying"), [(0, False), (90, True), (180, False), (270, True)])
def test_sideways_page_is_detected(page: Image.Image, degrees: int, lying: bool) -> None:
    assert is_sideways(page.rotate(degrees, expand=True)) is lying
