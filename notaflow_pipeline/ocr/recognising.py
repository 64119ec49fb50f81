"""How is a page read well and quickly? Prepare it, read it once, and try again only where that pays.

The policy alone: the steps of preparation are `preparing`'s, what a page looks like is `ink`'s, the order of words is
`layout`'s, and the engine is whichever is given. `benchmarks/quality.py` prints what each decision here costs and gains.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from PIL import Image

from notaflow_pipeline.ocr.engine import NOTHING, Engine, Recognition, Segmentation, WordEngine
from notaflow_pipeline.ocr.engines.interface import recognition_of
from notaflow_pipeline.ocr.engines.models import for_typescript
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.ink import fullest_rows
from notaflow_pipeline.ocr.language import is_in_another, leading_language
from notaflow_pipeline.ocr.layout import Word, word_height
from notaflow_pipeline.ocr.overlooked import Line, clear_lines, overlooked_strips, torn_share, with_lines
from notaflow_pipeline.ocr.preparing import (
    FINE_DPI,
    NO_STEPS,
    SMALL_PRINT_DPI,
    TARGET_DPI,
    Prepared,
    as_it_lay,
    at_resolution,
    finer,
    is_blank,
    on_its_side,
    smoother,
    unruled,
    upside_down,
)
from notaflow_pipeline.ocr.recognition.coverage import LOW_COVERAGE, ink_coverage
from notaflow_pipeline.ocr.recognition.passes import DEFAULT_POLICY, Policy, Try
from notaflow_pipeline.ocr.recognition.planning import Plan, plan
from notaflow_pipeline.ocr.recognition.reading_order import ordered_words
from notaflow_pipeline.ocr.recognition.words import character_inches, figures_share, is_speck, run_upwards
from notaflow_pipeline.ocr.rules import without_rules
from notaflow_pipeline.ocr.thousands import with_thousands_apart

UPSIDE_DOWN_CONFIDENCE = 55.0
"""Text that stands on its head is read with a mean confidence of 31 to 40, upright text with 85 to 95."""

LEAST_CONFIDENCE = 25.0
"""What is read off a photograph or a texture has less; no text is better than such a text."""

SURE_IN_THE_OTHER_LANGUAGE = 95.0
"""A typed English deed was read by our French model with a confidence of 91, and an amount with a letter in it; with English
beside it 94, and right. Blurred pages gain more: error rates of 0.064 and 0.029 where the confidence was 64."""

SURE_OF_FIGURES = 90.0
"""A table in small print that is read so is not looked at without its grain."""

SHARE_OF_TABLES = 0.2
"""Of the letters and figures of a page, above which it is read as a table: its numbers are what it is for."""

TYPEWRITTEN_INCHES = 0.073
"""A typewriter sets 10 or 12 characters to an inch; over the words of 21 typed corpus pages this is 0.076 to 0.099, of
printed pages 0.057 to 0.070, but for large print."""

WELL_COVERED = 0.9
"""Of a page's ink by the words of a pass that could have missed rows."""

SURE_TABLE_CONFIDENCE = 90.0
"""Of a table in small print that was read as print: below it, it may be typed all the same."""

MOSTLY_FIGURES = 0.5
"""Of the letters and figures of a page, above which its language matters little."""

CLEARLY_LESS = 0.9
"""Less than so much of what a table's first try is worth, and the finer one lost some of it."""


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

STRIP_SHARE = 0.08
"""Of a page's height: six lines of print, in which twenty of a language's commonest words stand."""

LEAST_SECONDS = 0.5


