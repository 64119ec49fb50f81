"""Tests of the page in a browser without a network: word positions, languages, images, and hostile text."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pypdfium2
import pytest

from notaflow_pipeline.document_view.html_page import ViewData, render_page
from notaflow_pipeline.document_view.page_files import write_private
from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.document import PageSource, PageText
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.workers.document_pool import DocumentPool
from notaflow_pipeline_tests.document_view import HOSTILE, MOMENT, attempt, job, jpeg, page_of, read_image, viewed
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.samples import act_page
from notaflow_pipeline_tests.testing.contrast import MIN_CONTRAST, contrasts
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


BOX = "one => { const r = one.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom] }"


def opened(context: "BrowserContext", page: str, folder: Path) -> tuple["Page", list[str]]:
    """A page that is shown, and the list of all that it complains about or asks for."""
    write_private(page, folder / "views" / "page.html")
    shown, said = context.new_page(), list[str]()
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda one: said.append(one.url) if not one.url.startswith(("file:", "data:")) else None)
    shown.goto((folder / "views" / "page.html").as_uri())
    return shown, said


def test_words_lie_on_the_scan_and_are_marked_with_their_text(tmp_path: Path, browser: "Browser") -> None:
    act_page(200).save(tmp_path / "a.png", dpi=(200, 200))
    with DocumentPool(default_engine(), workers=1) as document_pool:
        document = document_pool.start(tmp_path / "a.png", views_of=[1]).result(timeout=HANG_SECONDS)
    stored = document.text.replace("3 770 292", "3 770 299")
    seen = ViewData(job(), (attempt(),), stored, document, "tesserocr", MOMENT, "America/Toronto")
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}, locale="fr-CA")
    page, said = opened(context, render_page(seen), tmp_path)

    assert page.evaluate("document.documentElement.lang") == "fr"
    assert page.locator("text=reconnue par OCR").is_visible()
    assert page.locator(".text.now").inner_text().split() == document.pages[0].text.split()
    image = page.locator("img.read").evaluate(BOX)
    places = page.locator("svg g rect").evaluate_all(f"all => all.map({BOX})")
    assert len(places) == len(document.pages[0].text.split())
    for left, top, right, bottom in places:
        assert image[0] <= left < right <= image[2]
        assert image[1] <= top < bottom <= image[3]
    drawn = page.locator("svg g text").evaluate_all(f"all => all.map({BOX})")
    assert all(abs(one[0] - two[0]) < 6 and abs(one[2] - two[2]) < 6 for one, two in zip(places, drawn, strict=True))

    word = page.locator(".text.now [data-word]", has_text="notaire").first
    word.hover()
    name = word.get_attribute("data-word")
    assert page.locator(f"svg g.shown[data-word='{name}']").count() == 1
    over = page.locator(f"svg g[data-word='{name}'] title").text_content() or ""
    assert over.startswith("notaire · ")
    assert page.locator(".differs .other").all_inner_texts() == ["299 "]

    page.locator("svg g text").nth(3).select_text()
    assert page.evaluate("getSelection().toString()").strip() == document.pages[0].text.split()[3]

    page.click("[data-choose-image=scan]")
    assert not page.locator("img.read").is_visible()
    assert page.locator("img.scan").is_visible()
    assert page.locator("img.scan").evaluate("one => one.naturalWidth") > 500
    page.click("[data-language=en]")
    assert page.locator("text=recognised by OCR").is_visible()
    assert not page.locator("text=reconnue par OCR").is_visible()
    assert said == [], "no request, no warning, no error"
    context.close()


def test_unsure_words_are_reached_with_the_keyboard(tmp_path: Path, browser: "Browser") -> None:
    image = read_image("Vente", "3", "770")
    words = (image.words[0], replace(image.words[1], confidence=40.0), replace(image.words[2], confidence=30.0))
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}, locale="en-CA")
    page, said = opened(context, render_page(viewed(page_of(1, replace(image, words=words)))), tmp_path)
    page.locator(".text.now").focus()
    for name in ("1-0-1", "1-0-2"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.dataset.word") == name
        assert page.locator("svg g.shown").evaluate_all("all => all.map(one => one.dataset.word)") == [name]
    assert said == []
    context.close()


def test_every_image_and_pane_has_a_name_in_the_language_shown(tmp_path: Path, browser: "Browser") -> None:
    page_text = page_of(1, read_image("Vente"), scan=jpeg())
    context = browser.new_context(offline=True, locale="fr-CA")
    page, _ = opened(context, render_page(viewed(page_text, stored="--- Page 1 ---\nVenle")), tmp_path)
    assert page.title() == "Document 2 784 195"
    page.get_by_role("img", name="Image, page 1", exact=True).wait_for()
    page.get_by_role("region", name="Page 1", exact=True).locator(".text.now").wait_for()
    assert page.get_by_role("region", name="Le texte enregistré de cette page diffère :", exact=True).count() == 1
    page.click("[data-language=en]")
    assert page.get_by_role("region", name="The stored text of this page differs:", exact=True).count() == 1
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_told_from_their_background(tmp_path: Path, browser: "Browser", scheme: str) -> None:
    unsure = read_image("Vente", confidence=30.0)
    failed = PageText(2, "", 0, None, 1, source=PageSource.FAILED, failure=DocumentFailure(FailureKind.CORRUPT, "No."))
    seen = viewed(page_of(1, unsure), failed, stored="--- Page 1 ---\nVenle", attempts=(attempt(),))
    context = browser.new_context(offline=True, color_scheme=scheme, locale="fr-CA")  # type: ignore[arg-type]
    page, _ = opened(context, render_page(seen), tmp_path)
    measured = contrasts(page)
    assert len(measured) > 20
    assert [one for one in measured if one[1] < MIN_CONTRAST] == []
    context.close()


def test_first_page_is_printed_below_what_is_said_of_the_document(tmp_path: Path, browser: "Browser") -> None:
    pages = [page_of(number, read_image("Vente")) for number in (1, 2)]
    context = browser.new_context(offline=True, locale="en-CA")
    page, _ = opened(context, render_page(viewed(*pages)), tmp_path)
    page.pdf(path=tmp_path / "page.pdf", format="Letter")
    with pypdfium2.PdfDocument(tmp_path / "page.pdf") as paper:
        sheets = [sheet.get_textpage().get_text_bounded() for sheet in paper]
    assert ["Page 1" in sheet for sheet in sheets] == [True, False]
    assert "Document 2 784 195" in sheets[0]
    context.close()


def test_hostile_text_runs_nothing_and_fits_a_phone(tmp_path: Path, browser: "Browser") -> None:
    text = " ".join(HOSTILE)
    pages = (
        page_of(1, read_image(*HOSTILE, unread=((1, 50, 30, 9),)), text=text, scan=jpeg()),
        page_of(2, read_image(*HOSTILE, confidence=None, text_layer=True), text=text),
    )
    hostile = viewed(*pages, stored=text, attempts=(attempt("failed", text, text),), number=text)
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 800}, locale="en-CA", has_touch=True)
    page, said = opened(context, render_page(hostile), tmp_path)
    for summary in page.locator("summary").all():
        summary.click()
    for word in page.locator(".text.now [data-word]").all():
        word.hover()
    shown = page.locator(".text.now").first.inner_text()
    assert all(part in shown for one in HOSTILE[:8] for part in one.split())
    assert page.title() != "taken"
    assert page.evaluate("document.title") not in {"taken", "1"}
    assert page.locator("h1 bdi").is_visible()
    assert page.locator("svg rect.unread").count() == 1
    assert page.locator("script").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 390, "nothing reaches over the edge of a phone"
    assert said == [], "no request, no refused script, no error"
    context.close()


def test_direction_characters_have_no_effect(tmp_path: Path, browser: "Browser") -> None:
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}, locale="en-CA")
    words = (
        "A",
        "\u202e292",
        "B",
        "\u05d0",
        "7",
        "\u05d1",
    )  # the last three: Hebrew letters would turn the order of their row
    page, _ = opened(context, render_page(viewed(page_of(1, read_image(*words)))), tmp_path)
    order = page.locator(".text.now [data-word]").evaluate_all(f"all => all.map({BOX})")
    assert [one[0] for one in order] == sorted(one[0] for one in order)
    assert page.locator(".control").first.evaluate("one => getComputedStyle(one, '::before').content") == '"U+202E"'
    # a range over each figure: they stand from left to right
    figures = page.evaluate(
        """() => {
          const word = document.querySelectorAll(".text.now [data-word]")[1].lastChild;
          return [0, 1, 2].map((at) => {
            const range = document.createRange();
            range.setStart(word, at); range.setEnd(word, at + 1);
            return range.getBoundingClientRect().left;
          });
        }"""
    )
    assert figures == sorted(figures)
    context.close()
