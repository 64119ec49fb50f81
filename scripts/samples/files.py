"""Writes pages as PDF, TIFF, PNG and JPEG files, and files that are damaged."""

import io
import re
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from scripts.samples.marks import PDF_FONTS, Mark, Rule, Size, Text


@dataclass(frozen=True)
class Scan:
    """A page that is a picture: one bit deep (fax compression), or grey JPEG when a quality is given."""

    image: Image.Image
    dpi: int
    jpeg_quality: int | None = None
    rotate: int = 0


@dataclass(frozen=True)
class Typeset:
    """A page of real text, without a picture."""

    marks: Sequence[Mark]
    page: Size


Page = Scan | Typeset


def one_bit(image: Image.Image) -> Image.Image:
    """Decide for each pixel whether it is ink."""
    return image.point(lambda value: 255 if value > 140 else 0).convert("1")


def jpeg(image: Image.Image, quality: int, dpi: int) -> bytes:
    """Compress a grey image."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, dpi=(dpi, dpi), optimize=True)
    return out.getvalue()


def fax(image: Image.Image) -> bytes:
    """Compress a one-bit image as CCITT group 4, through the only strip of a TIFF file."""
    out = io.BytesIO()
    image.save(out, "TIFF", compression="group4", tiffinfo={278: image.height})
    with Image.open(out) as tiff:
        (start,), (length,) = tiff.tag_v2[273], tiff.tag_v2[279]
    return out.getvalue()[start : start + length]


class PdfFile:
    """Writes a PDF object by object; the catalog comes last, so half a file has none."""

    def __init__(self) -> None:
        self._objects: list[bytes] = [b""] * 2  # 1 is the catalog, 2 the page tree

    def add(self, body: str, stream: bytes | None = None) -> int:
        """Add an object, and return its number."""
        data = body.encode("ascii")
        if stream is not None:
            data = b"<< %s /Length %d >>\nstream\n%s\nendstream" % (data, len(stream), stream)
        self._objects.append(data)
        return len(self._objects)

    def add_scan(self, scan: Scan) -> int:
        """Add a page that shows one picture from edge to edge."""
        wide, high = scan.image.size
        common = f"/Type /XObject /Subtype /Image /Width {wide} /Height {high} /ColorSpace /DeviceGray"
        if scan.jpeg_quality is None:
            form = f"/BitsPerComponent 1 /Filter /CCITTFaxDecode /DecodeParms << /K -1 /BlackIs1 true /Columns {wide} "
            picture = self.add(f"{common} {form}/Rows {high} >>", fax(one_bit(scan.image)))
        else:
            form = "/BitsPerComponent 8 /Filter /DCTDecode"
            picture = self.add(f"{common} {form}", jpeg(scan.image, scan.jpeg_quality, scan.dpi))
        box = (wide * 72 / scan.dpi, high * 72 / scan.dpi)
        content = self.add("", f"q {box[0]:.2f} 0 0 {box[1]:.2f} 0 0 cm /P Do Q".encode("ascii"))
        return self._page(box, content, f"/XObject << /P {picture} 0 R >>", scan.rotate)

    def add_typeset(self, typeset: Typeset) -> int:
        """Add a page of Helvetica text and rules."""
        high = typeset.page[1]
        lines: list[bytes] = []
        for mark in typeset.marks:
            if isinstance(mark, Rule):
                x0, y0, x1, y1, width, _ = mark
                lines.append(f"{width} w {x0:.2f} {high - y0:.2f} m {x1:.2f} {high - y1:.2f} l S".encode("ascii"))
            elif isinstance(mark, Text):
                string = re.sub(rb"([()\\])", rb"\\\1", mark.text.encode("cp1252"))
                start = f"BT /{PDF_FONTS[mark.font]} {mark.size:.2f} Tf {mark.x:.2f} {high - mark.baseline:.2f} Td ("
                lines.append(start.encode("ascii") + string + b") Tj ET")
        content = self.add("/Filter /FlateDecode", zlib.compress(b"\n".join(lines), 9))
        fonts = " ".join(
            f"/{name} << /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>"
            for name in PDF_FONTS.values()
        )
        return self._page(typeset.page, content, f"/Font << {fonts} >>", 0)

    def _page(self, box: Size, content: int, resources: str, rotate: int) -> int:
        return self.add(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {box[0]:.2f} {box[1]:.2f}] /Rotate {rotate} "
            f"/Contents {content} 0 R /Resources << {resources} >> >>"
        )

    def finished(self, pages: Sequence[int]) -> bytes:
        """Return the file's bytes."""
        kids = " ".join(f"{number} 0 R" for number in pages)
        self._objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
        self._objects[1] = f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode("ascii")
        out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
        offsets: dict[int, int] = {}
        for number in (*range(3, len(self._objects) + 1), 2, 1):
            offsets[number] = len(out)
            out += b"%d 0 obj\n%s\nendobj\n" % (number, self._objects[number - 1])
        table_at = len(out)
        out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1)
        for number in sorted(offsets):
            out += b"%010d 00000 n \n" % offsets[number]
        out += b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(offsets) + 1)
        return bytes(out + b"startxref\n%d\n%%%%EOF\n" % table_at)


