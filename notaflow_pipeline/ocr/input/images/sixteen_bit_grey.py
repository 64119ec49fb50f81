"""Converts grey images of more than eight bits per pixel to eight, scaled by the range that they use.

Sixteen-bit files of many scanners use only ten or twelve bits. The upper eight of sixteen bits of such a file are
almost black.
"""

from PIL import Image

BIT_DEPTHS = (8, 10, 12, 14, 16)
"""Numbers of bits that scanners use per pixel."""

BITS_PER_SAMPLE = 258
"""Number of the TIFF tag."""


def eight_bits(image: Image.Image) -> Image.Image:
    """Converts an image of sixteen bits to eight; other images are returned unchanged.

    The scale is that of the smallest bit depth that holds the brightest pixel.
    """
    if not image.mode.startswith("I;16"):
        return image
    wide = image.convert("I")
    scale = 255 / (2 ** _bits(_brightest(wide)) - 1)
    scaled = wide.point(lambda value: value * scale + 0).convert("L")
    scaled.info = image.info
    return scaled


def full_range(page: Image.Image, image: Image.Image) -> Image.Image:
    """Scales the grey page of a colour image of sixteen bits, of which Pillow keeps only the upper eight, in the
    same way."""
    samples = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, ())
    if image.mode.startswith(("I", "F")) or not isinstance(samples, tuple) or max(samples, default=0) != BIT_DEPTHS[-1]:
        return page
    brightest = _brightest(page)
    scale = 255 / (2 ** max(1, _bits(256 * brightest + 255) - 8) - 1)
    return page.point(lambda value: min(255, round(value * scale))) if scale > 1 else page


def _brightest(image: Image.Image) -> int:
    _, brightest = image.getextrema()
    if not isinstance(brightest, int | float):  # images of these modes have one band
        raise TypeError(image.mode)
    return int(brightest)


def _bits(brightest: int) -> int:
    return next(bits for bits in BIT_DEPTHS if brightest < 2**bits or bits == BIT_DEPTHS[-1])
