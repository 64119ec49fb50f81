"""Tests of unusual image files: more than eight bits per pixel, reduced copies in a TIFF, bytes before the image."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.images.sixteen_bit_grey import full_range
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline.ocr.input.probe import probe_document
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline_tests.ocr.samples import act_page, index_page, page_image, tiff

NEW_SUBFILE_TYPE, OLD_SUBFILE_TYPE = 254, 255


def sixteen_bits(white: int) -> Image.Image:
    """Returns an image, half black and half white, whose white is less than the maximum of sixteen bits."""
    values = np.zeros((10, 20), dtype=np.uint16)
    values[:, 10:] = white
    return Image.fromarray(values)


@pytest.mark.parametrize("white", [1000, 3760, 4095, 16_000, 65_535])
@pytest.mark.parametrize("document_format", [DocumentFormat.TIFF, DocumentFormat.PNG])
def test_white_of_any_depth_is_white(tmp_path: Path, white: int, document_format: DocumentFormat) -> None:
    sixteen_bits(white).save(tmp_path / "a", format=document_format.value)
    page = load_page(tmp_path / "a", document_format, 1)
    assert page.image is not None
    assert page.image.mode == "L"
    assert page.image.getpixel((3, 3)) == 0
    light = page.image.getpixel((15, 3))
    assert isinstance(light, int)
    assert light > 220


@pytest.mark.parametrize(("brightest", "white"), [(14, 238), (63, 255), (200, 200)])
def test_colours_of_which_few_bits_are_used_are_stretched(brightest: int, white: int) -> None:
    image = Image.new("RGB", (4, 4))
    image.tag_v2 = {258: (16, 16, 16)}  # type: ignore[attr-defined]  # TIFF images of Pillow have this attribute
    assert full_range(Image.new("L", (4, 4), brightest), image).getpixel((0, 0)) == white


def test_colours_of_eight_bits_stay(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (20, 20, 20)).save(tmp_path / "a.tif")
    page = load_page(tmp_path / "a.tif", DocumentFormat.TIFF, 1)
    assert page.image is not None
    assert page.image.getpixel((0, 0)) == 20


def tagged(path: Path, frames: list[tuple[tuple[int, int], dict[int, int]]]) -> Path:
    """Writes a TIFF with frames of these sizes and tags."""
    files = []
    for number, (size, tags) in enumerate(frames):
        info = ImageFileDirectory_v2()
        for tag, value in tags.items():
            info[tag] = value
        Image.new("L", size, 200).save(path.parent / f"{number}.tif", tiffinfo=info)
        files.append(Image.open(path.parent / f"{number}.tif"))
    infos = [file.tag_v2 for file in files]  # type: ignore[attr-defined]
    for file, info in zip(files, infos, strict=True):
        file.encoderinfo = {"tiffinfo": info}
    return tiff(path, *files)


@pytest.mark.parametrize(
    "reduced", [{NEW_SUBFILE_TYPE: 1}, {OLD_SUBFILE_TYPE: 2}, {NEW_SUBFILE_TYPE: 4}], ids=["new tag", "old tag", "mask"]
)
def test_smaller_copies_in_a_tiff_are_no_pages(tmp_path: Path, reduced: dict[int, int]) -> None:
    whole: dict[int, int] = {NEW_SUBFILE_TYPE: 2}
    path = tagged(tmp_path / "a.tif", [((10, 10), reduced), ((100, 80), whole), ((50, 40), reduced), ((90, 70), whole)])
    assert probe_document(path, Limits()).pages == 2
    sizes = [load_page(path, DocumentFormat.TIFF, number).image for number in (1, 2)]
    assert [image.size for image in sizes if image] == [(100, 80), (90, 70)]


@pytest.mark.parametrize("how", [Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
def test_preview_without_a_tag_is_no_page(tmp_path: Path, how: Image.Resampling) -> None:
    page, other = act_page(), index_page(9, 150)
    previews = [one.resize((one.width // 6, one.height // 6), how) for one in (page, other)]
    path = tiff(tmp_path / "a.tif", page, previews[0], other, previews[1])
    assert probe_document(path, Limits()).pages == 2
    sizes = [load_page(path, DocumentFormat.TIFF, number).image for number in (1, 2)]
    assert [image.size for image in sizes if image] == [page.size, other.size]


def small_pages() -> list[Image.Image]:
    """Returns small images of which none is a copy of `act_page`: blank, another page, one more line, another shape."""
    page = act_page()
    small = page.resize((page.width // 3, page.height // 3))
    more = small.copy()
    ImageDraw.Draw(more).text((70, 370), "Radie", fill=60, font_size=10)
    return [Image.new("L", small.size, 225), index_page(9, 150).resize(small.size), more, small.crop((0, 0, 300, 400))]


@pytest.mark.parametrize("small", small_pages(), ids=["blank", "another page", "one more word", "another shape"])
def test_small_page_that_differs_from_the_one_before_stays(tmp_path: Path, small: Image.Image) -> None:
    path = tiff(tmp_path / "a.tif", act_page(), small)
    assert probe_document(path, Limits()).pages == 2


def test_tiff_of_nothing_but_smaller_copies_has_a_page(tmp_path: Path) -> None:
    path = tagged(tmp_path / "a.tif", [((10, 10), {NEW_SUBFILE_TYPE: 1})])
    assert probe_document(path, Limits()).pages == 1
    assert load_page(path, DocumentFormat.TIFF, 1).image is not None


@pytest.mark.parametrize("before", [b"\n", b"\r\n\r\n\r\n", b"\xef\xbb\xbf", b" \t\n" * 20])
@pytest.mark.parametrize("document_format", [DocumentFormat.JPEG, DocumentFormat.PNG, DocumentFormat.TIFF])
def test_image_behind_blank_bytes_is_read(tmp_path: Path, before: bytes, document_format: DocumentFormat) -> None:
    path = tmp_path / "a"
    page_image().save(path, format=document_format.value)
    path.write_bytes(before + path.read_bytes())
    opened = probe_document(path, Limits())
    assert (opened.format, opened.pages) == (document_format, 1)
    page = load_page(path, opened.format, 1)
    assert page.image is not None
    assert (page.image.size, page.damaged) == ((1000, 300), False)


@pytest.mark.parametrize("ink", [0, 255], ids=["black print", "white print"])
def test_print_on_transparent_paper_is_visible(tmp_path: Path, ink: int) -> None:
    print_mask = page_image().point(lambda value: 255 - value)
    image = Image.merge("LA", (Image.new("L", print_mask.size, ink), print_mask))
    image.save(tmp_path / "a.png")
    page = load_page(tmp_path / "a.png", DocumentFormat.PNG, 1)
    assert page.image is not None
    assert page.image.getextrema() == (0, 255)


@pytest.mark.parametrize(
    ("size", "dpi", "expected"),
    [
        ((1728, 1078), (204, 98), (1728, 2244)),  # a fax in standard resolution
        ((1728, 2156), (204, 196), (1728, 2156)),  # a fax in fine resolution
        ((850, 2200), (100, 200), (1700, 2200)),
        ((1700, 2200), (200, 100), (1700, 2200)),  # the tag is wrong: no paper is so long
        ((1700, 2200), (300, 72), (1700, 2200)),
    ],
)
def test_page_with_two_resolutions_gets_square_pixels(
    tmp_path: Path, size: tuple[int, int], dpi: tuple[int, int], expected: tuple[int, int]
) -> None:
    Image.new("1", size, 1).save(tmp_path / "a.tif", dpi=dpi)
    image = load_page(tmp_path / "a.tif", DocumentFormat.TIFF, 1).image
    assert image is not None
    assert image.size == expected


def test_two_resolutions_of_a_page_on_its_side_are_turned_with_it(tmp_path: Path) -> None:
    image = Image.new("L", (1078, 1728), 255)
    exif = image.getexif()
    exif[0x0112] = 6  # rotate clockwise
    image.save(tmp_path / "a.tif", dpi=(98, 204), exif=exif)
    page = load_page(tmp_path / "a.tif", DocumentFormat.TIFF, 1).image
    assert page is not None
    assert page.size == (1728, 2244)


def test_large_page_with_two_resolutions_is_reduced(tmp_path: Path) -> None:
    Image.new("1", (8000, 5300), 1).save(tmp_path / "a.tif", dpi=(800, 400))
    page = load_page(tmp_path / "a.tif", DocumentFormat.TIFF, 1).image
    assert page is not None
    assert page.size == (4000, 5300)
    assert page.info["dpi"] == (400, 400)
