"""Tests of page loading: every page is grey, upright, dark on white, and not larger than allowed."""

from pathlib import Path

import pytest
from PIL import Image, ImageChops

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.images.grey_conversion import grey
from notaflow_pipeline.ocr.input.page_loading import load_page, page_dpi, render_page
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline_tests.ocr.samples import page_image, plain_pdf, scanned_pdf, tiff
from notaflow_pipeline_tests.testing.noise import noise_image

BLACK_SQUARE_TOP_LEFT = "0 692 100 100 re f"
"""A square on a page of 612 x 792 points, whose origin is the lower left corner."""


def dark(image: Image.Image, x: float, y: float) -> bool:
    """Whether the pixel at a fraction of the width and height is dark."""
    value = image.getpixel((int(image.width * x), int(image.height * y)))
    assert isinstance(value, int)
    return value < 100


def test_pdf_page_is_rendered_at_the_requested_resolution(tmp_path: Path) -> None:
    path = plain_pdf(tmp_path / "a.pdf", content=BLACK_SQUARE_TOP_LEFT)
    page = render_page(path, DocumentFormat.PDF, 1, dpi=144)
    assert (page.mode, page.size, page_dpi(page)) == ("L", (1224, 1584), 144)
    assert dark(page, 0.05, 0.05)
    assert not dark(page, 0.9, 0.9)


@pytest.mark.parametrize(("rotate", "corner"), [(90, (0.95, 0.05)), (180, (0.95, 0.95)), (270, (0.05, 0.95))])
def test_rotation_of_a_pdf_page_is_honoured(tmp_path: Path, rotate: int, corner: tuple[float, float]) -> None:
    path = plain_pdf(tmp_path / "a.pdf", page_extra=f"/Rotate {rotate}", content=BLACK_SQUARE_TOP_LEFT)
    page = render_page(path, DocumentFormat.PDF, 1, dpi=72)
    assert page.size == ((612, 792) if rotate == 180 else (792, 612))
    assert dark(page, *corner)
    assert not dark(page, 0.05, 0.05)


@pytest.mark.parametrize("box", [(14_400, 14_400), (6, 5_000_000), (5_000_000, 6)])
def test_huge_pdf_page_is_rendered_at_less_resolution(tmp_path: Path, box: tuple[float, float]) -> None:
    limits = Limits(page_pixels=4_000_000)
    page = render_page(plain_pdf(tmp_path / "a.pdf", box=box), DocumentFormat.PDF, 1, limits=limits)
    assert page.width * page.height <= limits.page_pixels * 1.01  # PDFium rounds both sides up
    assert max(page.size) <= 32_767


def test_each_page_of_a_pdf_is_its_own(tmp_path: Path) -> None:
    path = scanned_pdf(tmp_path / "a.pdf", "", "MMMMMMMM")
    assert render_page(path, DocumentFormat.PDF, 1).getextrema() == (255, 255)
    assert render_page(path, DocumentFormat.PDF, 2).getextrema()[0] == 0


