"""Tests of noise: its measurement, its removal, and the preservation of print."""

import pytest
from PIL import Image, ImageChops

from notaflow_pipeline.ocr.preprocessing.noise import noise_level, without_noise
from notaflow_pipeline_tests.ocr.samples import page_image
from notaflow_pipeline_tests.testing.noise import noise_image, noisy


def grey(image: Image.Image) -> Image.Image:
    """Returns an image with ink and paper that are not black and white, so that noise changes them in both directions."""
    return image.point([80 + value * 90 // 255 for value in range(256)])


@pytest.mark.parametrize("level", [0, 3, 10, 25])
def test_noise_is_measured_and_print_is_not(level: float) -> None:
    assert noise_level(noisy(grey(page_image()), level)) == pytest.approx(level, rel=0.1, abs=0.1)


def test_clean_page_is_unchanged() -> None:
    page = page_image()
    assert without_noise(page) is page


def test_denoised_page_is_closer_to_the_clean_one() -> None:
    page = grey(page_image())
    spoilt = noisy(page, 25)

    def distance(image: Image.Image) -> float:
        counts = ImageChops.difference(image, page).histogram()
        return sum(value * count for value, count in enumerate(counts)) / sum(counts)

    assert distance(without_noise(spoilt)) < distance(spoilt) / 3


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (5, 5), (40, 3), (97, 193)])
def test_images_of_any_size_keep_it(size: tuple[int, int]) -> None:
    assert without_noise(noise_image(size, 40)).size == size
