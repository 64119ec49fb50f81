"""Tests of damaged PDF pages: pages with missing content are marked as damaged, intact pages are not."""

import hashlib
import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline.ocr.input.pdf.page_objects import PageFacts, page_facts
from notaflow_pipeline.ocr.input.probe import probe_document
from notaflow_pipeline.ocr.limits import Limits
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline_tests.ocr.samples import ACT_ON_LETTER, act_page, locked_pdf, page_pdf, plain_pdf, written_pdf
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

IMAGE = act_page(75)


def encoded(image: Image.Image, filter_name: str) -> bytes:
    if filter_name == "FlateDecode":
        return zlib.compress(image.tobytes())
    file = io.BytesIO()
    image.save(file, format={"DCTDecode": "JPEG", "JPXDecode": "JPEG2000"}[filter_name])
    return file.getvalue()


BILEVEL = IMAGE.point(lambda value: 255 * (value > 150)).convert("1")


def group_4(photometric: int) -> bytes:
    """Returns the page in group 4 coding."""
    file = io.BytesIO()
    BILEVEL.save(file, format="TIFF", compression="group4", strip_size=10**6, tiffinfo={262: photometric})
    with Image.open(file) as tiff:
        offset, size = tiff.tag_v2[273][0], tiff.tag_v2[279][0]  # type: ignore[attr-defined]
    return file.getvalue()[offset : offset + size]


def jbig2(share: float) -> str:
    """Returns the first share of the page as JBIG2: one segment with the page, one with its pixels in group 4 coding."""
    width, height = BILEVEL.size
    page = struct.pack(">IIIIBH", width, height, 0, 0, 0, 0)
    region = struct.pack(">IIIIBB", width, height, 0, 0, 0, 1) + group_4(0)
    segments = ((48, page), (38, region))
    content = b"".join(
        struct.pack(">IBBBI", number, kind, 0, 1, len(data)) + data for number, (kind, data) in enumerate(segments)
    )
    text = content[: round(share * len(content))].hex() + ">"
    return (
        f"<</Type/XObject/Subtype/Image/Width {width}/Height {height}/ColorSpace/DeviceGray/BitsPerComponent 1"
        f"/Filter[/ASCIIHexDecode/JBIG2Decode]/Length {len(text)}>>stream\n{text}\nendstream"
    )


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 1.0])
def test_page_with_a_cut_jbig2_image_is_damaged(tmp_path: Path, share: float) -> None:
    path = page_pdf(tmp_path / "a.pdf", ACT_ON_LETTER, resources="/XObject<</I 6 0 R>>", more=[jbig2(share)])
    page = load_page(path, DocumentFormat.PDF, 1, dpi=72)
    assert page.damaged == (share < 1)
    assert page.image is not None
    assert page.damaged or page.image.getextrema() == (0, 255)


def test_page_with_an_image_whose_filter_is_no_text_is_damaged(tmp_path: Path) -> None:
    image = jbig2(1.0).replace("JBIG2Decode", "#EE#41")
    path = page_pdf(tmp_path / "a.pdf", ACT_ON_LETTER, resources="/XObject<</I 6 0 R>>", more=[image])
    assert load_page(path, DocumentFormat.PDF, 1, dpi=72).damaged