def test_frames_of_a_tiff_are_its_pages(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", page_image(size=(100, 50)), page_image(size=(60, 80)))
    assert [render_page(path, DocumentFormat.TIFF, number).size for number in (1, 2)] == [(100, 50), (60, 80)]


@pytest.mark.parametrize("document_format", [DocumentFormat.JPEG, DocumentFormat.PNG, DocumentFormat.TIFF])
def test_orientation_tag_turns_the_page_upright(tmp_path: Path, document_format: DocumentFormat) -> None:
    lying = Image.new("L", (200, 100), "white")
    lying.paste(0, (0, 0, 40, 40))  # top left as stored
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    lying.save(tmp_path / "a", format=document_format.value, exif=exif)
    page = render_page(tmp_path / "a", document_format, 1)
    assert page.size == (100, 200)
    assert dark(page, 0.9, 0.05)
    assert not dark(page, 0.05, 0.05)


def test_resolution_is_used_only_if_credible(tmp_path: Path) -> None:
    for stated, believed in ((300, 300), (1, None), (20_000, None)):
        page_image().save(tmp_path / "a.tif", format="TIFF", dpi=(stated, stated))
        assert page_dpi(render_page(tmp_path / "a.tif", DocumentFormat.TIFF, 1)) == believed


Colour = float | tuple[float, ...]


def half_black(mode: str, black: Colour, white: Colour) -> Image.Image:
    image = Image.new(mode, (20, 10), white)
    image.paste(black, (0, 0, 10, 10))
    return image


def palette() -> Image.Image:
    return half_black("RGB", (0, 0, 0), (255, 255, 255)).convert("P", palette=Image.Palette.ADAPTIVE)


@pytest.mark.parametrize(
    "image",
    [
        half_black("1", 0, 255),
        half_black("RGB", (0, 0, 0), (255, 255, 255)),
        half_black("CMYK", (0, 0, 0, 255), (0, 0, 0, 0)),
        half_black("LAB", (0, 128, 128), (255, 128, 128)),
        half_black("I;16", 0, 65_535),
        half_black("I", 0, 65_535),
        half_black("F", 0.0, 1.0),
        half_black("RGBA", (0, 0, 0, 255), (0, 0, 0, 0)),
        half_black("LA", (0, 255), (0, 0)),
        palette(),
    ],
    ids=lambda image: image.mode,
)
def test_every_kind_of_colour_becomes_dark_on_white(image: Image.Image) -> None:
    page = grey(image)
    assert (page.mode, page.size) == ("L", (20, 10))
    assert dark(page, 0.2, 0.5)
    assert page.getpixel((15, 5)) == 255


@pytest.mark.parametrize("marker", [True, False], ids=["Adobe's marker", "no marker"])
@pytest.mark.parametrize("inverted", [True, False], ids=["inverted", "not inverted"])
def test_cmyk_jpeg_is_dark_on_white(tmp_path: Path, *, inverted: bool, marker: bool) -> None:
    image = half_black("L", 0, 255).resize((200, 100)).convert("CMYK")
    path = tmp_path / "a.jpg"
    (image if inverted else ImageChops.invert(image)).save(path)  # Pillow inverts when it saves
    content = path.read_bytes()
    start = content.index(b"\xff\xee\x00\x0eAdobe")
    path.write_bytes(content if marker else content[:start] + content[start + 16 :])
    page = load_page(path, DocumentFormat.JPEG, 1).image
    assert page is not None
    assert dark(page, 0.2, 0.5)
    assert page.getpixel((150, 50)) == 255


def test_dark_cmyk_page_with_white_print_stays_dark() -> None:
    page = grey(half_black("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)).resize((60, 10)).crop((20, 0, 60, 10)))
    assert page.getpixel((0, 5)) == 255
    assert page.getpixel((35, 5)) == 0


def test_sixteen_bits_keep_their_shades() -> None:
    page = grey(Image.new("I;16", (1, 1), 128 * 256))
    assert page.getpixel((0, 0)) == 128


@pytest.mark.parametrize("document_format", [DocumentFormat.JPEG, DocumentFormat.PNG, DocumentFormat.TIFF])
def test_truncated_image_is_read_as_far_as_it_goes(tmp_path: Path, document_format: DocumentFormat) -> None:
    path = tmp_path / "a"
    noise = noise_image((400, 400), 80)
    noise.save(path, format=document_format.value)
    assert not load_page(path, document_format, 1).damaged
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    page = load_page(path, document_format, 1)
    assert page.damaged
    assert page.image is not None
    upper = page.image.crop((0, 0, 400, 150))
    assert max(abs(one - other) for one, other in zip(upper.tobytes(), noise.tobytes(), strict=False)) < 60


def test_image_of_which_nothing_is_left_is_corrupt(tmp_path: Path) -> None:
    page_image(size=(400, 400)).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(DocumentFailure) as caught:
        load_page(tmp_path / "a.png", DocumentFormat.PNG, 1)
    assert caught.value.kind is FailureKind.CORRUPT
    assert not caught.value.kind.retryable


@pytest.mark.parametrize("document_format", [one for one in DocumentFormat if one is not DocumentFormat.PDF])
def test_every_image_format_is_read(tmp_path: Path, document_format: DocumentFormat) -> None:
    image = half_black("RGB", (0, 0, 0), (255, 255, 255)).resize((200, 100))
    image.save(tmp_path / "a", format=document_format.value)
    page = load_page(tmp_path / "a", document_format, 1)
    assert page.image is not None
    assert (page.image.mode, page.image.size) == ("L", (200, 100))
    assert dark(page.image, 0.2, 0.5)
    assert not dark(page.image, 0.8, 0.5)


@pytest.mark.parametrize(
    ("mode", "compression"),
    [("1", "group3"), ("1", "group4"), ("L", "jpeg"), ("RGB", "jpeg"), ("RGB", "tiff_lzw"), ("CMYK", "tiff_deflate")],
)
def test_every_kind_of_tiff_is_read(tmp_path: Path, mode: str, compression: str) -> None:
    image = half_black("RGB", (0, 0, 0), (255, 255, 255)).resize((200, 100)).convert(mode)
    image.save(tmp_path / "a", format="TIFF", compression=compression)
    page = load_page(tmp_path / "a", DocumentFormat.TIFF, 1)
    assert page.image is not None
    assert dark(page.image, 0.2, 0.5)
    assert not dark(page.image, 0.8, 0.5)


def test_image_over_the_pixel_limit_is_not_decoded(tmp_path: Path) -> None:
    page_image(size=(300, 300)).save(tmp_path / "a.png")
    with pytest.raises(DocumentFailure) as caught:
        render_page(tmp_path / "a.png", DocumentFormat.PNG, 1, limits=Limits(page_pixels=89_999))
    assert caught.value.kind is FailureKind.TOO_LARGE
