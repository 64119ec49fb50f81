"""Compares the text that is read now with the stored text, page by page."""

import re
from difflib import SequenceMatcher

from notaflow_pipeline.job_queue.model import storable
from notaflow_pipeline.ocr.document import DocumentText, PageText

PAGE_LINE = re.compile(r"^--- Page ([0-9]{1,6}) ---$", re.MULTILINE)


MAX_COMPARED_WORDS = 2_000
"""A page with more words is shown without differences, which would take too long to find."""


def pages_of(stored: str) -> dict[int, str]:
    """Return the text of each page of a stored text; empty if no line says where a page begins.

    A line of this form with another number than the next one is part of the text of its page.
    """
    starts: list[tuple[int, int, int]] = []
    for line in PAGE_LINE.finditer(stored):
        if int(line[1]) == len(starts) + 1:
            starts.append((int(line[1]), line.start(), line.end()))
    ends = [*(start for _, start, _ in starts[1:]), len(stored)]
    return {number: stored[end:after].strip() for (number, _, end), after in zip(starts, ends, strict=False)}


def text_of_page(document: DocumentText, page: PageText) -> str:
    """Return a page's text as it would be stored, with the remarks about the document after its last page."""
    is_last = page.number == document.pages_in_file
    alone = DocumentText((page,), incomplete=document.incomplete and is_last, unread=document.unread if is_last else ())
    return storable(alone.text.removeprefix(f"--- Page {page.number} ---")).strip()


def differences(stored: str, now: str) -> list[tuple[str, bool]]:
    """Return the stored text in parts, each with whether the text that is read now differs there."""
    ours, others = (re.findall(r"\S+\s*", text) for text in (stored, now))
    if max(len(ours), len(others)) > MAX_COMPARED_WORDS:
        return [(stored, False)]
    matcher = SequenceMatcher(None, [one.strip() for one in ours], [one.strip() for one in others], autojunk=False)
    parts = [("".join(ours[first:last]), kind != "equal") for kind, first, last, *_ in matcher.get_opcodes()]
    return [(part, is_other) for part, is_other in parts if part]
