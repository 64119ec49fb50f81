"""Tests of pages whose text layer covers a part of them, read with Tesseract."""

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.ocr.document import UNREAD_MARK, DocumentText, PageSource, PageText
from notaflow_pipeline.ocr.engines.interface import Recognition, Segmentation, recognition_of
from notaflow_pipeline.ocr.engines.null import NullEngine
from notaflow_pipeline.ocr.engines.words import Word
from notaflow_pipeline.ocr.failures import DocumentFailure
from notaflow_pipeline.ocr.input.file_format import DocumentFormat
from notaflow_pipeline.ocr.input.loaded_page import LoadedPage, Region
from notaflow_pipeline.ocr.input.page_loading import load_page
from notaflow_pipeline.ocr.input.text_layer.layer_order import LayerLine, LayerWord
from notaflow_pipeline.ocr.recognition import layered_page
from notaflow_pipeline.ocr.recognition.layered_page import recognised_page
from notaflow_pipeline_tests.ocr.default_engine import default_engine
from notaflow_pipeline_tests.ocr.samples import (
    ACT_LINES,
    ACT_ON_LETTER,
    act_page,
    layer_of_act,
    page_pdf,
    picture_object,
)

ENGINE = default_engine()
STAMP = "BT /F 10 Tf 72 60 Td (Inscrit sous le no 27 987 654) Tj ET "


def read(path: Path, content: str, page_extra: str = "") -> PageText:
    picture, resources = picture_object(act_page()), "/XObject<</I 6 0 R>>"
    path = page_pdf(path, content, resources=resources, more=[picture], page_extra=page_extra)
    return recognised_page(1, load_page(path, DocumentFormat.PDF, 1), ENGINE, time.monotonic(), math.inf).text


def test_earlier_ocr_that_agrees_with_its_image_is_kept(tmp_path: Path) -> None:
    page = read(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act())
    assert page.text.replace("\n\n", "\n").split("\n") == list(ACT_LINES)
    assert (page.source, page.passes, page.words) == (PageSource.TEXT_LAYER, 2, len(" ".join(ACT_LINES).split()))


@pytest.mark.parametrize(
    ("right", "wrong"), [("3 770 292", "3 170 292"), ("vend", "veud")], ids=["a digit", "some words"]
)
def test_earlier_ocr_with_errors_is_read_again(tmp_path: Path, right: str, wrong: str) -> None:
    lines = [line.replace(right, wrong) for line in ACT_LINES]
    page = read(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act(lines))
    assert wrong not in page.text
    assert right in page.text
    assert page.source is PageSource.RECOGNISED


def test_earlier_ocr_with_exchanged_amounts_is_read_again(tmp_path: Path) -> None:
    one, other = (next(n for n, line in enumerate(ACT_LINES) if number in line) for number in ("3 770 292", "75 000"))
    lines = list(ACT_LINES)
    lines[one] = lines[one].replace("3 770 292", "75 000")
    lines[other] = lines[other].replace("75 000", "3 770 292")
    page = read(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act(lines))
    assert page.text.index("3 770 292") < page.text.index("75 000")


@pytest.mark.parametrize("lines", [2, 6])
def test_lower_part_without_words_of_an_earlier_ocr_is_read(tmp_path: Path, lines: int) -> None:
    upper = [line if number < lines else "" for number, line in enumerate(ACT_LINES)]
    page = read(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act(upper))
    assert page.text.split() == " ".join(ACT_LINES).split()


@pytest.mark.parametrize("lines", [ACT_LINES, [line.replace("e", "c") for line in ACT_LINES]], ids=["good", "bad"])
def test_visible_stamp_is_kept_with_and_without_the_earlier_ocr(tmp_path: Path, lines: list[str]) -> None:
    page = read(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act(lines) + STAMP)
    assert page.text.count("27 987 654") == 1
    assert page.text.count("3 770 292") == 1


FORM = ("Nom du vendeur", "Prix de vente", "Lot numero", "Date de l'acte")
VALUES = ("Tremblay, Jean", "75 000,00 $", "3 770 292", "1952-03-14")
IN_PLACE = [f"{label} {value}" for label, value in zip(FORM, VALUES, strict=True)]


