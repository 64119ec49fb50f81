"""An OCR engine that behaves according to the size of the page: quick, slow, or killing its worker process."""

import os
import time
from dataclasses import dataclass

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import Recognition

DOCUMENTS_A_HEIGHT = 1000
HEIGHTS_APART = 100
"""Keeps pages below about a thousand pixels: a larger page is scaled down when it is tried again after its process was
killed, and would then have the size of another document."""

POISON_HEIGHT = 13
"""A page of this height ends the process that reads it, at every attempt."""

MEMORY_HEIGHT = 19
"""A page of this height uses up the memory of its process."""

WORKER_BYTES = 400 * 1024**2
"""Memory limit of a worker in a chaos run, which a hungry page reaches soon."""

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
        """Do nothing: the engine needs no program."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:
        height = image.height % HEIGHTS_APART
        if height == POISON_HEIGHT:
            os._exit(1)
        if height == MEMORY_HEIGHT:
            _exhaust_memory()
        time.sleep(SLOW_SECONDS if height == SLOW_HEIGHT else QUICK_SECONDS)
        return Recognition(text_of(image.size), 1, 90.0)


def _exhaust_memory() -> None:
    blocks = []
    while True:
        blocks.append(b"x" * 2**20)
        time.sleep(0.001)


def size_of(number: int, height: int) -> tuple[int, int]:
    """Return a page size with the behaviour of this height, a different one for every document."""
    return 20 + number % DOCUMENTS_A_HEIGHT, height + HEIGHTS_APART * (number // DOCUMENTS_A_HEIGHT)


def text_of(size: tuple[int, int]) -> str:
    """Return the text that the engine reads on a page of this size."""
    return f"page of {size[0]}x{size[1]}"
