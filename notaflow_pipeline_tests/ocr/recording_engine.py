"""An engine that reads with another one, and records the languages of each pass."""

from dataclasses import dataclass, field

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import Segmentation, WordEngine
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.engines.words import Word


@dataclass(frozen=True)
class RecordingEngine(NullEngine):
    """Reads with `engine`; `used` has the languages of each pass."""

    engine: WordEngine = field(kw_only=True)
    used: list[str] = field(default_factory=list)

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
        return self.engine.find_words(image, dpi, timeout_seconds, languages, segmentation)
