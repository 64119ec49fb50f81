"""Converts positions on a PDF page to the displayed page, in points from its upper left corner."""

import ctypes
from dataclasses import dataclass

import pypdfium2
from PIL import Image
from pypdfium2 import raw

UPRIGHT = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
"""Operations that turn an image upright, by the direction of its text. Pillow rotates counter-clockwise."""


@dataclass(frozen=True)
class Affine:
    """Affine transformation from page coordinates to displayed points."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Returns the displayed position of a point of the page."""
        return self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f

    def box(self, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
        """Returns the displayed position of a box of the page: left, top, right, bottom."""
        (x1, y1), (x2, y2) = self.point(left, bottom), self.point(right, top)
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def display_affine(page: pypdfium2.PdfPage) -> Affine:
    """Returns the transformation with which PDFium displays the page, including its rotation and crop box."""
    width, height = page.get_size()
    resolution = 1e6 / max(width, height, 1e-6)
    device_width, device_height = round(width * resolution), round(height * resolution)
    distance = max(width, height)

    def displayed(x: float, y: float) -> tuple[float, float]:
        found_x, found_y = ctypes.c_int(), ctypes.c_int()
        raw.FPDF_PageToDevice(page, 0, 0, device_width, device_height, 0, x, y, found_x, found_y)
        return found_x.value / resolution, found_y.value / resolution

    (e, f), (x1, y1), (x2, y2) = displayed(0, 0), displayed(distance, 0), displayed(0, distance)
    return Affine((x1 - e) / distance, (y1 - f) / distance, (x2 - e) / distance, (y2 - f) / distance, e, f)


def bounds_on_page(page_object: pypdfium2.PdfObject) -> tuple[float, float, float, float]:
    """Returns the box of an object in page coordinates: left, bottom, right, top.

    PDFium returns the coordinates of the form that contains the object.
    """
    box = page_object.get_bounds()
    form = page_object.container
    while form is not None:
        box = form.get_matrix().on_rect(*box)
        form = form.container
    left, bottom, right, top = (float(side) for side in box)
    return left, bottom, right, top