def form_page(degrees: float = 0.0) -> Image.Image:
    """Returns a printed form on a letter sheet at 150 dpi; its values are typed at 275 points from the left."""
    image = Image.new("L", (1275, 1650), 225)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=24)
    draw.text((300, 150), "Declaration de transmission d'un immeuble", fill=60, font=font)
    for number, label in enumerate(FORM):
        y = 400 + 150 * number
        draw.text((200, y), label, fill=60, font=font)
        draw.line((520, y + 26, 1000, y + 26), fill=60, width=2)
        draw.text((200, y + 75), "Ne rien inscrire dans cet espace sans autorisation.", fill=60, font=font)
    return image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=225, center=(573, 700))


def read_form(path: Path, image: Image.Image, content: str = "612 0 0 792 0 0") -> list[str]:
    """Returns the lines of the form with values typed into it; the first label is 400 pixels of 150 dpi below the edge."""
    values = "".join(
        f"BT /F 10 Tf 275 {792 - (400 + 150 * number + 24) * 0.48} Td ({value}) Tj ET "
        for number, value in enumerate(VALUES)
    )
    picture = f"q {content} cm /I Do Q {values}"
    path = page_pdf(path, picture, resources="/XObject<</I 6 0 R>>", more=[picture_object(image)])
    page = recognised_page(1, load_page(path, DocumentFormat.PDF, 1), ENGINE, time.monotonic(), 60).text
    return [" ".join(line.split()) for line in page.text.splitlines() if line.strip()]


def bordered(image: Image.Image) -> Image.Image:
    """Returns the page with the black border of a copier to the left of it and above it."""
    image.paste(10, (0, 0, 120, image.height))
    image.paste(10, (0, 0, image.width, 90))
    return image


@pytest.mark.parametrize(
    "image",
    [form_page(), form_page(degrees=1.3), bordered(form_page())],
    ids=["straight", "askew", "in a dark border"],
)
def test_values_typed_on_a_scanned_form_stand_beside_their_labels(tmp_path: Path, image: Image.Image) -> None:
    lines = read_form(tmp_path / "a.pdf", image)
    assert [line for line in lines if line.startswith(tuple(label[:8] for label in FORM))] == IN_PLACE


def test_values_on_a_form_that_is_a_part_of_the_page_are_in_place(tmp_path: Path) -> None:
    upper = form_page().crop((150, 100, 1275, 1100))
    lines = read_form(tmp_path / "a.pdf", upper, "540 0 0 480 72 264")
    assert [line for line in lines if line.startswith(tuple(label[:8] for label in FORM))] == IN_PLACE


def test_line_typed_between_paragraphs_of_a_scan_stays_between(tmp_path: Path) -> None:
    between = "BT /F 10 Tf 280 595 Td (Lu et approuve le 1952-03-15) Tj ET "
    lines = read(tmp_path / "a.pdf", ACT_ON_LETTER + between + STAMP).text.splitlines()
    places = [next(number for number, line in enumerate(lines) if part in line) for part in ("approuve", "75 000,00")]
    assert places == sorted(places)
    assert lines[places[0]] == "Lu et approuve le 1952-03-15"


def test_mark_across_a_scan_is_kept_out_of_its_lines(tmp_path: Path) -> None:
    mark = "COPIE NON OFFICIELLE DU REGISTRE"
    marks = "".join(f"BT /F 10 Tf 150 {700 - 37 * number} Td ({mark}) Tj ET " for number in range(10))
    page = read(tmp_path / "a.pdf", ACT_ON_LETTER + marks)
    text = " ".join(page.text.split())
    assert text == " ".join([*ACT_LINES, *[mark] * 10])


def test_value_that_stands_elsewhere_in_the_print_too_is_kept(tmp_path: Path) -> None:
    image = form_page()
    ImageDraw.Draw(image).text(
        (200, 1200), "Formule 3 770 292 du bureau", fill=60, font=ImageFont.load_default(size=24)
    )
    lines = read_form(tmp_path / "a.pdf", image)
    assert IN_PLACE[2] in lines
    assert "Formule 3 770 292 du bureau" in lines


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pasted_scan_is_read_at_its_place_in_a_letter(tmp_path: Path, rotation: int) -> None:
    letter = "BT /F 10 Tf 72 740 Td (Maître, voici l’extrait que vous avez demandé.) Tj ET "
    page = read(tmp_path / "a.pdf", letter + "q 420 0 0 406 72 250 cm /I Do Q " + STAMP, f"/Rotate {rotation}")
    places = [page.text.index(part) for part in ("Maître", "3 770 292", "27 987 654")]
    assert places == sorted(places)


