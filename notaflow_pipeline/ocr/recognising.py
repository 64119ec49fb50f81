"""How is a page read well and quickly? Prepare it, read it once, and try again only where that pays.

The policy alone: the steps of preparation are `preparing`'s, what a page looks like is `ink`'s, the order of words is
`layout`'s, and the engine is whichever is given. `benchmarks/quality.py` prints what each decision here costs and gains.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from PIL import Image

from notaflow_pipeline.ocr.engine import NOTHING, Engine, Recognition, Segmentation, WordEngine
from notaflow_pipeline.ocr.engines.interface import recognition_of
from notaflow_pipeline.ocr.engines.models import for_typescript
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.ink import Texture, has_no_ink, texture
from notaflow_pipeline.ocr.language import is_in_another, leading_language
from notaflow_pipeline.ocr.layout import Word, word_height
from notaflow_pipeline.ocr.noise import WORTH_REMOVING
from notaflow_pipeline.ocr.overlooked import Line, clear_lines, overlooked_strips, torn_share, with_lines
from notaflow_pipeline.ocr.preparing import (
    ALL_STEPS,
    FINE_DPI,
    SMALL_PRINT_DPI,
    TARGET_DPI,
    Prepared,
    Steps,
    as_it_lay,
    finer,
    is_blank,
    is_blurred,
    noise_of,
    prepare,
    smoother,
    unruled,
    upside_down,
)
from notaflow_pipeline.ocr.recognition.reading_order import ordered_words
from notaflow_pipeline.ocr.rules import without_rules
from notaflow_pipeline.ocr.thousands import with_thousands_apart

GOOD_CONFIDENCE = 80.0
"""A try with so much confidence is kept.

Trying the others again takes the mean error rate of the 40 corpus pages, without the line that libraries print under
their scans, from 0.061 to 0.053; below 83 and 86 it is 0.053 and 0.054, below 90 it is 0.056, for more looks at a page.
"""

GUESS_CONFIDENCE = 55.0
"""What a word has that is little more than a guess; a mess of many such words must not outweigh a few that were read."""

SPECK_CONFIDENCE = 20.0
"""A sign or single letter with less is dirt; without it the corpus has a mean error rate of 0.0521 instead of 0.0528."""

LEAST_WORD = 2
"""Letters and figures; what has fewer can be dirt."""

UPSIDE_DOWN_CONFIDENCE = 55.0
"""Text that stands on its head is read with a mean confidence of 31 to 40, upright text with 85 to 95."""

LEAST_CONFIDENCE = 25.0
"""What is read off a photograph or a texture has less; no text is better than such a text."""

SURE_IN_THE_OTHER_LANGUAGE = 95.0
"""A typed English deed was read by our French model with a confidence of 91, and an amount with a letter in it; with English
beside it 94, and right. Blurred pages gain more: error rates of 0.064 and 0.029 where the confidence was 64."""

SURE_OF_FIGURES = 90.0
"""A table in small print that is read so is not looked at without its grain."""

PRINT_OF_TABLES_PIXELS = 13
"""At 150 dpi; the printed index pages among the samples have 8 to 13."""

SHARE_OF_TABLES = 0.2
"""Of the letters and figures of a page, above which it is read as a table: its numbers are what it is for."""

CLEARLY_LESS = 0.9
"""Less than so much of what a table's first try is worth, and the finer one lost some of it."""

LONG_WORD = 4
"""Letters that make a word clearly wider than high."""

FEW_WORDS = 10
"""With fewer it cannot be seen from the pixels whether a page lies on its side."""

SURE_OF_FEW_WORDS = 92.0
"""Three words that stand on their heads were read as something else with 87, upright with 96."""

BETTER_OF_FEW_WORDS = 5.0

CLEARLY_BETTER = 15.0
"""By how much the confidence in a strip of the page must rise when it is turned before the whole page is read so."""

MOST_TORN = 0.025
"""Of the ink in a page's lines that no word covers.

Read as one column then, the first 20 corpus pages turned by -7, -3 and 3 degrees have error rates of 0.063 instead of 0.068,
0.064 and 0.064 (a loop over the versions of `benchmarks/quality.py`); as they are, all 40 have what they had.
"""

MANY_LINES = 3
"""So many overlooked lines show that the layout of the page was not understood, however surely the others were read."""

MOST_STRIPS = 12
"""Of a page that are looked at once more, so that a page full of pencil or pictures costs no second reading."""

LEAST_SECONDS = 0.5


def figures_share(words: list[Word]) -> float:
    """Which share of the letters and figures of these words are figures; 0 without any."""
    text = "".join(word.text for word in words)
    written = sum(map(str.isalnum, text))
    return sum(map(str.isdigit, text)) / written if written else 0.0


