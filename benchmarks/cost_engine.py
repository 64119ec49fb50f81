"""An engine that costs nothing and returns as much text as a typical document has: what remains is the queue's own cost."""

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
    """Reads nothing: words and numbers at random, which Postgres compresses about as it does a register's text."""

    characters: int

    @property
    def name(self) -> str:
        """How attempts name it."""
        return "cost"

    def check(self) -> None:
        """Nothing can be missing."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:  # noqa: ARG002
        """Return a text of the length wanted, another for each page."""
        chance = random.Random()
        words: list[str] = []
        length = 0
        while length < self.characters:
            word = chance.choice(WORDS) if chance.random() < 0.6 else str(chance.randrange(1_000, 9_999_999))
            words.append(word)
            length += len(word) + 1
        return Recognition(" ".join(words)[: self.characters], len(words), 90.0)