def test_logo_beside_typed_text_adds_nothing(tmp_path: Path) -> None:
    logo = "".join(f"{500 + 5 * n} 730 m {520 - 3 * n} 770 l S " for n in range(8))
    typed = "BT /F 10 Tf 72 600 Td (Le prix de vente est de 75 000,00 $ comptant.) Tj ET "
    page = read(tmp_path / "a.pdf", typed + logo)
    assert page.text == "Le prix de vente est de 75 000,00 $ comptant."


class FailingEngine(NullEngine):
    """Reads nothing: every page exceeds its time limit."""

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:  # noqa: ARG002
        raise DocumentFailure(FailureKind.TIMEOUT, "It took too long.")


def test_unreadable_part_keeps_the_typed_text_and_marks_the_page(tmp_path: Path) -> None:
    letter = (
        "BT /F 10 Tf 72 740 Td (Maître, voici l’extrait que vous avez demandé.) Tj ET q 420 0 0 406 72 250 cm /I Do Q "
    )
    path = page_pdf(tmp_path / "a.pdf", letter, resources="/XObject<</I 6 0 R>>", more=[picture_object(act_page())])
    page = recognised_page(1, load_page(path, DocumentFormat.PDF, 1), FailingEngine(), time.monotonic(), math.inf).text
    assert (page.text, page.damaged) == ("Maître, voici l’extrait que vous avez demandé.", True)


class SameWordsEngine(NullEngine):
    """Finds the same words in each pass."""

    languages = "fra"

    def __init__(self, words: list[Word]) -> None:
        self._words = words

    def recognise(self, image: Image.Image, dpi: int | None, timeout_seconds: float) -> Recognition:  # noqa: ARG002
        return recognition_of(self._words)

    def find_words(
        self,
        image: Image.Image,  # noqa: ARG002
        dpi: int | None,  # noqa: ARG002
        timeout_seconds: float,  # noqa: ARG002
        languages: str | None = None,  # noqa: ARG002
        segmentation: Segmentation = Segmentation.AUTOMATIC,  # noqa: ARG002
    ) -> list[Word]:
        return list(self._words)


NONSENSE = [Word("lot", 12, 1, 1, line, 150, 150 + 37 * line, 900, 26) for line in range(12)]


@pytest.mark.parametrize("words", [[], NONSENSE], ids=["no words", "words of low confidence"])
def test_page_with_ink_that_no_pass_reads_is_marked_and_counted(words: list[Word]) -> None:
    page = recognised_page(1, LoadedPage(act_page()), SameWordsEngine(words), time.monotonic(), math.inf).text
    document = DocumentText((page,))
    assert document.text == f"--- Page 1 ---\n{UNREAD_MARK}"
    assert (document.pages_blank, document.pages_damaged, document.coverage) == (0, 1, 0.0)


def test_page_without_ink_is_blank_and_has_no_mark() -> None:
    empty = LoadedPage(Image.new("L", (1240, 1754), 235))
    page = recognised_page(1, empty, SameWordsEngine([]), time.monotonic(), math.inf).text
    assert (page.source, DocumentText((page,)).text) == (PageSource.BLANK, "")


def test_last_line_without_words_of_an_earlier_ocr_is_added_alone(tmp_path: Path) -> None:
    lines = [line if number < len(ACT_LINES) - 1 else "" for number, line in enumerate(ACT_LINES)]
    page = read(tmp_path / "a.pdf", ACT_ON_LETTER + layer_of_act(lines))
    assert page.text.split() == " ".join(ACT_LINES).split()


