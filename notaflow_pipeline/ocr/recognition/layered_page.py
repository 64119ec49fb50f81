"""Reads a page whose text layer covers a part of it: recognises the rest, and joins both."""

import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from notaflow_pipeline.ocr.cpu_time import cpu_seconds
from notaflow_pipeline.ocr.document import PageSource, PageText, attachment_mark
from notaflow_pipeline.ocr.engines.interface import Engine, Recognition, recognition_of
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.loaded_page import EarlierOcr, LoadedPage, Region, with_regions, words_of
from notaflow_pipeline.ocr.input.page_loading import page_dpi
from notaflow_pipeline.ocr.input.pdf.embedded_scan import POINTS_PER_INCH
from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine, text_of_lines
from notaflow_pipeline.ocr.input.typed_lines import with_typed_lines, words_near
from notaflow_pipeline.ocr.preprocessing.preprocess import TARGET_DPI, without_background
from notaflow_pipeline.ocr.recognition.coverage import has_lines_of_print, unread_pixels
from notaflow_pipeline.ocr.recognition.page import read_page
from notaflow_pipeline.ocr.recognition.words.word_positions import lines_of_words

MIN_ENGINE_SECONDS = 1.0
"""The CPU seconds that the engine gets even if rendering has used up the page's time."""

MIN_AGREEMENT = 0.97
"""As a share of the words of a strip. If an earlier OCR agrees with ours in fewer words, the page is recognised again."""

MIN_REGION_CONFIDENCE = 60.0
"""Below this, only the sure words read in a logo, a drawing or a signature beside typed text are used."""

MIN_SURE_CHARACTERS = 3
"""Letters and digits of a sure word; shorter ones are read into drawings."""

MIN_UNSURE_WORDS = 5
"""Number of unused words that shows text which could not be read; fewer are read into a logo or a signature."""

SMALL_REGION_PIXELS = 500_000
"""A smaller region (a 16th of a letter page at 300 dpi) is a logo, a stamp or a signature, and is read with at most two
passes."""

MAX_KNOWN_SHARE = 0.8
"""As a share of its words: a text of which more than this is already known is not added again."""

MAX_KNOWN_SHARE_AT_EDGE, EDGE_HEIGHTS = 0.6, 1.5
"""The same share for the first and the last line of a region, which may be cut, compared with the lines of the text layer
that are nearer to the region than this many line heights."""


@dataclass(frozen=True)
class RecognisedImage:
    """An image that was recognised; `region` is None for the whole page, `used` tells whether its text is in the page's."""

    image: Image.Image
    found: Recognition
    region: Region | None = None
    used: bool = True


@dataclass(frozen=True)
class RecognisedPage:
    """The text of a page, the recognitions that it was made of, and the lines that a text layer gave in their stead."""

    text: PageText
    images: tuple[RecognisedImage, ...]
    lines: tuple[LayerLine, ...]


@dataclass
class _PageTotals:
    """The sums over all recognitions of a page."""

    words: int = 0
    low_confidence_words: int = 0
    confidence: float = 0.0
    passes: int = 0
    coverage: float | None = None
    """The lowest coverage of the recognised images."""

    read_area: float = 0.0
    unread_area: float = 0.0
    """Areas of the words that were read in regions, and of the other ink there that can be print, in square points."""

    images: list[RecognisedImage] = field(default_factory=list)

    def add(self, found: Recognition) -> None:
        """Adds the words of a recognition whose text is used."""
        self.words += found.words
        self.low_confidence_words += found.low_confidence_words
        self.confidence += found.words * (found.mean_confidence or 0.0)
        self.coverage = min((one for one in (self.coverage, found.coverage) if one is not None), default=None)

    def add_areas(self, found: Recognition, used: Recognition, image: Image.Image) -> None:
        """Adds the areas of a region in which `used` is the part of `found` that is used."""
        if used.image_words:
            read_image = image if found.image is None else found.image
        else:  # the height of print is unknown, and `unread_pixels` expects that of this resolution
            read_image = image.reduce(max(1, round((page_dpi(image) or TARGET_DPI) / TARGET_DPI)))
        inches = image.width * image.height / (page_dpi(image) or TARGET_DPI) ** 2
        scale = inches * POINTS_PER_INCH**2 / (read_image.width * read_image.height)
        self.read_area += scale * sum(word.width * word.height for word in used.image_words)
        self.unread_area += scale * unread_pixels(read_image, used.image_words)

    def limit_coverage(self, read_area: float) -> None:
        """Lowers the coverage to the share of the print that was read, of which the text layer has `read_area`."""
        if self.unread_area:
            read = (read_area + self.read_area) / (read_area + self.read_area + self.unread_area)
            self.coverage = min(read, 1.0 if self.coverage is None else self.coverage)

    @property
    def mean_confidence(self) -> float | None:
        return self.confidence / self.words if self.words else None


