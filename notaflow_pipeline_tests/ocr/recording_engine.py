"""An engine that reads with another one, may alter the words, and records its passes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import Segmentation, WordEngine
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.engines.words import Word

Alter = Callable[[list[Word], Image.Image, Segmentation], list[Word]]
"""Returns the words that the engine finds, for those that the other one found on an image."""


@dataclass(frozen=True)
class RecordingEngine(NullEngine):
    """Reads with `engine`; `used` has the languages of each pass, and `segmentations` its segmentation."""

    engine: WordEngine = field(kw_only=True)
    alter: Alter = field(default=lambda words, *_: words, kw_only=True)
    used: list[str] = field(default_factory=list)
    segmentations: list[Segmentation] = field(default_factory=list)

    @property
    def languages(self) -> str:
        return self.engine.languages

    def find_words(
        self,
        image: Image.Image,
        dpi: int | None,
        timeout_seconds: float,
        languages: str | None = None,
        segmentation: Segmentation = Segmentation.AUTOMATIC,
    ) -> list[Word]:
        self.used.append(str(languages))
        self.segmentations.append(segmentation)
        words = self.engine.find_words(image, dpi, timeout_seconds, languages, segmentation)
        return self.alter(words, image, segmentation)