def test_faint_scan_in_a_typed_page_is_read(tmp_path: Path) -> None:
    letter = "BT /F 11 Tf 72 740 Td (Voici la lettre du notaire au client.) Tj ET q 300 0 0 290 72 300 cm /I Do Q"
    faint = act_page().point(lambda value: 225 - (225 - value) // 6)
    path = page_pdf(tmp_path / "a.pdf", letter, resources="/XObject<</I 6 0 R>>", more=[picture_object(faint)])
    page = recognised_page(1, load_page(path, DocumentFormat.PDF, 1), ENGINE, time.monotonic(), 60).text
    assert "3 770 292" in page.text
    assert "Voici la lettre" in page.text


def test_row_at_the_edge_of_a_region_that_differs_in_its_digits_stays() -> None:
    text = "10 118 203 2001-11-12 Vente Vendeur Tremblay, Jean 398 000,00 $"
    above = LayerLine((LayerWord(text, 72, 100, 500, 112),), text)
    row = "10 118 204 2001-11-12 Vente Vendeur Tremblay, Jean 398 000,00 $"
    region = Region(Image.new("L", (10, 10)), 0, (72, 114, 500, 140))
    assert layered_page._without_known_edges(row, region, [above]) == row
    assert layered_page._without_known_edges(text, region, [above]) == ""


LETTER = "BT /F 11 Tf 72 740 Td (Voici la lettre du notaire au client.) Tj ET "


def letter_with(path: Path, image: Image.Image, place: str) -> PageText:
    """Returns the text of a typed letter into which an image was pasted."""
    content = f"{LETTER}q {place} cm /I Do Q"
    path = page_pdf(path, content, resources="/XObject<</I 6 0 R>>", more=[picture_object(image)])
    return recognised_page(1, load_page(path, DocumentFormat.PDF, 1), ENGINE, time.monotonic(), math.inf).text


@pytest.mark.parametrize(("ink", "paper"), [(190, 235), (120, 200), (0, 255), (255, 0)])
def test_small_pasted_scan_is_read_on_any_paper(tmp_path: Path, ink: int, paper: int) -> None:
    image = Image.new("L", (600, 140), paper)
    font = ImageFont.load_default(size=40)
    ImageDraw.Draw(image).multiline_text((20, 15), "Lot 3 770 292 vendu\n75 000 $ comptant", fill=ink, font=font)
    page = letter_with(tmp_path / "a.pdf", image, "216 0 0 50 72 600")
    assert page.text.split("\n\n") == [
        "Voici la lettre du notaire au client.",
        "Lot 3 770 292 vendu\n75 000 $ comptant",
    ]
    assert not page.damaged


def test_pasted_scan_that_cannot_be_read_is_marked_and_counted(tmp_path: Path) -> None:
    content = f"{LETTER}q 420 0 0 406 72 250 cm /I Do Q"
    path = page_pdf(tmp_path / "a.pdf", content, resources="/XObject<</I 6 0 R>>", more=[picture_object(act_page())])
    engine = SameWordsEngine([replace(word, confidence=40) for word in NONSENSE])
    page = recognised_page(1, load_page(path, DocumentFormat.PDF, 1), engine, time.monotonic(), math.inf).text
    assert (page.text, page.damaged) == ("Voici la lettre du notaire au client.", True)
    assert page.coverage is not None
    assert page.coverage < 0.3


@pytest.mark.parametrize("size", [(420, 406), (216, 60)], ids=["large", "small"])
def test_region_of_print_without_any_word_is_marked(tmp_path: Path, size: tuple[int, int]) -> None:
    content = f"{LETTER}q {size[0]} 0 0 {size[1]} 72 250 cm /I Do Q"
    image = act_page() if size[1] > 60 else act_page().crop((100, 100, 1180, 400))
    path = page_pdf(tmp_path / "a.pdf", content, resources="/XObject<</I 6 0 R>>", more=[picture_object(image)])
    loaded = load_page(path, DocumentFormat.PDF, 1)
    page = recognised_page(1, loaded, SameWordsEngine([]), time.monotonic(), math.inf).text
    assert (page.text, page.damaged) == ("Voici la lettre du notaire au client.", True)
    assert page.coverage is not None
    assert page.coverage < 0.5


def test_signature_is_no_unread_text_and_lowers_no_coverage(tmp_path: Path) -> None:
    image = Image.new("L", (600, 200), 255)
    points = [(20 + 9 * n, 100 + (60 if n % 2 else -60) * (n * 7 % 10) / 10) for n in range(60)]
    ImageDraw.Draw(image).line(points, fill=20, width=5, joint="curve")
    page = letter_with(tmp_path / "a.pdf", image, "180 0 0 60 330 140")
    assert (page.text, page.damaged, page.coverage) == ("Voici la lettre du notaire au client.", False, None)


def test_sure_words_of_an_unsure_region_are_used() -> None:
    texts = [("Lot", 91), ("3770292", 88), ("aa", 75), *[("eeo", 20)] * 6]
    words = [Word(text, confidence, 1, 1, 1, 40 * n, 0, 30, 20) for n, (text, confidence) in enumerate(texts)]
    assert layered_page._sure_part(recognition_of(words)).text.split() == ["Lot", "3770292"]
    assert layered_page._sure_part(recognition_of(words[:3])).words == 3