def fax(share: float, *, end_mark: bool = True) -> str:
    """Returns the first share of the page in group 4 coding, with or without the end mark."""
    image, content = BILEVEL, group_4(1)
    bits = bin(int.from_bytes(b"\1" + content, "big"))[3:].rstrip("0")
    if not end_mark:
        bits = bits[: bits.rindex("000000000001000000000001")]
    bits = bits[: round(share * len(bits))]
    bits += "0" * (-len(bits) % 8)
    text = int(bits, 2).to_bytes(len(bits) // 8, "big").hex() + ">"
    return (
        f"<</Type/XObject/Subtype/Image/Width {image.width}/Height {image.height}/ColorSpace/DeviceGray/BitsPerComponent 1"
        f"/Filter[/ASCIIHexDecode/CCITTFaxDecode]/DecodeParms[null<</K -1/Columns {image.width}/Rows {image.height}>>]"
        f"/Length {len(text)}>>stream\n{text}\nendstream"
    )


@pytest.mark.parametrize(("share", "end_mark"), [(0.1, True), (0.5, True), (0.9, True), (1.0, True), (1.0, False)])
def test_page_with_a_cut_fax_is_damaged(tmp_path: Path, share: float, end_mark: bool) -> None:
    picture = fax(share, end_mark=end_mark)
    path = page_pdf(tmp_path / "a.pdf", ACT_ON_LETTER, resources="/XObject<</I 6 0 R>>", more=[picture])
    assert load_page(path, DocumentFormat.PDF, 1, dpi=72).damaged == (share < 1)


def scan(path: Path, filter_name: str, share: float) -> Path:
    """Writes a page with one image that has only the first share of its bytes."""
    content = encoded(IMAGE, filter_name)
    text = content[: round(share * len(content))].hex() + ">"
    picture = (
        f"<</Type/XObject/Subtype/Image/Width {IMAGE.width}/Height {IMAGE.height}/ColorSpace/DeviceGray/BitsPerComponent 8"
        f"/Filter[/ASCIIHexDecode/{filter_name}]/Length {len(text)}>>stream\n{text}\nendstream"
    )
    return page_pdf(path, ACT_ON_LETTER, resources="/XObject<</I 6 0 R>>", more=[picture])


@pytest.mark.parametrize("filter_name", ["FlateDecode", "DCTDecode", "JPXDecode"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_page_with_a_cut_image_is_damaged(tmp_path: Path, filter_name: str, share: float) -> None:
    page = load_page(scan(tmp_path / "a.pdf", filter_name, share), DocumentFormat.PDF, 1, dpi=72)
    assert page.damaged == (share < 1)


def test_page_with_a_missing_image_is_damaged(tmp_path: Path) -> None:
    path = page_pdf(tmp_path / "a.pdf", ACT_ON_LETTER, resources="/XObject<</I 60 0 R>>")
    assert load_page(path, DocumentFormat.PDF, 1).damaged


def test_page_whose_form_draws_a_missing_image_is_damaged(tmp_path: Path) -> None:
    form = (
        "<</Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</XObject<</I 60 0 R>>>>"
        f"/Length {len(ACT_ON_LETTER)}>>stream\n{ACT_ON_LETTER}\nendstream"
    )
    path = page_pdf(tmp_path / "a.pdf", "/X Do", resources="/XObject<</X 6 0 R>>", more=[form])
    assert load_page(path, DocumentFormat.PDF, 1).damaged


def test_damaged_page_is_marked_and_counted_and_not_blank(tmp_path: Path) -> None:
    path = page_pdf(tmp_path / "a.pdf", ACT_ON_LETTER, resources="/XObject<</I 60 0 R>>")
    with DocumentPool(NullEngine(), workers=1) as pool:
        document = pool.start(path).result(timeout=HANG_SECONDS)
    assert "[page is damaged: part of it could not be read]" in document.text
    assert (document.pages_damaged, document.pages_blank) == (1, 0)


def test_entry_that_nothing_draws_is_not_missed(tmp_path: Path) -> None:
    path = page_pdf(tmp_path / "a.pdf", "0 0 9 9 re f", resources="/XObject<</I 60 0 R>>")
    assert page_facts(path, 1) == PageFacts()


def test_objects_in_a_compressed_stream_are_found(tmp_path: Path) -> None:
    """The page, its resources and its unit of length are in an object stream; its image is missing."""
    inside = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 61 79]/UserUnit 10/Contents 6 0 R/Resources 4 0 R>>",
        "<</XObject<</I 60 0 R>>>>",
    ]
    places, text = [], ""
    for number, one in enumerate(inside, start=1):
        places.append(f"{number} {len(text)}")
        text += one + " "
    head = " ".join(places) + " "
    data = zlib.compress((head + text).encode())
    drawing = b"61 0 0 79 0 0 cm /I Do"
    path = tmp_path / "a.pdf"
    path.write_bytes(
        b"%%PDF-1.5\n5 0 obj<</Type/ObjStm/N 4/First %d/Filter/FlateDecode/Length %d>>stream\n" % (len(head), len(data))
        + data
        + b"\nendstream endobj\n6 0 obj<</Length %d>>stream\n%b\nendstream endobj\n" % (len(drawing), drawing)
        + b"7 0 obj<</Type/XRef/Root 1 0 R>>stream\n\nendstream endobj\n"
    )
    assert page_facts(path, 1) == PageFacts(user_unit=10, missing=True)


def test_file_that_needs_a_password_has_no_page_facts(tmp_path: Path) -> None:
    assert page_facts(locked_pdf(tmp_path / "a.pdf"), 1) == PageFacts()


def rc4(key: bytes, data: bytes) -> bytes:
    state, place = list(range(256)), 0
    for index in range(256):
        place = (place + state[index] + key[index % len(key)]) % 256
        state[index], state[place] = state[place], state[index]
    coded, one, other = bytearray(), 0, 0
    for byte in data:
        one = (one + 1) % 256
        other = (other + state[one]) % 256
        state[one], state[other] = state[other], state[one]
        coded.append(byte ^ state[(state[one] + state[other]) % 256])
    return bytes(coded)


def test_unit_of_length_in_an_encrypted_file_counts(tmp_path: Path) -> None:
    """The file is encrypted with an empty password (PDF 1.7, algorithms 2 and 4)."""
    padding = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
    owner, identifier = bytes(range(32)), bytes(range(16))
    key = hashlib.md5(  # noqa: S324 - as the format demands
        padding + owner + (-4).to_bytes(4, "little", signed=True) + identifier
    ).digest()[:5]
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 61.2 79.2]/UserUnit 10>>",
        f"<</Filter/Standard/V 1/R 2/P -4/O<{owner.hex()}>/U<{rc4(key, padding).hex()}>>>",
    ]
    path = written_pdf(tmp_path / "a.pdf", objects, f"/Encrypt 4 0 R/ID[<{identifier.hex()}><{identifier.hex()}>]")
    image = load_page(path, DocumentFormat.PDF, 1).image
    assert image is not None
    assert image.size == (2551, 3300)


