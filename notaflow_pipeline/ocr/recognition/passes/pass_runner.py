"""Runs passes of the engine over a page, within the CPU seconds of the page."""

from contextlib import suppress

from notaflow_pipeline.ocr.cpu_time import cpu_seconds
from notaflow_pipeline.ocr.engines.interface import Segmentation, WordEngine
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.preprocessing.preprocess import PreprocessedPage
from notaflow_pipeline.ocr.recognition.passes.page_languages import languages_of_page
from notaflow_pipeline.ocr.recognition.passes.pass_result import PassResult, Policy
from notaflow_pipeline.ocr.recognition.words.word_statistics import without_specks

MIN_PASS_SECONDS = 0.5


class PassRunner:
    """The engine, the policy, the languages and the time limit of one page; `passes` is the number of calls of the
    engine.

    `deadline` is in CPU seconds of this process, as `cpu_seconds` counts them. `languages` changes when a pass shows the
    language of the page, or that it is printed.
    """

    def __init__(self, engine: WordEngine, deadline: float, policy: Policy) -> None:
        self.policy = policy
        self.languages = languages_of_page(engine.languages, policy)
        self.passes = 0
        self._engine = engine
        self._deadline = deadline
        self._seconds_a_pixel = 0.0  # of the last pass

    def run(
        self,
        prepared: PreprocessedPage,
        languages: str | None = None,
        segmentation: Segmentation = Segmentation.AUTOMATIC,
    ) -> PassResult:
        """Runs one pass, in the page's languages unless others are given. Raises `DocumentFailure` like the engine."""
        self.passes += 1
        began = cpu_seconds()
        left_seconds = max(self._deadline - began, MIN_PASS_SECONDS)
        languages = languages or self.languages.first
        words = self._engine.find_words(prepared.image, prepared.dpi, left_seconds, languages, segmentation)
        if self.policy.without_specks:
            words = without_specks(words)
        self._seconds_a_pixel = (cpu_seconds() - began) / (prepared.image.width * prepared.image.height)
        return PassResult(words, prepared)

    def better(
        self,
        best: PassResult,
        prepared: PreprocessedPage,
        languages: str | None = None,
        segmentation: Segmentation = Segmentation.AUTOMATIC,
    ) -> PassResult:
        """Runs another pass and returns the better result; returns `best` if the pass fails or has no time.

        A pass that cannot end by the deadline is not begun: its worker would be killed, and the result so far lost.
        """
        if self._seconds_a_pixel * prepared.image.width * prepared.image.height > self._deadline - cpu_seconds():
            return best
        with suppress(DocumentFailure):
            return max(best, self.run(prepared, languages, segmentation), key=lambda one: one.score)
        return best

    def run_or_as_column(self, prepared: PreprocessedPage) -> PassResult:
        """Runs a pass, and another one as a single column if the first found no word."""
        found = self.run(prepared)
        if not found.words and not self.is_short_of_time:
            # the layout analysis can be at fault: with a thin frame it takes the whole page for a picture
            with suppress(DocumentFailure):
                return self.run(prepared, segmentation=Segmentation.SINGLE_COLUMN)
        return found

    def is_doubtful(self, found: PassResult) -> bool:
        """Returns whether alternative passes over the page are likely to improve the result."""
        return found.confidence < self.policy.good_confidence

    @property
    def is_short_of_time(self) -> bool:
        """Whether too little time is left for another pass."""
        return self._deadline - cpu_seconds() < 2 * MIN_PASS_SECONDS
