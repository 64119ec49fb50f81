"""The owner and the tags that every asset carries."""

from typing import Final

OWNERS: Final = ["team:notaflow"]

TAGS: Final = {"domain": "land-registry", "personal-data": "yes"}
"""Documents hold names and prices; their texts are in `extraction_queue.file_content` alone."""
