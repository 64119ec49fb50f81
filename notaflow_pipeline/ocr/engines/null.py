"""An engine that reads nothing, for tests of what surrounds an engine."""

import time
from dataclasses import dataclass

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import Recognition


@dataclass(frozen=True)
class NullEngine:
    """Reads nothing and says how large the page was. `sleep_seconds` is how long each page pretends to take."""

    sleep_seconds: float = 0.0

    @property
    def name(self) -> str:
        """How reports call it."""
        return "null"

    def check(self) -> None:
        """Nothing can be missing."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:  # noqa: ARG002
        """The page's size as text, `page of WxH`, with confidence 90."""
        time.sleep(self.sleep_seconds)
        return Recognition(f"page of {image.width}x{image.height}", 3, 90.0)
