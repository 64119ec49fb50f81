"""Extracts the image of a PDF page that is a single scan.

Extracting takes 28 to 35 ms of CPU time per page, rendering 67 to 93 ms (three files of the corpus). Extracting loses
nothing by resampling, and works for pages whose stated size is absurd. All other pages are rendered (`page_rendering`).
"""

import math
from collections.abc import Iterator, Sequence

import pypdfium2
from PIL import Image
from pypdfium2 import raw

from notaflow_pipeline.ocr.input.pdf.bitmaps import grey_bitmap, remove_stamps_from_bitmap
from notaflow_pipeline.ocr.input.pdf.coordinates import display_affine
from notaflow_pipeline.ocr.limits import Limits

POINTS_PER_INCH = 72

MAX_LEAN = 0.01
"""Maximum lean of an image that counts as straight (0.6 degrees). Deskewing corrects pixels, not matrices."""

MAX_OVERHANG = 0.02
"""Maximum share of its width or height that an image may extend beyond the page. With more, the page shows only a
part of it."""

INVISIBLE_ANNOTATIONS = frozenset({raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP})
"""Kinds of annotations that are not drawn."""

MAX_DPI_RATIO = 1.1
"""Maximum ratio of the two resolutions of an image. A fax has 204 x 98 dpi and must be rendered to have the right
shapes."""

COMPARISON_PIXELS = 400
"""Longer side in pixels of the small rendering that an image is compared with."""

COMPARISON_SQUARE = 8
"""Side in pixels of the squares of that rendering whose means are compared: 6 mm of a letter page."""

MAX_SQUARE_DIFFERENCE = 16
"""Difference (of 255) of the mean of a square above which the page does not show the image there."""

MAX_DIFFERENT_SHARE = 0.01
"""Maximum share of different squares. With more, a part of the image is hidden or something lies over it."""

Matrix = tuple[float, float, float, float]


def embedded_scan(page: pypdfium2.PdfPage, limits: Limits) -> tuple[Image.Image, Image.Image | None] | None:
    """Returns the only image of a page, upright and grey, and an image of the stamps over its print; None if it must be
    rendered.

    The resolution is in `info["dpi"]`, and the position on the page (left, top, right, bottom in units of the page) in
    `info["box"]`. The image of the stamps is None without any.

    The pixels are compared with the rendered page, because PDFium returns an image without its mask, and applies masks of
    the graphics state only when it draws. PDFium applies decode arrays and colour spaces; this function applies the
    matrix and `/Rotate`. Raises `pypdfium2.PdfiumError` for an image that cannot be decoded.
    """
    image = _only_image(page)
    if image is None:
        return None
    a, b, c, d, *_ = image.get_matrix().get()
    operations = _upright_operations((a, b, c, d), page.get_rotation())
    width, height = image.get_px_size()
    if operations is None or width < 1 or height < 1 or width * height > limits.page_pixels or _is_stencil(image):
        return None
    if _is_cut_off(image, page):
        return None
    across, down = width / math.hypot(a, b), height / math.hypot(c, d)
    if not 1 / MAX_DPI_RATIO < across / down < MAX_DPI_RATIO:
        return None
    bitmap = image.get_bitmap()
    pixels = grey_bitmap(bitmap)
    if not _is_same_as_rendered_page(_transposed(pixels, operations), page, image):
        return None
    stamps = remove_stamps_from_bitmap(pixels, bitmap)
    scan = _transposed(pixels, operations)
    dpi = POINTS_PER_INCH * max(across, down)
    scan.info = {"dpi": (dpi, dpi), "box": display_affine(page).box(*image.get_bounds())}
    return scan, _transposed(stamps, operations) if stamps else None


def _transposed(image: Image.Image, operations: Sequence[Image.Transpose]) -> Image.Image:
    for operation in operations:
        image = image.transpose(operation)
    return image


def _only_image(page: pypdfium2.PdfPage) -> pypdfium2.PdfImage | None:
    """Returns the image if the page has nothing else that is visible except text.

    An image inside a form is not used, because its matrix is relative to the form.
    """
    images = []
    for page_object in page.get_objects():
        if page_object.type == raw.FPDF_PAGEOBJ_IMAGE and page_object.level == 0:
            images.append(page_object)
        elif page_object.type not in {raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_FORM}:
            return None
        if len(images) > 1:
            return None
    if not images or any(kind not in INVISIBLE_ANNOTATIONS for kind in annotation_kinds(page)):
        return None
    return images[0]


def annotation_kinds(page: pypdfium2.PdfPage) -> set[int]:
    """Returns the kinds of annotations on a page: stamps, notes, form fields, links."""
    kinds = set()
    for index in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if annotation:
            kinds.add(raw.FPDFAnnot_GetSubtype(annotation))
            raw.FPDFPage_CloseAnnot(annotation)
    return kinds


def _is_stencil(image: pypdfium2.PdfImage) -> bool:
    """Whether an image is a stencil mask: it has one bit per pixel and no colour space."""
    metadata = image.get_metadata()
    return bool(metadata.bits_per_pixel == 1 and metadata.colorspace == raw.FPDF_COLORSPACE_UNKNOWN)