class _PageReader:
    """Recognises images until the page's CPU time is used up."""

    def __init__(self, engine: Engine, deadline: float) -> None:
        self._engine, self._deadline = engine, deadline

    def read(self, image: Image.Image) -> Recognition:
        left_seconds = max(self._deadline - cpu_seconds(), MIN_ENGINE_SECONDS)
        return read_page(image, page_dpi(image), self._engine, left_seconds)

    def read_small(self, image: Image.Image) -> Recognition:
        """Reads a small region without its background, and as it is if that is not sure. The better result counts.

        The engine takes the grey paper of a small pasted scan on a white page for ink.
        """
        found = self._one_pass(without_background(image), page_dpi(image))
        if (found.mean_confidence or 0.0) >= MIN_REGION_CONFIDENCE:
            return found
        plain = self._one_pass(image, page_dpi(image))
        best = max(found, plain, key=lambda one: one.words * (one.mean_confidence or 0.0))
        return replace(best, passes=found.passes + plain.passes)

    def _one_pass(self, image: Image.Image, dpi: int | None) -> Recognition:
        left_seconds = max(self._deadline - cpu_seconds(), MIN_ENGINE_SECONDS)
        return self._engine.recognise(image, dpi, left_seconds)


def recognised_page(number: int, page: LoadedPage, engine: Engine, began: float, deadline: float) -> RecognisedPage:
    """Returns the text of a loaded page, with the recognitions that it was made of.

    `began` is the time when the loading of the page began (`time.monotonic`), `deadline` the limit in CPU seconds
    (`cpu_seconds`). Raises `DocumentFailure` or `EngineUnavailable`.
    """
    reader, totals = _PageReader(engine, deadline), _PageTotals()
    confirmed = page.earlier is not None and _is_confirmed(page.earlier, reader, totals)
    base: Sequence[LayerLine] = page.earlier.lines if page.earlier and confirmed else page.lines
    is_layer, unread = True, False
    if page.image is not None and not confirmed:
        found = reader.read(page.image)
        totals.add(found)
        totals.passes += found.passes
        totals.images.append(RecognisedImage(page.image, found))
        is_layer = False
        stamps, unread = _read_regions([Region(page.stamps, math.inf)] if page.stamps else [], reader, totals)
        text = "\n\n".join(part for part in (_text_with_typed(found, page), *(text for _, text in stamps)) if part)
        nothing = not (found.words or stamps or page.lines or page.damaged or page.attached)
        source = _source_without_words(found) if nothing else PageSource.RECOGNISED
    else:
        regions, unread = _read_regions(page.regions, reader, totals)
        if page.earlier:
            known = text_of_lines(base)
            regions = [(region, _without_known_edges(text, region, base)) for region, text in regions]
            regions = [(region, text) for region, text in regions if not _is_known(text, known)]
            base = with_typed_lines(base, _typed_lines_not_read(page.lines, base))
        totals.limit_coverage(_area_of(base))
        text = with_regions(base, regions)
        source = PageSource.RECOGNISED if totals.words else PageSource.TEXT_LAYER
    read = PageText(
        number,
        "\n\n".join(part for part in (text, *map(attachment_mark, page.attached)) if part),
        totals.words or words_of(base),
        totals.mean_confidence,
        time.monotonic() - began,
        low_confidence_words=totals.low_confidence_words,
        passes=totals.passes,
        source=source,
        damaged=page.damaged or unread,
        coverage=totals.coverage,
    )
    return RecognisedPage(read, tuple(totals.images), tuple(base) if is_layer else ())


def _source_without_words(found: Recognition) -> PageSource:
    """Returns whether a page without words is blank: its coverage is known only if it has ink that can be print."""
    return PageSource.BLANK if found.coverage is None else PageSource.UNREAD


def _is_confirmed(earlier: EarlierOcr, reader: _PageReader, totals: _PageTotals) -> bool:
    """Returns whether our reading of a strip agrees with the earlier OCR of it, in all digits and nearly all words."""
    try:
        found = reader.read(earlier.strip)
    except DocumentFailure:
        return False
    totals.passes += found.passes
    ours, theirs = _comparable_words(found.text.split()), _comparable_words(earlier.strip_words)
    same = sum((ours & theirs).values())
    if same < MIN_AGREEMENT * max(ours.total(), theirs.total()):
        return False
    return _digits(found.text) == _digits("".join(earlier.strip_words))