def is_speck(word: Word) -> bool:
    """Whether this is dirt that the engine took for a sign: less than a guess, and neither a word nor a figure."""
    written = sum(map(str.isalnum, word.text))
    return word.confidence < SPECK_CONFIDENCE and written < LEAST_WORD and not any(map(str.isdigit, word.text))


def run_upwards(words: list[Word]) -> bool:
    """Whether most words are higher than wide: Tesseract reads lines that run up the page too, but mixes them up."""
    long = [word for word in words if len(word.text) >= LONG_WORD]
    return sum(word.height > word.width for word in long) > len(long) / 2


@dataclass(frozen=True)
class Policy:
    """The decisions, for measuring them one by one."""

    steps: Steps = ALL_STEPS
    first_dpi: int | None = None
    """None chooses by the size of the print."""

    good_confidence: float = GOOD_CONFIDENCE
    choose_language: bool = True
    typescript_model: bool = True
    overlooked_lines: bool = True
    torn_lines: bool = True
    ruling: bool = True
    without_specks: bool = True
    all_languages_later: bool = True
    """Doubtful pages gain from both languages, at 1.3 times the cost of the try: on the corpus 0.0532 instead of 0.0535."""


DEFAULT_POLICY = Policy()


@dataclass(frozen=True)
class Try:
    """What one pass found on one preparation of a page."""

    words: list[Word]
    prepared: Prepared

    @property
    def confidence(self) -> float:
        """The mean over the words, 0 without any."""
        return sum(word.confidence for word in self.words) / len(self.words) if self.words else 0.0

    @property
    def worth(self) -> float:
        """How much was read, and how surely: letters count by how far their word is above a guess.

        It chooses between tries: mean confidence alone would prefer the one that read least.
        """
        return (self.confidence - GUESS_CONFIDENCE) * sum(len(word.text) for word in self.words) if self.words else 0.0


def read_page(
    image: Image.Image,
    dpi: int | None,
    engine: Engine,
    timeout_seconds: float,
    policy: Policy = DEFAULT_POLICY,
) -> Recognition:
    """Read a grey (mode `L`) page that is upright by its tags.

    `dpi` is what the file says; wrong or absent does no harm. Engines that do not say where words stand read the page
    as it is. Raises `DocumentFailure` and `EngineUnavailable` as the engine does.
    """
    if not isinstance(engine, WordEngine):
        return engine.recognise(image, dpi, timeout_seconds)
    if is_blank(image):
        return NOTHING
    target_dpi = policy.first_dpi or TARGET_DPI
    prepared = prepare(image, dpi, replace(policy.steps, denoise=False), target_dpi)
    noise = noise_of(prepared) if policy.steps.denoise else 0.0
    if noise >= WORTH_REMOVING:
        prepared = prepare(image, dpi, policy.steps, target_dpi)
    # what is left of noise is specks
    without_specks = smoother(prepared) if noise >= WORTH_REMOVING else prepared
    if policy.steps.background and has_no_ink(without_specks.image, noise):
        return NOTHING
    look = texture(prepared.image)
    blurred = _is_smallish(look) and is_blurred(prepared)
    if (look.small or blurred) and policy.first_dpi is None and policy.steps.scale:
        prepared = prepare(image, dpi, prepared.steps, SMALL_PRINT_DPI if look.small and blurred else FINE_DPI)
        look = texture(prepared.image)
    if look.speckled:
        prepared = smoother(prepared)
        if has_no_ink(prepared.image):
            return NOTHING
        look = texture(prepared.image)
        if look.speckled or look.solid:
            return Recognition("", 0, None, passes=0)  # noise alone, on which Tesseract would spend up to 18 s
    reading = _Reading(engine, time.monotonic() + timeout_seconds, policy)
    return reading.of(prepared, once=look.solid, fine_figures=blurred or _is_smallish(look))


def _is_smallish(look: Texture) -> bool:
    return look.print_height_pixels <= PRINT_OF_TABLES_PIXELS and not look.speckled