def cpu_seconds() -> float:
    """CPU seconds of this process and of the programs that it started and that ended.

    Passes are limited by these and not by the clock, so that a page is read alike however busy the machine is.
    """
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def read_page(
    image: Image.Image,
    dpi: int | None,
    engine: Engine,
    timeout_seconds: float,
    policy: Policy = DEFAULT_POLICY,
) -> Recognition:
    """Read a grey (mode `L`) page that is upright by its tags.

    `dpi` is what the file says; wrong or absent does no harm. `timeout_seconds` are CPU seconds of this process. Engines
    that do not say where words stand read the page as it is. Raises `DocumentFailure` and `EngineUnavailable` as the
    engine does.
    """
    if not isinstance(engine, WordEngine):
        return engine.recognise(image, dpi, timeout_seconds)
    if is_blank(image):
        return NOTHING
    planned = plan(image, dpi, policy.steps, policy.first_dpi)
    if planned is None:
        return NOTHING
    reading = _Reading(engine, cpu_seconds() + timeout_seconds, policy)
    return reading.of(image, dpi, planned)


def _is_surely_sideways(found: Try) -> bool:
    """Whether lines were read that run up the page; a few words read off a frame or off noise say nothing."""
    return len(found.words) >= FEW_WORDS and found.confidence >= UPSIDE_DOWN_CONFIDENCE and run_upwards(found.words)


