"""A page as a person compares it with its text: images, and the words that were read on them at their places."""

from dataclasses import dataclass, field

Rectangle = tuple[float, float, float, float]
"""Left, top, width and height; pixels of the image that it lies on."""


@dataclass(frozen=True)
class PlacedWord:
    """A word and where it stands; `confidence` is from 0 to 100, None for a word of a text layer."""

    text: str = field(repr=False)  # personal data: not for tracebacks and logs
    confidence: float | None
    box: Rectangle


@dataclass(frozen=True)
class ReadImage:
    """An image (JPEG) with the words that were found on it.

    It is the image as the engine got it, or with `text_layer` the rendered page on which the words of a text layer stand.
    `text` is what it adds to the text of the page; `used` is false where that is nothing, because the engine was too
    unsure of it. `unread` are places with ink that no word accounts for.
    """

    jpeg: bytes = field(repr=False)
    width: int
    height: int
    text: str = field(repr=False)
    words: tuple[PlacedWord, ...] = field(repr=False)
    unread: tuple[Rectangle, ...] = ()
    text_layer: bool = False
    used: bool = True


@dataclass(frozen=True)
class PageView:
    """The images of a page, the whole page first; `scan` is the page before it was preprocessed, None if `images` has it."""

    images: tuple[ReadImage, ...]
    scan: bytes | None = field(default=None, repr=False)
