"""The stored form of a document's text."""

from notaflow_pipeline.ocr.document_text import DocumentText, PageText


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