class _Reading:
    """The tries at one page."""

    def __init__(self, engine: WordEngine, deadline: float, policy: Policy) -> None:
        self._engine = engine
        self._deadline = deadline
        self._policy = policy
        self._passes = 0
        self._seconds_a_pixel = 0.0  # of the last try
        leading = leading_language(engine.languages) if policy.choose_language else engine.languages
        self._print_languages = leading
        self._languages = self._typed(leading)  # of this page, as far as it is known
        self._all_languages = self._typed(engine.languages)
        self._later_languages = self._all_languages if policy.all_languages_later else self._languages

    def _typed(self, languages: str) -> str:
        return for_typescript(languages) if self._policy.typescript_model else languages

    def of(self, prepared: Prepared, *, once: bool, fine_figures: bool) -> Recognition:
        """The best of the tries; of one try alone where there is more picture than text.

        `fine_figures` says that the print is so small that a table's numbers could run together.
        """
        found = self._first(prepared)
        if once:
            return self._result(found)
        found = self._upright(found)
        if fine_figures and found.prepared.dpi != SMALL_PRINT_DPI and figures_share(found.words) > SHARE_OF_TABLES:
            found = self._with_finer_figures(found)
        if found.confidence < SURE_IN_THE_OTHER_LANGUAGE and is_in_another(found.words, self._engine.languages):
            found = self._better(found, found.prepared, self._all_languages)
        if self._is_doubtful(found):
            found = self._of_all_ways(found)
        return self._result(self._untorn(self._with_overlooked_lines(found)))

    def _first(self, prepared: Prepared) -> Try:
        if prepared.quarter_turns and self._reads_better_as_it_lay(prepared):
            prepared = as_it_lay(prepared)
        return self._anything_in(prepared)

    def _anything_in(self, prepared: Prepared) -> Try:
        """A try, and another as one column where nothing was found."""
        found = self._try(prepared, self._languages)
        if not found.words and not self._short_of_time():
            # its layout may be what was not understood: a thin frame makes a picture of the whole page
            with suppress(DocumentFailure):
                return self._try(prepared, self._languages, Segmentation.SINGLE_COLUMN)
        return found

    def _upright(self, found: Try) -> Try:
        """What was found, or what is found once the words say that the page was turned wrongly, or stands on its head."""
        if found.prepared.quarter_turns and run_upwards(found.words):
            return self._right_way_up(self._try(as_it_lay(found.prepared), self._languages))
        found = self._right_way_up(found)
        if found.prepared.quarter_turns % 2 and (self._is_doubtful(found) or len(found.words) < FEW_WORDS):
            lying = self._better(found, as_it_lay(found.prepared), self._languages)
            if lying is not found and not run_upwards(lying.words):
                return self._right_way_up(lying)
        return found

    def _right_way_up(self, found: Try) -> Try:
        if self._may_be_upside_down(found) and self._reads_better_turned(found):
            return self._try(upside_down(found.prepared), self._languages)
        return found

    def _is_doubtful(self, found: Try) -> bool:
        return found.confidence < self._policy.good_confidence

    def _of_all_ways(self, first: Try) -> Try:
        """The best of the first try and the other ways to look at a page, which end with one that is surely better."""
        best = first
        for another, segmentation in self._others(first):
            best = self._better(best, another, self._later_languages, segmentation)
            if (best is not first and not self._is_doubtful(best)) or self._short_of_time():
                break
        return best

    def _with_overlooked_lines(self, found: Try) -> Try:
        """What was found, with the lines that the layout passed over."""
        lines = self._overlooked_lines(found)
        if len(lines) >= MANY_LINES and not self._is_doubtful(found):
            another = self._of_all_ways(found)
            if another is not found:
                found, lines = another, self._overlooked_lines(another)
        return replace(found, words=with_lines(found.words, lines))

    def _untorn(self, found: Try) -> Try:
        """What was found, or what is found as one column, where lines were torn."""
        if not self._policy.torn_lines or torn_share(found.prepared.image, found.words) <= MOST_TORN:
            return found
        column = self._better(found, found.prepared, self._languages, Segmentation.SINGLE_COLUMN)
        return found if column is found else self._with_overlooked_lines(column)

    def _overlooked_lines(self, found: Try) -> list[Line]:
        lines: list[Line] = []
        if not self._policy.overlooked_lines:
            return lines
        image = found.prepared.image
        for strip in overlooked_strips(image, found.words)[:MOST_STRIPS]:
            known = [*found.words, *(word for line in lines for word in line)]
            part = replace(found.prepared, image=image.crop(strip))
            new = clear_lines(self._words_of_strip(part), strip, known)
            if not new and (unruled := without_rules(part.image, word_height(found.words))):
                new = clear_lines(self._words_of_strip(replace(part, image=unruled)), strip, known)
            lines += new
        return lines

    def _words_of_strip(self, strip: Prepared) -> list[Word]:
        if not self._short_of_time():
            with suppress(DocumentFailure):
                return self._try(strip, self._languages, Segmentation.SINGLE_BLOCK).words
        return []

    def _with_finer_figures(self, best: Try) -> Try:
        """A table's print at a resolution that keeps its numbers apart, by the model that knows print better.

        What was found before stands where that is clearly less.
        """
        fine = finer(best.prepared, SMALL_PRINT_DPI)
        found = self._better(Try([], fine), fine, self._print_languages)
        if found.confidence < SURE_OF_FIGURES and not self._short_of_time():
            found = self._better(found, smoother(fine), self._print_languages)  # what is finer has more grain, too
        if found.worth <= CLEARLY_LESS * best.worth:
            return best
        self._languages = self._print_languages
        return found

    def _result(self, best: Try) -> Recognition:
        words = best.words if best.confidence >= LEAST_CONFIDENCE else []
        words = with_thousands_apart(best.prepared.image, words)
        return recognition_of(ordered_words(words, *best.prepared.image.size), self._passes)

    def _may_be_upside_down(self, one: Try) -> bool:
        few = len(one.words) < FEW_WORDS
        return bool(one.words) and one.confidence < (SURE_OF_FEW_WORDS if few else UPSIDE_DOWN_CONFIDENCE)

    def _reads_better_as_it_lay(self, prepared: Prepared) -> bool:
        """Whether the middle of a page that was turned by its look is not understood, but is as it lay.

        The columns of a table look like lines that run up and down; reading all of such a page takes twice as long as
        reading it the right way round.
        """
        turned_strip, strip = (self._middle(one) for one in (prepared, as_it_lay(prepared)))
        with suppress(DocumentFailure):
            turned = self._try(turned_strip, self._languages)
            if turned.confidence < UPSIDE_DOWN_CONFIDENCE:
                lying = self._try(strip, self._languages)
                return lying.confidence > turned.confidence + CLEARLY_BETTER and not run_upwards(lying.words)
        return False

    def _middle(self, prepared: Prepared) -> Prepared:
        image = prepared.image
        box = (0, round(0.4 * image.height), image.width, round(0.6 * image.height))
        return replace(prepared, image=image.crop(box))

    def _reads_better_turned(self, best: Try) -> bool:
        """Whether the fullest strip of the page is understood when it stands on its head, and not as it is.

        Each is a fifth of a whole try. The page's own confidence says nothing where its layout was not understood.
        """
        image = best.prepared.image
        heights = sorted(word.middle for word in best.words)
        letter = max(word.height for word in best.words)
        centre, reach = heights[len(heights) // 2], max(image.height / 10, 3 * letter)
        top, bottom = round(max(0, centre - reach)), round(min(image.height, centre + reach))
        strip = replace(best.prepared, image=image.crop((0, top, image.width, bottom)))
        margin = BETTER_OF_FEW_WORDS if len(best.words) < FEW_WORDS else CLEARLY_BETTER
        with suppress(DocumentFailure):
            turned = self._anything_in(upside_down(strip))
            if turned.confidence > best.confidence + margin:
                return turned.confidence > self._try(strip, self._languages).confidence + margin
        return False

    def _better(
        self, best: Try, prepared: Prepared, languages: str, segmentation: Segmentation = Segmentation.AUTOMATIC
    ) -> Try:
        """The better of what was found and another try; if that one fails or has no time, what was found.

        A try that cannot end by the deadline could only take what was found with it, when its worker is killed.
        """
        if self._seconds_a_pixel * prepared.image.width * prepared.image.height > self._deadline - time.monotonic():
            return best
        with suppress(DocumentFailure):
            return max(best, self._try(prepared, languages, segmentation), key=lambda one: one.worth)
        return best

    def _try(self, prepared: Prepared, languages: str, segmentation: Segmentation = Segmentation.AUTOMATIC) -> Try:
        self._passes += 1
        began = time.monotonic()
        left_seconds = max(self._deadline - began, LEAST_SECONDS)
        words = self._engine.find_words(prepared.image, prepared.dpi, left_seconds, languages, segmentation)
        if self._policy.without_specks:
            words = [word for word in words if not is_speck(word)]
        self._seconds_a_pixel = (time.monotonic() - began) / (prepared.image.width * prepared.image.height)
        return Try(words, prepared)

    def _short_of_time(self) -> bool:
        return self._deadline - time.monotonic() < 2 * LEAST_SECONDS

    def _others(self, first: Try) -> Iterator[tuple[Prepared, Segmentation]]:
        """Other ways to look at a page, the most promising first."""
        fine = finer(first.prepared)
        if first.prepared.steps.denoise:  # it was noisy, and what is left of that comes out again when it is made finer
            yield smoother(fine), Segmentation.SINGLE_COLUMN
        if self._policy.ruling and first.words:
            height = word_height(first.words) * fine.image.width / first.prepared.image.width
            if table := unruled(fine, height):
                yield table, Segmentation.AUTOMATIC
        yield smoother(first.prepared), Segmentation.AUTOMATIC
        yield fine, Segmentation.SINGLE_COLUMN
