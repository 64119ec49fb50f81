"""Converts an image of any Pillow mode to grey, dark on white."""

from PIL import Image, ImageChops

from notaflow_pipeline.ocr.input.images.grey_levels import quantile

MIN_RANGE = 8
"""The minimum difference (of 255) between the darkest and the lightest pixel of an image that shows anything."""


DARK = 128
"""Median grey below which a page is dark."""


def grey(image: Image.Image) -> Image.Image:
    """Converts an image of any mode to 8-bit grey (mode `L`); transparent pixels become white."""
    if image.has_transparency_data:
        return _blended_with_white(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image)
    if image.mode == "LAB":
        return image.getchannel("L")  # this channel is the lightness, and Pillow cannot convert LAB to another mode
    if image.mode == "CMYK":
        return _cmyk_to_grey(image)
    if image.mode == "HSV":
        image = image.convert("RGB")
    return image if type(image) is Image.Image and image.mode == "L" else image.convert("L")


def _cmyk_to_grey(image: Image.Image) -> Image.Image:
    """Converts amounts of ink to grey. A dark page is inverted if that makes it lighter.

    Some writers store the amounts inverted and some do not, and a JPEG does not say which. With the wrong choice, the black
    ink covers the whole page.
    """
    page = image.convert("RGB").convert("L")
    median = quantile(page.histogram(), 0.5)
    if median >= DARK:
        return page
    inverted = ImageChops.invert(image).convert("RGB").convert("L")
    return inverted if quantile(inverted.histogram(), 0.5) > median else page


def _blended_with_white(image: Image.Image) -> Image.Image:
    """Blends an image with white as grey, which needs half the memory of blending in colour and has the same result.

    White print on transparent paper is blended with black.
    """
    colours = image if image.mode in {"RGBA", "LA"} else image.convert("RGBA")
    alpha = colours.getchannel("A")
    paper = Image.new("L", colours.size, "white")
    paper.paste(colours.convert("L"), mask=alpha)
    if _range(paper) < MIN_RANGE <= _range(alpha):
        return Image.composite(colours.convert("L"), Image.new("L", colours.size, "black"), alpha)
    return paper


def _range(image: Image.Image) -> float:
    """Returns the difference between the lightest and the darkest pixel of an image with one band."""
    darkest, lightest = image.getextrema()
    if isinstance(darkest, tuple) or isinstance(lightest, tuple):
        raise TypeError(image.mode)
    return lightest - darkest


def _eight_bits(image: Image.Image) -> Image.Image:
    """Returns the upper eight of sixteen bits; Pillow's own conversion would clip all values above 255 to white."""
    if image.mode != "F":
        image = image.convert("I")
    _, brightest = image.getextrema()
    if not isinstance(brightest, int | float):  # images of these modes have one band
        raise TypeError(image.mode)
    shift = 1.0 if 1 < brightest <= 255 else 1 / 256 if 255 < brightest <= 65535 else 255 / max(brightest, 1)
    return image.point(lambda value: value * shift + 0).convert("L")
