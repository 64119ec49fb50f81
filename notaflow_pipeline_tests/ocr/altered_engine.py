"""An engine that reads with another one, and alters the words of each pass."""

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import Segmentation, WordEngine
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.engines.words import Word

Alter = Callable[[list[Word], Image.Image, Segmentation], list[Word]]
"""Returns the words that the engine finds, for those that the other one found on an image."""


@dataclass(frozen=True)
class AlteredEngine(NullEngine):
    """Reads with `engine`; `alter` decides what is found. `images` are those of its passes, by segmentation."""

    engine: WordEngine = field(kw_only=True)
    alter: Alter = field(kw_only=True)
    images: dict[Segmentation, list[Image.Image]] = field(default_factory=dict)

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
        self.images.setdefault(segmentation, []).append(image)
        words = self.engine.find_words(image, dpi, timeout_seconds, languages, segmentation)
        return self.alter(words, image, segmentation)