def _is_cut_off(image: pypdfium2.PdfImage, page: pypdfium2.PdfPage) -> bool:
    """Whether a part of the image is beyond the edge of the page or clipped."""
    left, bottom, right, top = image.get_bounds()
    wide, high = MAX_OVERHANG * (right - left), MAX_OVERHANG * (top - bottom)
    page_left, page_bottom, page_right, page_top = page.get_bbox()
    boxes = [(page_left, page_bottom, page_right, page_top), *_clips(image)]
    return any(
        left < box[0] - wide or bottom < box[1] - high or right > box[2] + wide or top > box[3] + high for box in boxes
    )


def _clips(image: pypdfium2.PdfImage) -> Iterator[tuple[float, float, float, float]]:
    """Yields the box around each clip path of the image."""
    clip = raw.FPDFPageObj_GetClipPath(image)
    for path in range(max(0, raw.FPDFClipPath_CountPaths(clip))):
        points = []
        for index in range(max(0, raw.FPDFClipPath_CountPathSegments(clip, path))):
            x, y = _point(raw.FPDFClipPath_GetPathSegment(clip, path, index))
            points.append((x, y))
        if points:
            yield (
                min(x for x, _ in points),
                min(y for _, y in points),
                max(x for x, _ in points),
                max(y for _, y in points),
            )


def _point(segment: object) -> tuple[float, float]:
    x, y = raw.c_float(), raw.c_float()
    raw.FPDFPathSegment_GetPoint(segment, x, y)
    return x.value, y.value


def _upright_operations(matrix: Matrix, rotation: int) -> list[Image.Transpose] | None:
    """Returns the operations that turn an image upright, from its matrix and the page's `/Rotate`; None if it leans or
    is flat.

    The matrix maps the unit square, whose y axis points up, to the page: the right of the image to (a, b), its top to
    (c, d).
    """
    a, b, c, d = matrix
    size = max(map(abs, matrix))
    if not math.isfinite(size) or size <= 0:
        return None
    operation: Image.Transpose | None
    if max(abs(b / a), abs(c / d)) < MAX_LEAN if a and d else False:
        operation = LEVEL_OPERATIONS[a > 0, d > 0]
    elif max(abs(a / b), abs(d / c)) < MAX_LEAN if b and c else False:
        operation = QUARTER_TURN_OPERATIONS[b > 0, c > 0]
    else:
        return None
    return [one for one in (operation, CLOCKWISE[rotation % 360]) if one is not None]


def _is_same_as_rendered_page(pixels: Image.Image, page: pypdfium2.PdfPage, image: pypdfium2.PdfImage) -> bool:
    """Whether an image equals a small rendering of the page, square by square, because a mask may hide only a part."""
    scale = COMPARISON_PIXELS / max(page.get_size())
    rendered = grey_bitmap(page.render(scale=scale))
    left, top, right, bottom = _displayed_box(page, image, rendered.size)
    if right - left < COMPARISON_SQUARE or bottom - top < COMPARISON_SQUARE:
        return True  # a small picture on an enormous page has too few pixels to compare parts of it
    small = pixels.resize((right - left, bottom - top), Image.Resampling.BOX)
    visible_box = (max(left, 0), max(top, 0), min(right, rendered.width), min(bottom, rendered.height))
    small = small.crop((visible_box[0] - left, visible_box[1] - top, visible_box[2] - left, visible_box[3] - top))
    squares = [one.reduce(COMPARISON_SQUARE).tobytes() for one in (rendered.crop(visible_box), small)]
    different = sum(abs(one - other) > MAX_SQUARE_DIFFERENCE for one, other in zip(*squares, strict=True))
    return bool(different <= MAX_DIFFERENT_SHARE * len(squares[0]))


def _displayed_box(
    page: pypdfium2.PdfPage, image: pypdfium2.PdfImage, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Returns the position of an image on a rendering of this size, to which PDFium stretches the page."""
    left, top, right, bottom = display_affine(page).box(*image.get_bounds())
    across, down = size[0] / page.get_width(), size[1] / page.get_height()
    return round(left * across), round(top * down), round(right * across), round(bottom * down)


LEVEL_OPERATIONS = {
    (True, True): None,
    (False, True): Image.Transpose.FLIP_LEFT_RIGHT,
    (True, False): Image.Transpose.FLIP_TOP_BOTTOM,
    (False, False): Image.Transpose.ROTATE_180,
}
"""Operations by whether the right of the image points right, and its top up."""

QUARTER_TURN_OPERATIONS = {
    (True, False): Image.Transpose.ROTATE_90,
    (False, True): Image.Transpose.ROTATE_270,
    (True, True): Image.Transpose.TRANSVERSE,
    (False, False): Image.Transpose.TRANSPOSE,
}
"""Operations by whether the right of the image points up, and its top right. Pillow rotates counter-clockwise."""

CLOCKWISE = {0: None, 90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
"""Operations by `/Rotate`."""
