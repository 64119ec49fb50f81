"""Runs passes of the engine over a page, within the CPU seconds that the page may take."""

from contextlib import suppress

from notaflow_pipeline.ocr.cpu_time import cpu_seconds
from notaflow_pipeline.ocr.engines.interface import Segmentation, WordEngine
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.preprocessing.preprocess import PreprocessedPage
from notaflow_pipeline.ocr.recognition.page_languages import languages_of_page
from notaflow_pipeline.ocr.recognition.passes import PassResult, Policy
from notaflow_pipeline.ocr.recognition.words import without_specks

MIN_PASS_SECONDS = 0.5


class PassRunner:
    """The engine, the policy, the languages and the time of one page; `passes` is how often the engine was asked.

    `deadline` is in CPU seconds of this process, as `cpu_seconds` counts them. `languages` changes as soon as it is
    known in which language a page is and whether it is printed.
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
        """One pass, in the page's languages unless others are given. Raises `DocumentFailure` as the engine does."""
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
        """The better of what was found and another pass; if that one fails or has no time, what was found.

        A pass that cannot end by the deadline could only take what was found with it, when its worker is killed.
        """
        if self._seconds_a_pixel * prepared.image.width * prepared.image.height > self._deadline - cpu_seconds():
            return best
        with suppress(DocumentFailure):
            return max(best, self.run(prepared, languages, segmentation), key=lambda one: one.score)
        return best

    def run_or_as_column(self, prepared: PreprocessedPage) -> PassResult:
        """A pass, and another one as a single column where no word was found."""
        found = self.run(prepared)
        if not found.words and not self.is_short_of_time:
            # the layout may be what was not understood: a thin frame makes a picture of the whole page
            with suppress(DocumentFailure):
                return self.run(prepared, segmentation=Segmentation.SINGLE_COLUMN)
        return found

    def is_doubtful(self, found: PassResult) -> bool:
        """Whether other ways to read the page are worth their time."""
        return found.confidence < self.policy.good_confidence

    @property
    def is_short_of_time(self) -> bool:
        """Whether another pass could hardly end in time."""
        return self._deadline - cpu_seconds() < 2 * MIN_PASS_SECONDS