def _on_its_other_side(prepared: Prepared) -> Prepared:
    return as_it_lay(prepared) if prepared.quarter_turns % 2 else on_its_side(prepared)


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

    def of(self, image: Image.Image, dpi: int | None, planned: Plan) -> Recognition:
        """The best of the passes; where it leaves doubts, one more is made over the page as it came."""
        found = self._best_of_prepared(planned)
        coverage = ink_coverage(found.prepared.image, found.words)
        if self._policy.plain_pass and (self._is_doubtful(found) or (coverage is not None and coverage < LOW_COVERAGE)):
            plain = Prepared(image, dpi, image, dpi, NO_STEPS)
            better = self._better(found, plain, self._engine.languages)
            if better is not found:
                found, coverage = better, ink_coverage(image, better.words)
        return replace(self._result(found), coverage=coverage)

    def _best_of_prepared(self, planned: Plan) -> Try:
        found = self._first(planned)
        if planned.pictures:
            return found
        found = self._upright(found)
        if (
            planned.fine_figures
            and (found.prepared.dpi or 0) < SMALL_PRINT_DPI
            and figures_share(found.words) > SHARE_OF_TABLES
        ):
            found = self._with_finer_figures(found)
        known = self._languages == self._all_languages or figures_share(found.words) > MOSTLY_FIGURES
        if (
            not known
            and found.confidence < SURE_IN_THE_OTHER_LANGUAGE
            and is_in_another(found.words, self._engine.languages)
        ):
            found = self._better(found, found.prepared, self._all_languages)
        if self._is_doubtful(found):
            found = self._of_all_ways(found)
        return self._untorn(self._with_overlooked_lines(found))

    def _first(self, planned: Plan) -> Try:
        prepared = planned.prepared
        if prepared.quarter_turns and self._reads_better_as_it_lay(prepared):
            prepared = as_it_lay(prepared)
        if not self._policy.strip:
            return self._anything_in(prepared)
        prepared, words = self._upright_by_strip(prepared)
        if self._print_languages != self._engine.languages and is_in_another(words, self._engine.languages):
            self._languages = self._later_languages = self._all_languages
        inches = character_inches(words, prepared.dpi)
        is_typed = inches >= TYPEWRITTEN_INCHES
        if figures_share(words) > SHARE_OF_TABLES:
            return self._table(prepared, inches, fine_figures=planned.fine_figures)
        if planned.coarsened and not is_typed:
            prepared = at_resolution(prepared, FINE_DPI)
        return self._anything_in(prepared)

    def _upright_by_strip(self, prepared: Prepared) -> tuple[Prepared, list[Word]]:
        """The page the right way round, as far as its fullest strip shows that, and the words of the strip."""
        strip = self._fullest_strip(prepared)
        if _is_surely_sideways(strip):
            prepared = _on_its_other_side(prepared)
            strip = self._fullest_strip(prepared)
        if strip.prepared.quarter_turns != prepared.quarter_turns:
            prepared = upside_down(prepared)
        return prepared, strip.words

    def _table(self, prepared: Prepared, inches: float, *, fine_figures: bool) -> Try:
        """A page of rows of cells, at the resolution and with the model that suit its print."""
        if inches >= TYPEWRITTEN_INCHES:
            return self._typed_table(at_resolution(prepared, TARGET_DPI))
        if not fine_figures:
            return self._anything_in(prepared)
        prepared = finer(prepared, SMALL_PRINT_DPI) if (prepared.dpi or 0) < SMALL_PRINT_DPI else prepared
        typed = self._languages
        if typed != self._all_languages:
            self._languages = self._print_languages
        found = self._anything_in(prepared)
        is_print = inches < 0.9 * TYPEWRITTEN_INCHES or typed == self._languages
        if found.confidence >= SURE_TABLE_CONFIDENCE or is_print:
            return found
        # the characters of a form that was filled in by typewriter are as narrow as print
        return self._better(found, prepared, typed)

    def _fullest_strip(self, prepared: Prepared) -> Try:
        """What stands in the fullest strip, which tells language and kind of the page, and whether it stands on its head.

        It costs a tenth of a whole pass at most.
        """
        height = round(STRIP_SHARE * prepared.image.height)
        top = fullest_rows(prepared.image, height)
        strip = replace(prepared, image=prepared.image.crop((0, top, prepared.image.width, top + height)))
        found = Try([], strip)
        with suppress(DocumentFailure):
            found = self._try(strip, self._languages)
            if found.confidence < UPSIDE_DOWN_CONFIDENCE and len(found.words) >= FEW_WORDS:
                turned = self._try(upside_down(strip), self._languages)
                if turned.confidence > found.confidence + CLEARLY_BETTER:
                    return turned
        return found

    def _typed_table(self, prepared: Prepared) -> Try:
        """A typed page of rows of cells, line by line; where that does not read all of it surely, as the layout has it.

        The layout tears such rows, and takes the lone sign at their end for dirt: `65 000, 0e 6` instead of `65 000,00 $`.
        Rules across a table keep the engine from seeing lines.
        """
        found = self._better(Try([], prepared), prepared, self._languages, Segmentation.SINGLE_BLOCK)
        coverage = ink_coverage(prepared.image, found.words)
        if not self._is_doubtful(found) and coverage is not None and coverage >= WELL_COVERED:
            return found
        return self._better(found, prepared, self._languages)

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
        if _is_surely_sideways(found) or (found.prepared.quarter_turns and run_upwards(found.words)):
            return self._right_way_up(self._try(_on_its_other_side(found.prepared), self._languages))
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
        if not self._policy.torn_lines or figures_share(found.words) > SHARE_OF_TABLES:
            return found
        if torn_share(found.prepared.image, found.words) <= MOST_TORN:
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
            if run_upwards(turned.words):
                return True
            if turned.confidence < self._policy.good_confidence:
                lying = self._try(strip, self._languages)
                clearly = lying.confidence > turned.confidence + CLEARLY_BETTER
                more = lying.confidence > turned.confidence and lying.worth > 2 * max(turned.worth, 0)
                return (clearly or more) and not run_upwards(lying.words)
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
        if self._seconds_a_pixel * prepared.image.width * prepared.image.height > self._deadline - cpu_seconds():
            return best
        with suppress(DocumentFailure):
            return max(best, self._try(prepared, languages, segmentation), key=lambda one: one.worth)
        return best

    def _try(self, prepared: Prepared, languages: str, segmentation: Segmentation = Segmentation.AUTOMATIC) -> Try:
        self._passes += 1
        began = cpu_seconds()
        left_seconds = max(self._deadline - began, LEAST_SECONDS)
        words = self._engine.find_words(prepared.image, prepared.dpi, left_seconds, languages, segmentation)
        if self._policy.without_specks:
            words = [word for word in words if not is_speck(word)]
        self._seconds_a_pixel = (cpu_seconds() - began) / (prepared.image.width * prepared.image.height)
        return Try(words, prepared)

    def _short_of_time(self) -> bool:
        return self._deadline - cpu_seconds() < 2 * LEAST_SECONDS

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
