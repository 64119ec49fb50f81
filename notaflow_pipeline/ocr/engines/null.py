"""An engine that reads nothing, for tests of the code around an engine."""

import time
from dataclasses import dataclass

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import Recognition


@dataclass(frozen=True)
class NullEngine:
    """Reads nothing and returns the size of the page. `sleep_seconds` is the time that each page takes."""

    sleep_seconds: float = 0.0

    @property
    def name(self) -> str:
        """The name in reports."""
        return "null"

    def check(self) -> None:
        """Raises nothing: no requirement can be missing."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:  # noqa: ARG002
        """Returns the page's size as text, `page of WxH`, with confidence 90."""
        time.sleep(self.sleep_seconds)
        return Recognition(f"page of {image.width}x{image.height}", 3, 90.0)