@pytest.mark.parametrize(
    ("before", "after", "incomplete"),
    [
        (b"", b"", False),
        (b"", b"\r\n<!-- added by a server -->\n" + b"\0" * 2000, False),
        (b"startxref", None, True),
    ],
    ids=["whole", "with something behind", "cut before its end"],
)
def test_pdf_without_its_end_may_lack_pages(
    tmp_path: Path, before: bytes, after: bytes | None, incomplete: bool
) -> None:
    path = plain_pdf(tmp_path / "a.pdf", content="0 0 9 9 re f")
    content = path.read_bytes()
    path.write_bytes(content[: content.index(before)] if after is None else content + after)
    assert probe_document(path, Limits()).incomplete == incomplete


def test_linearised_pdf_shorter_than_its_length_may_lack_pages(tmp_path: Path) -> None:
    path = plain_pdf(tmp_path / "a.pdf", content="0 0 9 9 re f")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"%PDF-1.4\n", b"%PDF-1.4\n90 0 obj<</Linearized 1/L 99999/N 1>>endobj\n"))
    assert probe_document(path, Limits()).incomplete


@pytest.mark.parametrize(
    ("dictionary", "size_bytes"),
    [
        ("/Width 8/Height 4/BitsPerComponent 1/ColorSpace[/Indexed/DeviceRGB 1<000000ffffff>]", 4),
        ("/Width 8/Height 4/BitsPerComponent 2/ColorSpace/DeviceGray", 8),
        ("/Width 8/Height 4/BitsPerComponent 4/ColorSpace[/Indexed/DeviceRGB 3<000000ffffff0000ff00ff00>]", 16),
        ("/Width 8/Height 4/BitsPerComponent 4/ColorSpace/DeviceRGB", 48),
        ("/Width 8/Height 4/BitsPerComponent 16/ColorSpace/DeviceRGB", 192),
        ("/Width 8/Height 4/BitsPerComponent 16/ColorSpace/DeviceGray", 64),
        ("/Width 8/Height 4/BitsPerComponent 8/ColorSpace/DeviceCMYK", 128),
        ("/Width 8/Height 4/ImageMask true", 4),
    ],
)
def test_images_of_every_depth_are_whole(tmp_path: Path, dictionary: str, size_bytes: int) -> None:
    text = "1b" * size_bytes + ">"
    picture = (
        f"<</Type/XObject/Subtype/Image{dictionary}/Filter/ASCIIHexDecode/Length {len(text)}>>stream\n{text}\nendstream"
    )
    path = page_pdf(tmp_path / "a.pdf", ACT_ON_LETTER, resources="/XObject<</I 6 0 R>>", more=[picture])
    assert not load_page(path, DocumentFormat.PDF, 1, dpi=72).damaged


def test_image_in_the_content_itself_is_whole(tmp_path: Path) -> None:
    content = "q 612 0 0 612 0 0 cm BI /W 4 /H 2 /CS /G /BPC 8 /F /AHx ID 00ff00ff00ff00ff> EI Q"
    assert not load_page(page_pdf(tmp_path / "a.pdf", content), DocumentFormat.PDF, 1, dpi=72).damaged
