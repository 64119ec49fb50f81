"""Tests of the page as text: it is complete, loads nothing, and no text in it becomes markup."""

import re
from html.parser import HTMLParser

import pytest

from notaflow_pipeline.document_view import html_page
from notaflow_pipeline.document_view.html_page import PageTooLarge, render_page
from notaflow_pipeline.document_view.translations import TEXTS
from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.document import PageSource, PageText
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.reporting.report.locale_format import LANGUAGES
from notaflow_pipeline_tests.document_view import HOSTILE, attempt, jpeg, page_of, read_image, viewed


class Elements(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile_page(texts: tuple[str, ...]) -> str:
    said = " ".join(texts)
    pages = (
        page_of(1, read_image(*texts), text=said, scan=jpeg()),
        page_of(2, read_image(*texts, confidence=None, text_layer=True), read_image(*texts, used=False), text=said),
        PageText(3, "", 0, None, 1, source=PageSource.FAILED, failure=DocumentFailure(FailureKind.CORRUPT, said)),
    )
    attempts = (attempt("failed", said, said), attempt(said, None, None))
    return render_page(viewed(*pages, stored=f"--- Page 1 ---\n{said}\n{said}", attempts=attempts, number=said))


def test_hostile_text_adds_no_element_and_no_attribute() -> None:
    plain = Elements(hostile_page(tuple("x" for _ in HOSTILE)))
    hostile = Elements(hostile_page(HOSTILE))
    ignored = {"control"}  # what shows characters that cannot be seen
    kinds = [
        [(tag, sorted(attributes)) for tag, attributes in page.found if attributes.get("class") not in ignored]
        for page in (plain, hostile)
    ]
    # the texts are told apart word by word, so there may be more spans; what there is of each kind is not
    assert {(tag, *names) for tag, names in kinds[1]} == {(tag, *names) for tag, names in kinds[0]}
    for tag in ("script", "style", "img", "svg", "meta", "title"):
        assert [one for one, _ in kinds[1]].count(tag) == [one for one, _ in kinds[0]].count(tag), tag


def test_every_hostile_text_is_there_as_text() -> None:
    shown = Elements(hostile_page(HOSTILE)).text
    for text in HOSTILE[:-1]:
        assert text in shown


def test_page_loads_nothing_and_names_no_other_host() -> None:
    page = render_page(viewed(page_of(1, read_image("Vente"), scan=jpeg()), stored="x"))
    elements = Elements(page).found
    policy = next(one["content"] for _, one in elements if one.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    for _, attributes in elements:
        assert (attributes.get("src") or "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
        assert not {"href", "srcset", "action", "style", "onload", "onclick"} & attributes.keys()
    assert not re.search(r"https?:|url\(|@import|fetch|XMLHttp", page)


def test_page_has_no_location_worker_or_run() -> None:
    page = render_page(viewed(page_of(1, read_image("Vente")), attempts=(attempt(),)))
    for secret in ("secret-name", "token", "worker-7", "run-9"):
        assert secret not in page


def test_direction_marks_are_shown_and_cannot_turn_a_number() -> None:
    page = render_page(viewed(page_of(1, read_image("3 770 \u202e292"))))
    assert 'data-code="U+202E"' in page
    turned = re.findall(r"(.{60})\u202e(.{7})", page)
    assert turned
    assert all(before.endswith('data-code="U+202E">') and after == "</span>" for before, after in turned)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (None, "none_stored"),
        ("--- Page 1 ---\nVente", "same"),
        ("--- Page 1 ---\nVenle", "differs"),
        ("Vente", "unmarked"),
    ],
)
def test_page_says_whether_the_stored_text_is_what_is_read(stored: str | None, said: str) -> None:
    page = render_page(viewed(page_of(1, read_image("Vente")), stored=stored, attempts=(attempt(),)))
    for language in LANGUAGES:
        for name in ("none_stored", "same", "differs", "unmarked"):
            assert (getattr(TEXTS[name], language) in page.replace("&#39;", "'")) == (name == said), name
        assert (getattr(TEXTS["stored_by"], language).format(engine="older engine") in page) == (said == "differs")


def test_page_that_would_be_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_page, "MAX_BYTES", 4 * len(jpeg()) // 3 + 10)
    render_page(viewed(page_of(1, read_image())))
    with pytest.raises(PageTooLarge, match="--pages"):
        render_page(viewed(page_of(1, read_image(), scan=jpeg())))


def test_both_languages_have_every_text() -> None:
    for name, texts in TEXTS.items():
        assert texts.fr.strip(), name
        assert texts.en.strip(), name
        assert re.findall(r"\{\w+\}", texts.fr) == re.findall(r"\{\w+\}", texts.en), name