def pdf(pages: Sequence[Page]) -> bytes:
    """Bind pages into a PDF."""
    file = PdfFile()
    numbers = [file.add_scan(page) if isinstance(page, Scan) else file.add_typeset(page) for page in pages]
    return file.finished(numbers)


def tiff(pages: Sequence[Page]) -> bytes:
    """Bind scans into a multi-page fax TIFF."""
    out = io.BytesIO()
    first, *rest = [one_bit(page.image) for page in pages if isinstance(page, Scan)]
    dpi = next(page.dpi for page in pages if isinstance(page, Scan))
    first.save(out, "TIFF", compression="group4", save_all=True, append_images=rest, dpi=(dpi, dpi))
    return out.getvalue()


def png(pages: Sequence[Page]) -> bytes:
    """Save the only page as a one-bit PNG."""
    (page,) = (page for page in pages if isinstance(page, Scan))
    out = io.BytesIO()
    one_bit(page.image).save(out, "PNG", dpi=(page.dpi, page.dpi), optimize=True)
    return out.getvalue()


def lone_jpeg(pages: Sequence[Page]) -> bytes:
    """Save the only page as a grey JPEG."""
    (page,) = (page for page in pages if isinstance(page, Scan))
    return jpeg(page.image, page.jpeg_quality or 30, page.dpi)


def encrypted(user_password: str) -> Callable[[Sequence[Page]], bytes]:
    """Bind pages into a PDF that opens only with `user_password`; an empty one restricts without locking."""

    def bind(pages: Sequence[Page]) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            plain, locked = Path(folder, "plain.pdf"), Path(folder, "locked.pdf")
            plain.write_bytes(pdf(pages))
            passwords = ["--encrypt", user_password, "proprietaire", "128", "--use-aes=y", "--print=none", "--"]
            repeatable = ["--static-id", "--static-aes-iv"]
            subprocess.run(["qpdf", *repeatable, *passwords, str(plain), str(locked)], check=True)
            return locked.read_bytes()

    return bind


def cut_in_half(pages: Sequence[Page]) -> bytes:
    """Write half of a PDF, without catalog and cross-reference table."""
    whole = pdf(pages)
    return whole[: len(whole) // 2]


def error_page(pages: Sequence[Page]) -> bytes:  # noqa: ARG001
    """Write an error page of a web server."""
    return (
        "<!DOCTYPE html>\n<html lang=fr><head><meta charset=utf-8><title>Session expirée</title></head>\n"
        "<body><h1>Erreur 503</h1><p>Votre session est expirée. Veuillez recommencer la recherche.</p></body></html>\n"
    ).encode()


def nothing(pages: Sequence[Page]) -> bytes:  # noqa: ARG001
    """Write an empty file."""
    return b""
