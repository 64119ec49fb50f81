"""Tests of the stored text of a document."""

import pytest

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.document import DocumentText, PageSource, PageText
from notaflow_pipeline.ocr.failures import DocumentFailure


def page(number: int, text: str, words: int = 1, confidence: float | None = 90.0) -> PageText:
    return PageText(number, text, words, confidence, 1.5)


def test_pages_stand_in_order_behind_their_lines() -> None:
    document = DocumentText((page(1, "Un"), page(2, "Deux\nlignes")))
    assert document.text == "--- Page 1 ---\nUn\n\n--- Page 2 ---\nDeux\nlignes"
    assert document.characters == len(document.text)
    assert document.ocr_seconds == 3.0


def test_blank_page_among_others_keeps_its_line() -> None:
    document = DocumentText((page(1, "Un"), page(2, "", 0, None), page(3, "Trois")))
    assert document.text == "--- Page 1 ---\nUn\n\n--- Page 2 ---\n\n--- Page 3 ---\nTrois"


def test_document_without_a_word_is_empty() -> None:
    document = DocumentText((page(1, "", 0, None), page(2, "", 0, None)))
    assert (document.text, document.characters, document.mean_confidence) == ("", 0, None)


def test_text_is_composed_and_without_nul() -> None:
    assert DocumentText((page(1, "e\u0301te\0\u0301"),)).text == "--- Page 1 ---\n\u00e9t\u00e9"


def test_confidence_is_weighted_by_words() -> None:
    document = DocumentText((page(1, "x", 3, 90.0), page(2, "", 0, None), page(3, "x", 1, 50.0)))
    assert document.mean_confidence == 80.0


def failed(number: int, kind: FailureKind) -> PageText:
    failure = DocumentFailure(kind, "It would not.")
    return PageText(number, "", 0, None, 0.5, passes=0, source=PageSource.FAILED, failure=failure)


def test_unreadable_page_has_a_mark_in_its_place() -> None:
    damaged = PageText(3, "Trois", 1, 90.0, 1.0, damaged=True)
    document = DocumentText((page(1, "Un"), failed(2, FailureKind.CORRUPT), damaged), incomplete=True)
    assert document.text == (
        "--- Page 1 ---\nUn\n\n--- Page 2 ---\n[page could not be read: corrupt]\n\n"
        "--- Page 3 ---\nTrois\n\n[page is damaged: part of it could not be read]\n\n"
        "[document is damaged: pages may be missing here]"
    )
    assert (document.pages_failed, document.pages_damaged) == (1, 1)


def test_figures_count_pages_by_source_and_unsure_words() -> None:
    layer = PageText(2, "Deux", 100, None, 0.1, passes=0, source=PageSource.TEXT_LAYER)
    blank = PageText(3, "", 0, None, 0.1, source=PageSource.BLANK)
    recognised = PageText(1, "Un", 8, 80.0, 1.0, low_confidence_words=2, passes=2)
    document = DocumentText((recognised, layer, blank))
    assert (document.pages_text_layer, document.pages_blank, document.pages_failed, document.passes) == (1, 1, 0, 3)
    assert (document.mean_confidence, document.low_confidence_share) == (80.0, 0.25)
    assert DocumentText((layer, blank)).low_confidence_share is None


def test_coverage_is_that_of_the_page_with_the_lowest() -> None:
    layer = PageText(1, "Un", 100, None, 0.1, passes=0, source=PageSource.TEXT_LAYER)
    recognised = [
        PageText(number, "x", 8, 90.0, 1.0, coverage=share) for number, share in ((2, 0.98), (3, 0.41), (4, None))
    ]
    assert DocumentText((layer, *recognised)).coverage == 0.41
    unread = PageText(5, "", 0, None, 1.0, source=PageSource.BLANK, coverage=0.0)
    assert DocumentText((*recognised, unread)).coverage == 0.0, "ink without a single word"
    assert DocumentText((layer, failed(2, FailureKind.CORRUPT))).coverage is None


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([FailureKind.CORRUPT] * 9, None),
        ([FailureKind.CORRUPT] * 10, FailureKind.CORRUPT),
        ([FailureKind.TIMEOUT] * 5, None),
        ([FailureKind.TIMEOUT] * 6, FailureKind.TIMEOUT),
        ([FailureKind.TIMEOUT] * 4 + [FailureKind.CORRUPT] * 6, FailureKind.CORRUPT),
    ],
    ids=["one page left", "none left", "half, transient", "most, transient", "none left, mixed"],
)
def test_document_succeeds_unless_another_attempt_is_promising(
    kinds: list[FailureKind], expected: FailureKind | None
) -> None:
    pages = [failed(number, kind) for number, kind in enumerate(kinds, start=1)]
    document = DocumentText((*pages, *(page(number, "x") for number in range(len(kinds) + 1, 11))))
    assert (document.failure.kind if document.failure else None) is expected
