"""Grey images of more than eight bits a pixel: scaled to eight by the range that they use.

Sixteen-bit files hold ten or twelve bits from many scanners. Taking the upper eight of sixteen bits makes those black.
"""

from PIL import Image

BIT_DEPTHS = (8, 10, 12, 14, 16)
"""How many bits a scanner may have used of each pixel."""

BITS_PER_SAMPLE = 258
"""The TIFF tag."""


def eight_bits(image: Image.Image) -> Image.Image:
    """An image of sixteen bits in eight, scaled from the least number of bits that hold its brightest pixel; others as is."""
    if not image.mode.startswith("I;16"):
        return image
    wide = image.convert("I")
    scale = 255 / (2 ** _bits(_brightest(wide)) - 1)
    scaled = wide.point(lambda value: value * scale + 0).convert("L")
    scaled.info = image.info
    return scaled


def full_range(page: Image.Image, image: Image.Image) -> Image.Image:
    """The grey page of an image in colours of sixteen bits, of which Pillow has kept the upper eight, scaled like that."""
    samples = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, ())
    if image.mode.startswith(("I", "F")) or not isinstance(samples, tuple) or max(samples, default=0) != BIT_DEPTHS[-1]:
        return page
    brightest = _brightest(page)
    scale = 255 / (2 ** max(1, _bits(256 * brightest + 255) - 8) - 1)
    return page.point(lambda value: min(255, round(value * scale))) if scale > 1 else page


def _brightest(image: Image.Image) -> int:
    _, brightest = image.getextrema()
    if not isinstance(brightest, int | float):  # several bands never occur in these modes
        raise TypeError(image.mode)
    return int(brightest)


def _bits(brightest: int) -> int:
    return next(bits for bits in BIT_DEPTHS if brightest < 2**bits or bits == BIT_DEPTHS[-1])