def _read_regions(
    regions: Sequence[Region], reader: _PageReader, totals: _PageTotals
) -> tuple[list[tuple[Region, str]], bool]:
    """Returns the text of regions that the text layer does not cover, and whether the reading of a region failed.

    It failed if text was not read: lines of print without any word, or many words of low confidence. The ink of a logo, a
    photograph or a signature does not count as unread.
    """
    read, failed = [], False
    for region in regions:
        small = region.image.width * region.image.height < SMALL_REGION_PIXELS
        try:
            found = reader.read_small(region.image) if small else reader.read(region.image)
        except DocumentFailure:  # the text layer is used anyway
            failed = True
            continue
        totals.passes += found.passes
        sure = _sure_part(found)
        is_unread = found.words - sure.words >= MIN_UNSURE_WORDS > sure.words or (
            not found.words and has_lines_of_print(region.image, page_dpi(region.image) or TARGET_DPI)
        )
        failed = failed or is_unread
        totals.images.append(RecognisedImage(region.image, found, region, used=bool(sure.text)))
        if is_unread or sure.words:
            totals.add_areas(found, sure, region.image)
        if sure.text:
            totals.add(sure)
            read.append((region, sure.text))
    return read, failed


def _sure_part(found: Recognition) -> Recognition:
    """Returns a recognition with its sure words only, if its mean confidence is low."""
    if (found.mean_confidence or 0.0) >= MIN_REGION_CONFIDENCE:
        return found
    sure = [
        word
        for word in found.image_words
        if word.confidence >= MIN_REGION_CONFIDENCE and sum(map(str.isalnum, word.text)) >= MIN_SURE_CHARACTERS
    ]
    return replace(recognition_of(sure, found.passes), coverage=found.coverage)


def _text_with_typed(found: Recognition, page: LoadedPage) -> str:
    """Returns the text read on a page's image, with the lines of its text layer at their positions.

    Lines whose position is unknown stand below the text.
    """
    if not page.lines:
        return found.text
    if not found.placed or page.image is None or page.image_box is None:
        missing = [line for line in page.lines if not _is_known(line.text, found.text)]
        return "\n\n".join(part for part in (found.text, text_of_lines(missing)) if part)
    read = lines_of_words(found.placed, page.image.size, page.image_box)
    return text_of_lines(with_typed_lines(read, _typed_lines_not_read(page.lines, read)))


def _typed_lines_not_read(typed: Sequence[LayerLine], lines: Sequence[LayerLine]) -> list[LayerLine]:
    """Returns the typed lines that were not read at their position."""
    return [line for line in typed if not _is_known(line.text, " ".join(words_near(line, lines)))]


def _without_known_edges(text: str, region: Region, lines: Sequence[LayerLine]) -> str:
    """Returns the text of a region without first and last lines that belong to the lines above and below the region.

    The image of a region has a margin, in which such lines are cut and partly misread. A line with digits that these lines
    do not have stays: the rows of an index differ in little else.
    """
    _, top, _, bottom = region.box
    known = " ".join(
        one.text
        for one in lines
        if one.top - EDGE_HEIGHTS * (height := one.bottom - one.top) < bottom
        and one.bottom + EDGE_HEIGHTS * height > top
    )
    rest = [line for line in text.split("\n") if line.strip()]
    for edge in (0, -1):
        if (
            rest
            and known
            and _is_known(rest[edge], known, MAX_KNOWN_SHARE_AT_EDGE)
            and not _new_numbers(rest[edge], known)
        ):
            del rest[edge]
    return "\n".join(rest)


def _area_of(lines: Sequence[LayerLine]) -> float:
    words = [word for line in lines for word in line.words]
    return sum((word.right - word.left) * (word.bottom - word.top) for word in words)


def _is_known(part: str, text: str, max_share: float = MAX_KNOWN_SHARE) -> bool:
    """Returns whether a text has most words of `part`."""
    words, known = _comparable_words(part.split()), _comparable_words(text.split())
    return sum((words & known).values()) > max_share * words.total()


def _new_numbers(part: str, text: str) -> Counter[str]:
    """Returns the words with digits in `part` that a text does not have."""
    new = _comparable_words(part.split()) - _comparable_words(text.split())
    return Counter({word: count for word, count in new.items() if any(map(str.isdigit, word))})


def _comparable_words(words: Sequence[str]) -> Counter[str]:
    """Returns the words in lower case, split at punctuation."""
    return Counter(part for word in words for part in WORD.findall(word.casefold()))


WORD = re.compile(r"[^\W_]+")


def _digits(text: str) -> str:
    """Returns the digits of a text in their order: two exchanged amounts have the same digits."""
    return "".join(filter(str.isdigit, text))
