"""Numbers with their nouns, for messages in English."""


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: `1 document`, `2 documents`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
