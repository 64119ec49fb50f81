"""An OCR engine that behaves according to the size of the page: quick, slow, or killing its worker process."""

import os
import time
from dataclasses import dataclass

from PIL import Image

from notaflow_pipeline.ocr.engine import Recognition

DOCUMENTS_A_HEIGHT = 1000
HEIGHTS_APART = 100
"""Sides stay below a thousand pixels or so: a longer page is made smaller when its process was killed and it is tried again,
and would then have another document's size."""

POISON_HEIGHT = 13
"""A page of this height ends the process that reads it, at every attempt."""

HUNGRY_HEIGHT = 19
"""A page of this height takes all the memory that there is."""

WORKER_BYTES = 400 * 1024**2
"""What a worker may take in a chaos run, so that a hungry page is soon at its end."""

SLOW_HEIGHT = 17
SLOW_SECONDS = 9.0
"""Three leases of the chaos run: a healthy worker must never lose such a document."""

QUICK_SECONDS = 0.05


@dataclass(frozen=True)
class ChaosEngine:
    """Reads nothing; the text is the page's size, which is different for every document."""

    @property
    def name(self) -> str:
        return "chaos"

    def check(self) -> None:
        """Nothing can be missing."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        height = image.height % HEIGHTS_APART
        if height == POISON_HEIGHT:
            os._exit(1)
        if height == HUNGRY_HEIGHT:
            _eat()
        time.sleep(SLOW_SECONDS if height == SLOW_HEIGHT else QUICK_SECONDS)
        return Recognition(text_of(image.size), 1, 90.0)


def _eat() -> None:
    eaten = []
    while True:
        eaten.append(b"x" * 2**20)
        time.sleep(0.001)


def size_of(number: int, height: int) -> tuple[int, int]:
    """The size of a page that behaves as one of this height, a different one for every document."""
    return 20 + number % DOCUMENTS_A_HEIGHT, height + HEIGHTS_APART * (number // DOCUMENTS_A_HEIGHT)


def text_of(size: tuple[int, int]) -> str:
    """What the engine reads on a page of this size."""
    return f"page of {size[0]}x{size[1]}"
