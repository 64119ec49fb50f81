"""The owner and the tags that every asset carries."""

from typing import Final

OWNERS: Final = ["team:notaflow"]

TAGS: Final = {"domain": "land-registry", "personal-data": "yes"}
"""Documents contain names and prices; their texts are only in `extraction_queue.file_content`."""
