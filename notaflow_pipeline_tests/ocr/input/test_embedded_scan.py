"""Tests of scans extracted from a PDF: they equal the drawn page in every orientation, or are not extracted."""

from itertools import product
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import load_page, page_dpi
from notaflow_pipeline.ocr.input.pdf.bitmaps import grey_bitmap
from notaflow_pipeline.ocr.input.pdf.embedded_scan import embedded_scan
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline_tests.ocr.samples import picture_pdf

GREY = "/ColorSpace/DeviceGray/BitsPerComponent 8"
UPRIGHT = "200 0 0 200 0 0"


def picture() -> Image.Image:
    """Returns an image with a dark corner at the top left and a grey bar, which is different in every orientation."""
    image = Image.new("L", (400, 400), 255)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 99, 99), fill=0)
    draw.rectangle((200, 300, 399, 349), fill=100)
    return image


def taken_and_drawn(path: Path) -> tuple[Image.Image | None, Image.Image]:
    page = pypdfium2.PdfDocument(path)[0]
    found = embedded_scan(page, Limits())
    return found[0] if found else None, grey_bitmap(page.render(scale=2))


def difference(one: Image.Image, other: Image.Image) -> float:
    return ImageStat.Stat(ImageChops.difference(one.resize(other.size), other)).mean[0]


MATRICES = [
    UPRIGHT,
    "-200 0 0 200 200 0",
    "200 0 0 -200 0 200",
    "-200 0 0 -200 200 200",
    "0 200 -200 0 200 0",
    "0 -200 200 0 0 200",
    "0 200 200 0 0 0",
    "0 -200 -200 0 200 200",
]


def test_turned_and_mirrored_scan_equals_its_rendering(tmp_path: Path) -> None:
    for matrix, rotation in product(MATRICES, (0, 90, 180, 270)):
        path = picture_pdf(tmp_path / "a.pdf", picture(), GREY, matrix, page_extra=f"/Rotate {rotation}")
        taken, drawn = taken_and_drawn(path)
        assert taken is not None, (matrix, rotation)
        assert difference(taken, drawn) < 2, (matrix, rotation)


def test_scan_keeps_its_pixels_and_resolution(tmp_path: Path) -> None:
    page = load_page(picture_pdf(tmp_path / "a.pdf", picture(), GREY, UPRIGHT), DocumentFormat.PDF, 1, dpi=300)
    assert page.image is not None
    assert page.image.tobytes() == picture().tobytes()
    assert page_dpi(page.image) == 144


@pytest.mark.parametrize(
    ("dictionary", "picture_of"),
    [
        (f"{GREY}/Decode[1 0]", ImageChops.invert),
        ("/ColorSpace/DeviceGray/BitsPerComponent 1", lambda image: image.convert("1")),
        ("/ColorSpace/DeviceRGB/BitsPerComponent 8/Decode[1 0 1 0 1 0]", lambda i: ImageChops.invert(i.convert("RGB"))),
        ("/ColorSpace/DeviceCMYK/BitsPerComponent 8", lambda image: image.convert("CMYK")),
        (
            "/ColorSpace[/Indexed/DeviceGray 255<" + bytes(range(255, -1, -1)).hex() + ">]/BitsPerComponent 8",
            ImageChops.invert,
        ),
    ],
    ids=["inverted", "one bit", "inverted colours", "CMYK", "palette"],
)
def test_colours_of_a_scan_are_those_of_the_pdf(tmp_path: Path, dictionary: str, picture_of: object) -> None:
    assert callable(picture_of)
    taken, drawn = taken_and_drawn(picture_pdf(tmp_path / "a.pdf", picture_of(picture()), dictionary, UPRIGHT))
    assert taken is not None
    assert difference(taken, drawn) < 2


def test_image_through_a_mask_is_rendered(tmp_path: Path) -> None:
    mask = Image.new("L", (400, 400), 0)
    path = picture_pdf(tmp_path / "a.pdf", Image.new("L", (400, 400), 0), f"{GREY}/SMask 6 0 R", UPRIGHT, mask=mask)
    taken, drawn = taken_and_drawn(path)
    assert taken is None
    assert drawn.getextrema() == (255, 255)


@pytest.mark.parametrize(
    ("dictionary", "matrix", "content"),
    [
        ("/ImageMask true/BitsPerComponent 1", UPRIGHT, ""),
        (GREY, "180 60 -60 180 60 0", ""),
        (GREY, "400 0 0 400 -100 -100", ""),
        (GREY, UPRIGHT, "0 0 50 50 re f"),
        (GREY, UPRIGHT, "q 50 0 0 50 0 0 cm /I Do Q"),
        (GREY, "200 0 0 20 0 0", ""),
    ],
    ids=["stencil", "leaning", "cropped", "with a drawing", "two images", "stretched"],
)
def test_page_that_is_not_exactly_one_image_is_rendered(
    tmp_path: Path, dictionary: str, matrix: str, content: str
) -> None:
    image = picture().convert("1") if "ImageMask" in dictionary else picture()
    path = picture_pdf(tmp_path / "a.pdf", image, dictionary, matrix, content=content)
    taken, _ = taken_and_drawn(path)
    assert taken is None
    page = load_page(path, DocumentFormat.PDF, 1, dpi=72)
    assert page.image is not None
    assert page.image.size == (200, 200)


def test_small_scan_on_an_enormous_page_keeps_its_pixels(tmp_path: Path) -> None:
    path = picture_pdf(tmp_path / "a.pdf", picture(), GREY, UPRIGHT, box=(14_400, 14_400))
    page = load_page(path, DocumentFormat.PDF, 1)
    assert page.image is not None
    assert page.image.size == (400, 400)


def test_fax_with_uneven_pixels_is_made_even(tmp_path: Path) -> None:
    path = picture_pdf(tmp_path / "a.pdf", picture().resize((400, 200)), GREY, UPRIGHT)
    page = load_page(path, DocumentFormat.PDF, 1)
    assert page.image is not None
    assert (page.image.size, page_dpi(page.image)) == ((834, 834), 300)


def test_retried_page_has_few_pixels(tmp_path: Path) -> None:
    path = picture_pdf(tmp_path / "a.pdf", picture(), GREY, "96 0 0 96 0 0", box=(96, 96))
    page = load_page(path, DocumentFormat.PDF, 1, coarse=True)
    assert page.image is not None
    assert (page.image.size, page_dpi(page.image)) == ((200, 200), 150)
