"""An engine without cost that returns as much text as a typical document has: the queue's own cost remains."""

import random
from dataclasses import dataclass

from PIL import Image

from notaflow_pipeline.ocr.engines.interface import Recognition

WORDS = ("vente", "hypothèque", "quittance", "cadastre", "lot", "circonscription", "foncière", "inscription", "notaire")
WORDS += (
    "acte",
    "servitude",
    "immeuble",
    "rue",
    "Québec",
    "Montréal",
    "propriétaire",
    "créancier",
    "débiteur",
    "radiation",
)


@dataclass(frozen=True)
class TextEngine:
    """Reads nothing; returns random words and numbers, which Postgres compresses about as well as a register's text."""

    characters: int

    @property
    def name(self) -> str:
        """The name in attempts."""
        return "cost"

    def check(self) -> None:
        """Raises nothing: no requirement can be missing."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:  # noqa: ARG002
        """Returns a text of the required length, a different one for each page."""
        rng = random.Random()
        words: list[str] = []
        length = 0
        while length < self.characters:
            word = rng.choice(WORDS) if rng.random() < 0.6 else str(rng.randrange(1_000, 9_999_999))
            words.append(word)
            length += len(word) + 1
        return Recognition(" ".join(words)[: self.characters], len(words), 90.0)
