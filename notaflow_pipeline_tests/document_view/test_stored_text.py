"""Tests of the stored text by page, compared with the text that is read now."""

from hypothesis import given
from hypothesis import strategies as st

from notaflow_pipeline.document_view.stored_text import MAX_COMPARED_WORDS, differences, pages_of, text_of_page
from notaflow_pipeline.ocr.document import DocumentText, PageSource, PageText
from notaflow_pipeline_tests.document_view import page_of, read_image, viewed


def page(number: int, text: str) -> PageText:
    return PageText(number, text, 1, 90, 1)


def test_document_as_it_is_stored_differs_on_no_page() -> None:
    pages = (page(1, "Vente e\u0301"), PageText(2, "", 0, None, 0, source=PageSource.BLANK), page(3, "Bail\0"))
    document = DocumentText(pages, incomplete=True, unread=("plan.pdf",), pages_in_file=3)
    stored = pages_of(document.text)
    assert [text_of_page(document, one) for one in pages] == [stored[1], stored[2], stored[3]]
    assert stored[2] == ""
    assert "plan.pdf" in stored[3]


def test_line_that_only_looks_like_a_page_is_no_page() -> None:
    text = "--- Page 1 ---\nVente\n--- Page 7 ---\n\n--- Page 2 ---\nBail"
    assert pages_of(text) == {1: "Vente\n--- Page 7 ---", 2: "Bail"}
    assert pages_of("Vente") == {}


def test_shown_pages_are_compared_with_their_own_text() -> None:
    pages = (page_of(2, read_image("Bail")), page_of(3, read_image("Quittance")))
    same = viewed(*pages, stored="--- Page 1 ---\nx\n\n--- Page 2 ---\nBail\n\n--- Page 3 ---\nQuittance")
    assert same.differing_pages() == []
    other = viewed(*pages, stored="--- Page 1 ---\nx\n\n--- Page 2 ---\nBai1\n\n--- Page 3 ---\nQuittance")
    assert other.differing_pages() == [2]
    assert viewed(*pages, stored="").differing_pages() == [2, 3]


def test_differing_words_are_marked() -> None:
    assert differences("lot 3 770 292 vendu", "lot 3 770 299 vendu") == [
        ("lot 3 770 ", False),
        ("292 ", True),
        ("vendu", False),
    ]


@given(st.text(st.sampled_from("ab \n"), max_size=30), st.text(st.sampled_from("ab \n"), max_size=30))
def test_concatenated_parts_are_the_stored_text(stored: str, now: str) -> None:
    assert "".join(part for part, _ in differences(stored.strip(), now)) == stored.strip()


def test_long_texts_are_shown_without_their_differences() -> None:
    text = "a " * (MAX_COMPARED_WORDS + 1)
    assert differences(text, "b") == [(text, False)]
