"""Tests of the assignment of spans of text to words of an image."""

from hypothesis import given
from hypothesis import strategies as st

from notaflow_pipeline.document_view.text_spans import controls, text_spans
from notaflow_pipeline_tests.document_view import read_image

WORDS = st.lists(st.text(st.sampled_from("aé1-\n \u202e<"), min_size=1, max_size=4), max_size=8)


def named(text: str, *images: object) -> list[tuple[str, str]]:
    return [(one.word, one.text) for one in text_spans(text, images) if one.word]  # type: ignore[arg-type]


def test_words_are_found_in_their_order() -> None:
    image = read_image("lot", "3", "lot", "3")
    assert named("lot 3\nlot   3", image) == [("0-0", "lot"), ("0-1", "3"), ("0-2", "lot"), ("0-3", "3")]


def test_words_that_were_joined_or_changed_do_not_displace_others() -> None:
    image = read_image("1948-", "01-12", "|", "Vente", text="1948-01-12 Vente")
    assert named("1948-01-12 Vente", image) == [("0-0", "1948-"), ("0-1", "01-12"), ("0-3", "Vente")]


def test_words_of_a_layer_are_not_matched_with_words_read_beside_it() -> None:
    layer = read_image("Vente", "du", "lot", confidence=None, text_layer=True)
    stamp = read_image("du", "Registre")
    assert named("Vente\n\ndu Registre\n\ndu lot", layer, stamp) == [
        ("0-0", "Vente"), ("1-0", "du"), ("1-1", "Registre"), ("0-1", "du"), ("0-2", "lot"),
    ]  # fmt: skip


def test_words_of_a_scan_are_found_around_lines_that_were_typed_over_it() -> None:
    scan, stamp = read_image("Vente", "du", "lot", text="Vente\ndu lot"), read_image("du", "Registre")
    assert named("Vente\nInscrit\ndu lot\n\ndu Registre", scan, stamp) == [
        ("0-0", "Vente"), ("0-1", "du"), ("0-2", "lot"), ("1-0", "du"), ("1-1", "Registre"),
    ]  # fmt: skip


def test_text_that_was_not_used_names_no_word() -> None:
    assert named("Vente", read_image("Vente", used=False)) == []


def test_unsure_words_are_marked() -> None:
    assert [one.is_unsure for one in text_spans("a", [read_image("a", confidence=59.9)])] == [True]
    assert [one.is_unsure for one in text_spans("a", [read_image("a", confidence=60)])] == [False]
    assert [one.is_unsure for one in text_spans("a", [read_image("a", confidence=None, text_layer=True)])] == [False]


@given(WORDS, WORDS, st.text(st.sampled_from("aé1-\n \u202e<"), max_size=40))
def test_pieces_joined_are_the_text(layer: list[str], part: list[str], text: str) -> None:
    images = [read_image(*layer, text_layer=True), read_image(*part)]
    for said in (text, "".join(layer) + text + " ".join(part)):
        assert "".join(one.text for one in text_spans(said, images)) == said
        assert "".join(one for one, _ in controls(said)) == said


def test_characters_that_change_the_text_direction_are_marked() -> None:
    assert controls("a\u202eb\n") == [("a", ""), ("\u202e", "U+202E"), ("b\n", "")]
