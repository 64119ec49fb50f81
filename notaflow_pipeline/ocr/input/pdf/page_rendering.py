"""Images of a PDF page at the resolution for recognition: its scan, the rendered page, or a part of it."""

import math
from contextlib import suppress
from dataclasses import dataclass

import pypdfium2
from PIL import Image

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.images.image_files import MAX_SIDE_PIXELS, coarser, with_dpi, within_engine_size
from notaflow_pipeline.ocr.input.pdf.bitmaps import grey_bitmap, remove_stamps_from_bitmap
from notaflow_pipeline.ocr.input.pdf.embedded_scan import POINTS_PER_INCH, embedded_scan
from notaflow_pipeline.ocr.input.pdf.text_visibility import rendered_bitmap
from notaflow_pipeline.ocr.limits import Limits

PART_MARGIN_POINTS = 12
"""Margin around a part of the page, so that nothing at its edge is cut."""

NO_CROP = (0.0, 0.0, 0.0, 0.0)
"""Crop that leaves out nothing of a page."""


@dataclass(frozen=True)
class PageRenderer:
    """A page and the settings for rendering it. `user_unit` is the number of points per unit of its coordinates."""

    page: pypdfium2.PdfPage
    dpi: int
    limits: Limits
    user_unit: float = 1.0
    coarse: bool = False

    def scan_or_whole(self) -> tuple[Image.Image, Image.Image | None]:
        """Returns the only image of the page in its own pixels, or the rendered page; and an image of the stamps over its
        print.

        The position of the image on the page is in `info["box"]`. Raises `DocumentFailure`.
        """
        with suppress(pypdfium2.PdfiumError):
            if found := embedded_scan(self.page, self.limits):
                scan, stamps = found
                dpi, box = scan.info["dpi"][0] / self.user_unit, scan.info["box"]
                image = with_dpi(within_engine_size(scan), dpi)
                stamps = with_dpi(within_engine_size(stamps), dpi) if stamps else None
                image = coarser(image) if self.coarse else image
                image.info["box"] = box
                return image, stamps
        return self.whole_without_stamps()

    def whole_without_stamps(self) -> tuple[Image.Image, Image.Image | None]:
        """Returns the rendered page without stamps, and an image of the stamps over its print. Raises
        `DocumentFailure`."""
        bitmap, dpi = self._bitmap(NO_CROP)
        image = grey_bitmap(bitmap)
        stamps = remove_stamps_from_bitmap(image, bitmap)
        return with_dpi(image, dpi), with_dpi(stamps, dpi) if stamps else None

    def whole(self) -> Image.Image:
        """Returns the rendered page with its text. Raises `DocumentFailure`."""
        return self._rendered(NO_CROP)

    def part(self, box: tuple[float, float, float, float]) -> Image.Image:
        """Returns a part of the rendered page: left, top, right, bottom from its upper left corner."""
        width, height = self.page.get_size()
        margin = PART_MARGIN_POINTS / self.user_unit
        left, right = (min(max(side, 0.0), width) for side in (box[0] - margin, box[2] + margin))
        top, bottom = (min(max(side, 0.0), height) for side in (box[1] - margin, box[3] + margin))
        return self._rendered((left, height - bottom, width - right, top))

    def _rendered(self, crop: tuple[float, float, float, float]) -> Image.Image:
        bitmap, dpi = self._bitmap(crop)
        return with_dpi(grey_bitmap(bitmap), dpi)

    def _bitmap(self, crop: tuple[float, float, float, float]) -> tuple[pypdfium2.PdfBitmap, float]:
        try:
            scale = self._scale()
            return rendered_bitmap(self.page, scale, crop), scale * POINTS_PER_INCH / self.user_unit
        except (pypdfium2.PdfiumError, ValueError) as error:
            raise damaged_page() from error

    def _scale(self) -> float:
        """Returns pixels per unit: the requested resolution, or the highest that the limits allow for the size of
        the page."""
        width, height = self.page.get_size()
        if not (0 < width < math.inf and 0 < height < math.inf):
            raise ValueError(f"a page of {width} x {height} units")
        requested: float = self.user_unit * self.dpi / POINTS_PER_INCH
        by_area = math.sqrt(self.limits.page_pixels / (width * height))
        by_side = (MAX_SIDE_PIXELS - 1) / max(width, height)
        return float(min(requested, by_area, by_side))


def damaged_page() -> DocumentFailure:
    """Returns the failure of a page that cannot be rendered."""
    return DocumentFailure(FailureKind.CORRUPT, "The page is damaged and cannot be drawn. Fetch the document again.")
