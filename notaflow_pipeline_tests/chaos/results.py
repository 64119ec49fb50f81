"""Checks the result of a chaos run: lost, read twice or wrong documents, and disturbances that did not happen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg import Connection

from notaflow_pipeline.job_queue.invariants import find_violations
from notaflow_pipeline_tests.chaos.history import DONE_WITHOUT_TEXT, READ_TWICE, SUPERSEDED_TEXTS

LONG_ENOUGH_MINUTES = 1.5
"""A run of this length must have caused every disturbance and rejected a late write, or it fails."""

ENDS = """
SELECT document_number, status_id, file_content, COALESCE(ocr_attempts, 0) >= COALESCE(ocr_max_attempts, 3)
FROM extraction_queue
"""


@dataclass(frozen=True)
class Expected:
    """The expected result of a document, unless another program finishes it."""

    text: str
    unreadable: bool
    """Whether it kills its process or uses up its memory, so that it must be exhausted."""
    large: bool = False


@dataclass(frozen=True)
class WrongResult:
    """A result of a document that must not occur."""

    kind: str
    document: str
    what: str


KINDS = (
    "documents lost",
    "documents read twice",
    "texts wrong",
    "texts of superseded claims",
    "done without a text",
    "invariant violations",
)


def text_of_other_program(document: str) -> str:
    """Return the text that another program writes for a document."""
    return f"another program's text of {document}"


def find_wrong_results(connection: Connection, expected: Mapping[str, Expected]) -> list[WrongResult]:
    """Find all wrong results, after the queue has run empty."""
    return [
        *_wrong_ends(connection, expected),
        *(WrongResult("documents read twice", *row) for row in connection.execute(READ_TWICE).fetchall()),
        *(WrongResult("texts of superseded claims", *row) for row in connection.execute(SUPERSEDED_TEXTS).fetchall()),
        *(WrongResult("done without a text", *row) for row in connection.execute(DONE_WITHOUT_TEXT).fetchall()),
        *(
            WrongResult("invariant violations", str(one.document_id), f"{one.invariant}: {one.what}")
            for one in find_violations(connection, sources=["index"])
        ),
    ]


def _wrong_ends(connection: Connection, expected: Mapping[str, Expected]) -> Iterable[WrongResult]:
    """Compare each row with the expected result: read by us or another program, or exhausted."""
    ends = {name: rest for name, *rest in connection.execute(ENDS).fetchall()}
    for name, wanted in expected.items():
        if name not in ends:
            yield WrongResult("documents lost", name, "there is no row")
            continue
        status, text, exhausted = ends[name]
        if status == 5 and text is not None:
            by_us = text == wanted.text and not wanted.unreadable
            if not by_us and text != text_of_other_program(name):
                yield WrongResult("texts wrong", name, f"at 5 with {text!r}")
        elif not (status == 3 and text is None and exhausted):
            yield WrongResult("documents lost", name, f"at {status} with {text!r}, exhausted: {exhausted}")


def missing_disturbances(done: Mapping[str, int], minutes: float) -> list[str]:
    """Return the disturbances that did not happen in a run of this length."""
    return [what for what, count in done.items() if not count] if minutes >= LONG_ENOUGH_MINUTES else []


def exit_code(wrong_results: Iterable[WrongResult], missing: Iterable[str]) -> int:
    """Return 1 if there are wrong results or missing disturbances, else 0."""
    return int(any(True for _ in wrong_results) or any(True for _ in missing))
